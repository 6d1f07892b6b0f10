/*
 * Addresses are resolved when the record arrives, because a library may be gone by the time
 * somebody asks; a record may have to wait for that. They are return addresses: the code in question is
 * the call before, hence the `- 1`. An interpreter's frames become code and line at once, so that stacks
 * differ by what is shown of them.
 */
#include "server/sample_feed.h"

#include <math.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "model/estimate.h"
#include "model/heap_model.h"
#include "model/stack_table.h"
#include "server/capture_tally.h"
#include "server/module_map.h"
#include "server/options.h"
#include "server/session_codes.h"

struct sample_feed {
	struct stack_table *stacks;  /* owns */
	struct heap_model *heap;     /* owns */
	struct module_map *modules;  /* borrows */
	struct session_codes *codes; /* borrows */
	bool (*refresh)(uint32_t epoch, void *data);
	void *data;
	bool frozen;
	uint64_t hears_from_ns;
	uint32_t max_epoch; /* of all records so far: mappings read from now on are at least that
			       new */
	struct sample_feed_stats stats;
	struct capture_tally tally;
	const struct wire_birth
		*resolved; /* the record that `frames` are of, if it is taken next */
	unsigned unmapped; /* of them */
	struct stack_frame frames[WIRE_MAX_FRAMES];
};

int sample_feed_new(struct sample_feed **out, const struct options_limits *limits,
	struct module_map *modules, struct session_codes *codes,
	bool (*refresh)(uint32_t epoch, void *data), void *data)
{
	struct sample_feed *feed = alloc_zeroed(1, sizeof *feed);
	/* A death waits for its birth for two rounds at most; as many as there can be births. */
	struct heap_limits heap_limits = {
		.max_live = limits->max_live, .max_deaths = limits->max_live};
	int r = stack_table_new(&feed->stacks, limits->max_stacks, limits->max_stack_bytes);
	if (r == 0)
		r = heap_model_new(&feed->heap, &heap_limits);
	if (r < 0) {
		sample_feed_free(feed);
		return r;
	}
	feed->modules = modules;
	feed->codes = codes;
	feed->refresh = refresh;
	feed->data = data;
	*out = feed;
	return 0;
}

struct sample_feed *sample_feed_free(struct sample_feed *feed)
{
	if (feed == NULL)
		return NULL;
	heap_model_free(feed->heap);
	stack_table_free(feed->stacks);
	capture_tally_deinit(&feed->tally);
	free(feed);
	return NULL;
}

static void name_code(struct sample_feed *feed, uint64_t word, struct stack_frame *frame)
{
	uint32_t line = 0;
	uint64_t code = wire_frame_code(word);
	bool kept = session_codes_line(feed->codes, code, wire_frame_unit(word), &line);
	*frame = (struct stack_frame){.module = STACK_MODULE_PYTHON,
		.offset = kept ? STACK_PYTHON_OFFSET(code, line) : 0};
	feed->stats.python_frames++;
	feed->stats.python_unknown_frames += !kept;
}

/* Whether the map knew better than to guess. */
static bool resolve(struct sample_feed *feed, uint64_t return_address, uint32_t epoch, unsigned at)
{
	struct stack_frame *frame = &feed->frames[at];
	*frame = (struct stack_frame){.pc = return_address};
	enum module_map_result r = module_map_resolve(
		feed->modules, return_address - 1, epoch, &frame->module, &frame->offset);
	feed->unmapped += r == MODULE_MAP_UNKNOWN;
	return r == MODULE_MAP_FOUND;
}

static bool resolve_all(struct sample_feed *feed, const struct wire_birth *birth)
{
	bool known = true;
	feed->unmapped = 0;
	for (unsigned i = 0; i < birth->frame_count; i++)
		known &= wire_frame_is_python(birth->frames[i]) ||
			 resolve(feed, birth->frames[i], birth->module_epoch, i);
	feed->resolved = birth;
	return known;
}

static void hear_epoch(struct sample_feed *feed, const struct wire_birth *birth)
{
	if (birth->module_epoch > feed->max_epoch)
		feed->max_epoch = birth->module_epoch;
}

