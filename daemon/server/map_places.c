/*
 * Places are a handful, so every question about them is a walk. A place outlives its claim until its
 * helper is reaped; the object outlives its owner until the last of them is.
 */
#include "server/map_places.h"

#include <errno.h>
#include <stdlib.h>
#include <uv.h>

#include "base/alloc.h"
#include "server/helper_process.h"
#include "ingest/map_packet.h"

#define HALF		 (MAP_PLACES / 2)
#define TICK_MS		 250u
#define DEFAULT_STALL_MS 5000u
#define MS		 UINT64_C(1000000)
#define LONGEST_NS	 (60000 * MS) /* a whole reading */
#define OVER_HALF_NS	 (1000 * MS)  /* while others wait */

struct map_place {
	struct map_places *places;
	struct map_claim *claim; /* NULL: its helper lingers */
	uid_t uid;
	struct helper_process *helper; /* owns; NULL: not started, or given up */
	uint64_t granted_ns, progress_ns;
	TAILQ_ENTRY(map_place) next;
};

struct map_places {
	struct uv_loop_s *loop; /* borrows */
	uv_timer_t tick;
	char *program; /* owns */
	uint64_t stall_ns;
	TAILQ_HEAD(, map_claim) waiting; /* borrows; in the order of their turn */
	TAILQ_HEAD(map_place_list, map_place)
	taken;		    /* owns; in the order in which they were granted */
	bool freed, closed; /* by its owner; the timer */
	struct map_places_stats stats;
};

static void on_tick(uv_timer_t *timer);

int map_places_new(
	struct map_places **out, struct uv_loop_s *loop, const struct map_places_options *options)
{
	struct map_places *places = alloc_zeroed(1, sizeof *places);
	int r = uv_timer_init(loop, &places->tick);
	if (r < 0) {
		free(places);
		return r;
	}
	uint32_t stall_ms = options->stall_ms > 0 ? options->stall_ms : DEFAULT_STALL_MS;
	places->tick.data = places;
	places->loop = loop;
	places->program = alloc_strdup(options->program);
	places->stall_ns = stall_ms * MS;
	TAILQ_INIT(&places->waiting);
	TAILQ_INIT(&places->taken);
	*out = places;
	return 0;
}

static void free_if_over(struct map_places *places)
{
	if (!places->freed || !places->closed || !TAILQ_EMPTY(&places->taken) ||
		!TAILQ_EMPTY(&places->waiting))
		return;
	free(places->program);
	free(places);
}

static void on_closed(uv_handle_t *tick)
{
	struct map_places *places = tick->data;
	places->closed = true;
	free_if_over(places);
}

struct map_places *map_places_free(struct map_places *places)
{
	if (places == NULL)
		return NULL;
	places->freed = true;
	uv_close((uv_handle_t *)&places->tick, on_closed);
	return NULL;
}

static unsigned count_taken(const struct map_places *places, uid_t uid, bool lingering)
{
	const struct map_place *place;
	unsigned count = 0;
	TAILQ_FOREACH (place, &places->taken, next)
		count += place->uid == uid && (place->claim == NULL || !lingering);
	return count;
}

/* What one uid's lingering helpers take beyond half is not taken from others. */
static unsigned count_lost_to_all(const struct map_places *places)
{
	const struct map_place *place, *earlier;
	unsigned count = 0;
	TAILQ_FOREACH (place, &places->taken, next) {
		unsigned before = 0;
		TAILQ_FOREACH (earlier, &places->taken, next) {
			if (earlier == place)
				break;
			before += earlier->claim == NULL && earlier->uid == place->uid;
		}
		count += place->claim != NULL || before < HALF;
	}
	return count;
}

/* The first of those whose uid has the fewest: two uids that hold half each would else keep out a third
 * for as long as their queues are. */
static struct map_claim *first_below_half(const struct map_places *places)
{
	struct map_claim *claim, *first = NULL;
	unsigned fewest = HALF;
	TAILQ_FOREACH (claim, &places->waiting, next) {
		unsigned count = count_taken(places, claim->uid, false);
		if (count >= fewest)
			continue;
		first = claim;
		fewest = count;
		if (count == 0)
			break;
	}
	return first;
}

/* Whose turn it is, if there is room. */
static struct map_claim *pick(const struct map_places *places)
{
	struct map_claim *claim = first_below_half(places);
	if (claim != NULL)
		return claim;
	TAILQ_FOREACH (claim, &places->waiting, next)
		if (count_taken(places, claim->uid, true) == 0)
			return claim;
	return NULL;
}

static void grant(struct map_places *places, struct map_claim *claim)
{
	struct map_place *place = alloc_zeroed(1, sizeof *place);
	TAILQ_REMOVE(&places->waiting, claim, next);
	place->places = places;
	place->claim = claim;
	place->uid = claim->uid;
	place->granted_ns = place->progress_ns = uv_hrtime();
	TAILQ_INSERT_TAIL(&places->taken, place, next);
	claim->waits = false;
	claim->place = place;
	if (!uv_is_active((uv_handle_t *)&places->tick))
		uv_timer_start(&places->tick, on_tick, TICK_MS, TICK_MS);
}

/* `newcomer` sees for itself. */
static void grant_what_is_free(struct map_places *places, const struct map_claim *newcomer)
{
	struct map_claim *claim;
	while (count_lost_to_all(places) < MAP_PLACES && (claim = pick(places)) != NULL) {
		grant(places, claim);
		if (claim != newcomer)
			claim->handlers->granted(claim->data);
	}
}

static void remove_place(struct map_place *place)
{
	struct map_places *places = place->places;
	TAILQ_REMOVE(&places->taken, place, next);
	free(place);
	if (places->freed)
		free_if_over(places);
	else
		grant_what_is_free(places, NULL);
}

static void on_reaped(void *data)
{
	remove_place(data);
}

static void vacate(struct map_place *place)
{
	place->claim->place = NULL;
	place->claim = NULL;
	if (place->helper != NULL)
		helper_process_free(TAKE(place->helper)); /* on_reaped does the rest */
	else
		remove_place(place);
}

static void lose(struct map_place *place, int error)
{
	struct map_claim *claim = place->claim;
	struct map_places_stats *stats = &place->places->stats;
	stats->deaths += error == -EPIPE;
	stats->timeouts += error == -ETIMEDOUT;
	stats->yielded += error == -EAGAIN;
	vacate(place);
	claim->handlers->lost(claim->data, error);
}

static int on_packet(void *data, const uint8_t *bytes, size_t size)
{
	struct map_place *place = data;
	place->progress_ns = uv_hrtime();
	return place->claim->handlers->packet(place->claim->data, bytes, size);
}

static void on_end(void *data)
{
	lose(data, -EPIPE);
}

static const struct helper_process_handlers helper_handlers = {on_packet, on_end, on_reaped};

bool map_places_wait(struct map_claim *claim)
{
	TAILQ_INSERT_TAIL(&claim->places->waiting, claim, next);
	claim->waits = true;
	grant_what_is_free(claim->places, claim);
	return claim->place != NULL;
}

void map_places_leave(struct map_claim *claim)
{
	if (claim->place != NULL)
		vacate(claim->place);
	if (!claim->waits)
		return;
	TAILQ_REMOVE(&claim->places->waiting, claim, next);
	claim->waits = false;
	free_if_over(claim->places);
}

int map_places_start(struct map_claim *claim)
{
	struct map_place *place = claim->place;
	struct map_places *places = place->places;
	const struct helper_process_options options = {
		.program = places->program,
		.name = "spprof-map-reader",
		.max_packet_bytes = MAP_PACKET_MAX_BYTES,
	};
	int r = helper_process_new(&place->helper, places->loop, &options, &helper_handlers, place);
	if (r < 0)
		return r;
	places->stats.starts++;
	place->granted_ns = place->progress_ns = uv_hrtime();
	return 0;
}

int map_places_send(struct map_claim *claim, const void *bytes, size_t size, int fd)
{
	/* What it does from now on is what is waited for. */
	claim->place->progress_ns = uv_hrtime();
	return helper_process_send(claim->place->helper, bytes, size, fd);
}

/* 0: it may go on. */
static int judge(const struct map_place *place, uint64_t now)
{
	const struct map_places *places = place->places;
	const struct map_claim *other = first_below_half(places);
	if (now - place->progress_ns >= places->stall_ns || now - place->granted_ns >= LONGEST_NS)
		return -ETIMEDOUT;
	if (other != NULL && other->uid != place->uid &&
		count_taken(places, place->uid, false) > HALF &&
		now - place->granted_ns >= OVER_HALF_NS)
		return -EAGAIN;
	return 0;
}

/* At most one: losing it may change all the others. */
static bool lose_one(struct map_places *places)
{
	uint64_t now = uv_hrtime();
	struct map_place *place;
	TAILQ_FOREACH_REVERSE(place, &places->taken, map_place_list, next)
	{
		int error = place->claim != NULL ? judge(place, now) : 0;
		if (error == 0)
			continue;
		lose(place, error);
		return true;
	}
	return false;
}

static void on_tick(uv_timer_t *timer)
{
	struct map_places *places = timer->data;
	while (lose_one(places))
		;
	if (TAILQ_EMPTY(&places->taken))
		uv_timer_stop(&places->tick);
}

void map_places_stats(const struct map_places *places, struct map_places_stats *out)
{
	const struct map_place *place;
	const struct map_claim *claim;
	*out = places->stats;
	TAILQ_FOREACH (place, &places->taken, next) {
		out->in_use += place->claim != NULL;
		out->lingering += place->claim == NULL;
		if (place->helper != NULL)
			out->helper_pid = helper_process_pid(place->helper);
	}
	TAILQ_FOREACH (claim, &places->waiting, next)
		out->waiting++;
}