bool sample_feed_ready(struct sample_feed *feed, const struct wire_birth *birth)
{
	feed->resolved = NULL;
	/* Whose frames nobody will look at. */
	if (feed->frozen || birth->frame_count == 0 ||
		(birth->record.type == WIRE_LIVE && heap_model_knows(feed->heap, birth->id)))
		return true;
	hear_epoch(feed, birth);
	return resolve_all(feed, birth) || !feed->refresh(feed->max_epoch, feed->data);
}

/* Where the walk ended is told by the outermost frame that it found itself. */
static void count_stop(
	struct sample_feed *feed, const struct wire_birth *birth, const struct stack_frame *frames)
{
	unsigned last = birth->frame_count;
	while (last > 0 && frames[last - 1].module == STACK_MODULE_PYTHON)
		last--;
	if (last > 0 && birth->stop < WIRE_STOP_KINDS)
		capture_tally_at(&feed->tally, frames[last - 1].module)->stops[birth->stop]++;
}

static uint32_t intern_frames(struct sample_feed *feed, const struct wire_birth *birth)
{
	struct stack_frame *frames = feed->frames;
	if (feed->resolved != birth && !resolve_all(feed, birth))
		feed->refresh(feed->max_epoch, feed->data);
	feed->resolved = NULL;
	feed->stats.frames += birth->frame_count;
	feed->stats.unmapped_frames += feed->unmapped;
	for (unsigned i = 0; i < birth->frame_count; i++)
		if (wire_frame_is_python(birth->frames[i]))
			name_code(feed, birth->frames[i], &frames[i]);
	count_stop(feed, birth, frames);
	struct stack_view stack = {.frames = frames,
		.frame_count = birth->frame_count,
		.stop = birth->stop,
		.guessed = birth->guessed};
	return stack_table_intern(feed->stacks, &stack);
}

/* A stack of its own, so that it does not look like one that was folded. */
static uint32_t intern_not_kept(struct sample_feed *feed)
{
	const struct stack_frame frame = {.module = STACK_MODULE_NOT_KEPT};
	const struct stack_view stack = {.frames = &frame, .frame_count = 1};
	return stack_table_intern(feed->stacks, &stack);
}

/* An entry's `kind`: what is counted of its stack. */
#define KIND_NOT_KEPT ((unsigned)WIRE_STOP_KINDS)
#define KIND_GUESSED  8u

_Static_assert(KIND_NOT_KEPT < KIND_GUESSED, "four bits are enough");

static unsigned kind_of(const struct wire_birth *birth)
{
	unsigned stop = birth->stop < WIRE_STOP_KINDS ? birth->stop : WIRE_STOP_UNSUPPORTED;
	if (birth->record.type == WIRE_LIVE && (birth->record.flags & WIRE_STACK_NOT_KEPT))
		return KIND_NOT_KEPT;
	return birth->guessed > 0 ? stop | KIND_GUESSED : stop;
}

/* `by` is 1 or -1. */
static void count(struct sample_feed *feed, unsigned kind, uint64_t by)
{
	feed->stats.births += by;
	if (kind == KIND_NOT_KEPT) {
		feed->stats.not_kept += by;
		return;
	}
	feed->stats.by_stop[kind % KIND_GUESSED] += by;
	feed->stats.guessed += kind & KIND_GUESSED ? by : 0;
}

static struct heap_birth make_entry(struct sample_feed *feed, const struct wire_birth *birth)
{
	unsigned kind = kind_of(birth);
	hear_epoch(feed, birth);
	return (struct heap_birth){
		.id = birth->id,
		.size_bytes = birth->size_bytes,
		.interval_bytes = birth->interval_bytes,
		.time_ns = birth->time_ns & HEAP_TIME_MAX,
		.kind = kind & 15,
		.address = birth->address,
		.tid = birth->tid & HEAP_TID_MAX,
		.stack = kind == KIND_NOT_KEPT ? intern_not_kept(feed) : intern_frames(feed, birth),
	};
}

static double bytes_of(const struct wire_birth *birth)
{
	return (double)birth->size_bytes /
	       estimate_probability(birth->size_bytes, birth->interval_bytes);
}

void sample_feed_hears_from(struct sample_feed *feed, uint64_t monotonic_ns)
{
	feed->hears_from_ns = monotonic_ns;
}

void sample_feed_birth(struct sample_feed *feed, const struct wire_birth *birth)
{
	if (heap_model_hear(feed->heap, birth->id))
		return;
	count(feed, kind_of(birth), 1);
	if (feed->frozen) {
		feed->stats.folded_samples++;
		feed->stats.folded_bytes += bytes_of(birth);
		return;
	}
	struct heap_birth entry = make_entry(feed, birth);
	heap_model_birth(feed->heap, &entry);
}

/* Its BIRTH came here, or was lost. */
static bool has_been_heard(const struct sample_feed *feed, const struct wire_birth *live)
{
	return live->time_ns >= feed->hears_from_ns;
}

static bool has_room(struct sample_feed *feed, const struct wire_birth *live)
{
	if (!feed->frozen && heap_model_has_room(feed->heap, live->id))
		return true;
	feed->stats.refused_lives++;
	feed->stats.unheard_lives += !has_been_heard(feed, live);
	return false;
}

/* Which ones were folded is not remembered: what is told again, had its BIRTH here and is not in the
 * model is one of them, as long as there are any. It has been counted when it was folded. */
static bool unfold(struct sample_feed *feed, const struct wire_birth *live)
{
	struct sample_feed_stats *stats = &feed->stats;
	if (!has_been_heard(feed, live) ||
		(stats->folded_samples == 0 && heap_model_folded(feed->heap) == 0))
		return false;
	struct heap_birth entry = make_entry(feed, live);
	if (stats->folded_samples == 0) {
		heap_model_unfold(feed->heap, &entry);
		return true;
	}
	stats->folded_samples--;
	stats->folded_bytes =
		stats->folded_samples > 0 ? fmax(0, stats->folded_bytes - bytes_of(live)) : 0;
	heap_model_birth(feed->heap, &entry);
	return true;
}

static struct heap_birth make_counted(struct sample_feed *feed, const struct wire_birth *live)
{
	struct heap_birth entry = make_entry(feed, live);
	count(feed, entry.kind, 1);
	return entry;
}

void sample_feed_live(struct sample_feed *feed, const struct wire_birth *live)
{
	if (heap_model_name(feed->heap, live->id, live->epoch) || !has_room(feed, live) ||
		unfold(feed, live))
		return;
	struct heap_birth entry = make_counted(feed, live);
	heap_model_live(feed->heap, &entry, live->epoch);
}

/* Whose birth was not announced has been folded by nobody. */
void sample_feed_found(
	struct sample_feed *feed, const struct wire_birth *entry, bool announced, uint32_t epoch)
{
	feed->resolved = NULL;
	if (heap_model_find(feed->heap, entry->id, announced, epoch) || !has_room(feed, entry) ||
		(announced && unfold(feed, entry)))
		return;
	struct heap_birth found = make_counted(feed, entry);
	heap_model_found(feed->heap, &found, announced);
}

void sample_feed_request(struct sample_feed *feed, uint32_t epoch)
{
	feed->stats.refused_lives = feed->stats.unheard_lives = 0;
	heap_model_request(feed->heap, epoch);
}

static void take_back(struct sample_feed *feed, const struct wire_death *death)
{
	struct heap_birth withdrawn;
	if (heap_model_take_back(feed->heap, death->id, death->epoch, &withdrawn))
		count(feed, withdrawn.kind, (uint64_t)-1);
}

void sample_feed_death(struct sample_feed *feed, const struct wire_death *death)
{
	if (death->epoch != 0)
		take_back(feed, death);
	else
		heap_model_death(feed->heap, death->id, death->time_ns);
}

void sample_feed_end_round(struct sample_feed *feed)
{
	heap_model_end_round(feed->heap);
}

void sample_feed_freeze(struct sample_feed *feed, bool frozen)
{
	feed->frozen = frozen;
}

uint32_t sample_feed_epoch(const struct sample_feed *feed)
{
	return feed->max_epoch;
}

struct heap_model *sample_feed_heap(const struct sample_feed *feed)
{
	return feed->heap;
}

struct stack_table *sample_feed_stacks(const struct sample_feed *feed)
{
	return feed->stacks;
}

struct capture_tally *sample_feed_tally(struct sample_feed *feed)
{
	return &feed->tally;
}

void sample_feed_stats(const struct sample_feed *feed, struct sample_feed_stats *out)
{
	*out = feed->stats;
}

size_t sample_feed_bytes(const struct sample_feed *feed)
{
	return sizeof *feed + stack_table_bytes(feed->stacks) + heap_model_bytes(feed->heap) +
	       capture_tally_bytes(&feed->tally);
}
