/*
 * A place is a helper: idle, busy with an ask (or with one that was forgotten, until its end comes),
 * or lingering. Idle ones are given back after a while. A new one is started only if all are busy, so
 * with nobody who makes them wait there is one for each ask at the same time, and mostly one in all.
 */
#include "server/process_reader.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/log.h"
#include "ingest/proc_packet.h"
#include "server/background_close.h"
#include "server/complaint.h"
#include "server/helper_process.h"
#include "server/process_handle.h"
#include "server/process_texts.h"

#define HALF		 (PROCESS_READERS / 2)
#define MAX_LINGERING	 16u /* of all uids: no other helper is started then */
#define TICK_MS		 250u
#define DEFAULT_STALL_MS 2000u
#define LONGEST_TICKS	 40u /* for one ask */
#define TURN_TICKS	 8u  /* that one waits for its turn */
#define IDLE_MS		 10000u
#define NOBODYS		 ((uid_t)-1)

struct reader_place {
	struct process_reader *reader;
	struct helper_process *helper; /* owns; NULL: lingers */
	struct process_ask *ask;       /* borrows; NULL: idle, or what it reads was forgotten */
	bool busy;
	uid_t uid;		     /* of what is read, or was read when it was killed */
	uint64_t number;	     /* of the packet that asked */
	unsigned ticks, quiet_ticks; /* since it began; since something came */
	TAILQ_ENTRY(reader_place) next;
};

struct process_reader {
	struct uv_loop_s *loop; /* borrows */
	uv_timer_t tick;
	char *program; /* owns */
	unsigned stall_ticks;
	uint64_t last_number;
	TAILQ_HEAD(, process_ask) waiting; /* borrows; the oldest first */
	TAILQ_HEAD(, reader_place) places; /* owns */
	bool rests;			   /* nothing is asked: the timer waits for idle helpers */
	bool freed, closed;		   /* by its owner; the timer */
	struct complaint complaint;
	struct process_reader_stats stats;
};

static void on_tick(uv_timer_t *timer);
static void on_reaped(void *data);
static void run_waiting(struct process_reader *reader);

int process_reader_new(struct process_reader **out, struct uv_loop_s *loop,
	const struct process_reader_options *options)
{
	struct process_reader *reader = alloc_zeroed(1, sizeof *reader);
	int r = uv_timer_init(loop, &reader->tick);
	if (r < 0) {
		free(reader);
		return r;
	}
	reader->tick.data = reader;
	reader->loop = loop;
	reader->program = alloc_strdup(options->program);
	reader->stall_ticks =
		(options->stall_ms > 0 ? options->stall_ms : DEFAULT_STALL_MS) / TICK_MS;
	TAILQ_INIT(&reader->waiting);
	TAILQ_INIT(&reader->places);
	*out = reader;
	return 0;
}

static void free_if_over(struct process_reader *reader)
{
	if (!reader->freed || !reader->closed || !TAILQ_EMPTY(&reader->places))
		return;
	free(reader->program);
	free(reader);
}

static void on_closed(uv_handle_t *tick)
{
	struct process_reader *reader = tick->data;
	reader->closed = true;
	free_if_over(reader);
}

static void stop_waiting(struct process_ask *ask)
{
	TAILQ_REMOVE(&ask->reader->waiting, ask, next);
	close(ask->directory);
	ask->directory = -1;
}

void process_reader_forget(struct process_ask *ask)
{
	if (ask->reader == NULL)
		return;
	if (ask->place != NULL)
		ask->place->ask = NULL;
	else
		stop_waiting(ask);
	ask->place = NULL;
	ask->reader = NULL;
	ask->texts = process_texts_free(ask->texts);
}

static void tell(struct process_ask *ask)
{
	struct process_texts *texts = ask->texts != NULL ? TAKE(ask->texts) : process_texts_new();
	ask->place = NULL;
	ask->reader = NULL;
	ask->done(texts, ask->data);
}

static unsigned count(const struct process_reader *reader, uid_t uid)
{
	const struct reader_place *place;
	unsigned count = 0;
	TAILQ_FOREACH (place, &reader->places, next)
		count += place->uid == uid && (place->busy || place->helper == NULL);
	return count;
}

static unsigned count_working(const struct process_reader *reader)
{
	const struct reader_place *place;
	unsigned count = 0;
	TAILQ_FOREACH (place, &reader->places, next)
		count += place->helper != NULL;
	return count;
}

static unsigned count_lingering(const struct process_reader *reader)
{
	const struct reader_place *place;
	unsigned count = 0;
	TAILQ_FOREACH (place, &reader->places, next)
		count += place->helper == NULL;
	return count;
}

/* The place lingers, mostly for no longer than this call. */
static void give_up(struct reader_place *place)
{
	helper_process_free(TAKE(place->helper));
}

static void lose(struct reader_place *place)
{
	struct process_ask *ask = TAKE(place->ask);
	give_up(place);
	if (ask != NULL)
		tell(ask);
}

static int take_piece(
	struct reader_place *place, const struct proc_packet_piece *piece, size_t size, int fd)
{
	struct process_ask *ask = place->ask;
	bool wanted = ask != NULL && (ask->files & PROC_FILE_BIT(piece->file)) &&
		      (fd >= 0) == proc_file_is_passed(piece->file);
	if (!wanted) {
		if (fd >= 0)
			background_close(fd);
		return ask == NULL ? 0 : -EPROTO;
	}
	return process_texts_append(
		ask->texts, piece->file, piece->bytes, size - sizeof *piece, fd);
}

static void take_end(struct reader_place *place, const struct proc_packet_end *end)
{
	struct process_ask *ask = TAKE(place->ask);
	place->busy = false;
	for (unsigned i = 0; ask != NULL && i < PROC_FILES; i++)
		if (ask->files & PROC_FILE_BIT(i))
			process_texts_end(ask->texts, (enum proc_file)i, end->results[i]);
	if (ask != NULL)
		tell(ask);
}

static int on_packet(void *data, const uint8_t *bytes, size_t size)
{
	struct reader_place *place = data;
	int fd = helper_process_take_fd(place->helper);
	int kind = proc_packet_check(bytes, size), r = -EPROTO;
	bool ours = kind > 0 && place->busy &&
		    ((const struct proc_packet *)bytes)->number == place->number;
	place->quiet_ticks = 0;
	if (ours && kind == PROC_PACKET_PIECE)
		return take_piece(place, (const void *)bytes, size, fd);
	if (fd >= 0) {
		background_close(fd);
	} else if (ours && kind == PROC_PACKET_END) {
		struct process_reader *reader = place->reader;
		take_end(place, (const void *)bytes);
		run_waiting(reader);
		r = 0;
	}
	return r;
}

static void on_end(void *data)
{
	struct reader_place *place = data;
	struct process_reader *reader = place->reader;
	reader->stats.deaths++;
	lose(place);
	run_waiting(reader);
}

static const struct helper_process_handlers handlers = {on_packet, on_end, on_reaped};

static struct reader_place *start(struct process_reader *reader)
{
	const struct helper_process_options options = {
		.program = reader->program,
		.name = "spprof-proc-reader",
		.max_packet_bytes = PROC_PACKET_MAX_BYTES,
		.takes_descriptors = true,
	};
	struct reader_place *place = alloc_zeroed(1, sizeof *place);
	place->reader = reader;
	place->uid = NOBODYS;
	int r = helper_process_new(&place->helper, reader->loop, &options, &handlers, place);
	if (r < 0) {
		if (complaint_allowed(&reader->complaint, uv_hrtime()))
			log_warning("cannot start %s, which tells what processes run: %s",
				reader->program, strerror(-r));
		free(place);
		return NULL;
	}
	reader->stats.starts++;
	TAILQ_INSERT_TAIL(&reader->places, place, next);
	return place;
}

static struct reader_place *find_idle(struct process_reader *reader)
{
	struct reader_place *place;
	TAILQ_FOREACH (place, &reader->places, next)
		if (place->helper != NULL && !place->busy)
			return place;
	if (count_working(reader) == PROCESS_READERS || count_lingering(reader) >= MAX_LINGERING)
		return NULL;
	return start(reader);
}

/* The first of those whose uid has the fewest. */
static struct process_ask *pick(const struct process_reader *reader)
{
	struct process_ask *ask, *first = NULL;
	unsigned fewest = HALF;
	TAILQ_FOREACH (ask, &reader->waiting, next) {
		unsigned theirs = count(reader, ask->uid);
		if (theirs >= fewest)
			continue;
		first = ask;
		fewest = theirs;
		if (theirs == 0)
			break;
	}
	return first;
}

static void send_ask(struct reader_place *place, struct process_ask *ask)
{
	const struct proc_packet_ask packet = {
		.head = {PROC_PACKET_VERSION, PROC_PACKET_ASK, ++place->reader->last_number},
		.files = ask->files,
	};
	place->ask = ask;
	place->busy = true;
	place->uid = ask->uid;
	place->number = packet.head.number;
	place->ticks = place->quiet_ticks = 0;
	ask->place = place;
	ask->texts = process_texts_new();
	/* What cannot be sent is not answered, and its helper not waited for long. */
	helper_process_send(place->helper, &packet, sizeof packet, ask->directory);
	stop_waiting(ask);
}

static void run_waiting(struct process_reader *reader)
{
	struct process_ask *ask;
	struct reader_place *place;
	while (!reader->freed && (ask = pick(reader)) != NULL &&
		(place = find_idle(reader)) != NULL)
		send_ask(place, ask);
}

static void on_reaped(void *data)
{
	struct reader_place *place = data;
	struct process_reader *reader = place->reader;
	TAILQ_REMOVE(&reader->places, place, next);
	free(place);
	if (reader->freed)
		free_if_over(reader);
	else
		run_waiting(reader);
}

int process_reader_ask(struct process_reader *reader, struct process_ask *ask,
	const struct process_handle *process)
{
	if (reader == NULL || process->proc_fd < 0)
		return reader == NULL ? -ENOSYS : -ESRCH;
	int directory = fcntl(process->proc_fd, F_DUPFD_CLOEXEC, 3);
	if (directory < 0)
		return -errno;
	ask->reader = reader;
	ask->place = NULL;
	ask->directory = directory;
	ask->ticks = 0;
	TAILQ_INSERT_TAIL(&reader->waiting, ask, next);
	reader->stats.asks++;
	if (reader->rests || !uv_is_active((uv_handle_t *)&reader->tick))
		uv_timer_start(&reader->tick, on_tick, TICK_MS, TICK_MS);
	reader->rests = false;
	run_waiting(reader);
	return 0;
}

struct process_reader *process_reader_free(struct process_reader *reader)
{
	if (reader == NULL)
		return NULL;
	struct reader_place *place, *next;
	reader->freed = true;
	while (!TAILQ_EMPTY(&reader->waiting))
		process_reader_forget(TAILQ_FIRST(&reader->waiting));
	for (place = TAILQ_FIRST(&reader->places); place != NULL; place = next) {
		next = TAILQ_NEXT(place, next);
		if (place->ask != NULL)
			process_reader_forget(place->ask);
		if (place->helper != NULL)
			give_up(place);
	}
	uv_close((uv_handle_t *)&reader->tick, on_closed);
	return NULL;
}

/* At most one: losing it may change all the others. */
static bool lose_one(struct process_reader *reader)
{
	struct reader_place *place;
	TAILQ_FOREACH (place, &reader->places, next) {
		bool late =
			place->quiet_ticks > reader->stall_ticks || place->ticks > LONGEST_TICKS;
		if (place->helper == NULL || !(place->busy ? late : reader->rests))
			continue;
		reader->stats.timeouts += place->busy;
		if (!place->busy)
			place->uid = NOBODYS;
		lose(place);
		return true;
	}
	return false;
}

static bool tell_one_without_a_turn(struct process_reader *reader)
{
	struct process_ask *ask;
	TAILQ_FOREACH (ask, &reader->waiting, next) {
		if (ask->ticks <= TURN_TICKS)
			continue;
		stop_waiting(ask);
		reader->stats.unread++;
		tell(ask);
		return true;
	}
	return false;
}

/* As few wake-ups as there can be while nothing is asked. */
static void rest(struct process_reader *reader)
{
	struct process_reader_stats stats;
	process_reader_stats(reader, &stats);
	if (stats.busy + stats.waiting > 0)
		return;
	reader->rests = count_working(reader) > 0;
	if (reader->rests)
		uv_timer_start(&reader->tick, on_tick, IDLE_MS, TICK_MS);
	else
		uv_timer_stop(&reader->tick);
}

/* Time is counted in ticks: while this process is held up itself, nobody is late. */
static void on_tick(uv_timer_t *timer)
{
	struct process_reader *reader = timer->data;
	struct reader_place *place;
	struct process_ask *ask;
	TAILQ_FOREACH (place, &reader->places, next) {
		place->ticks++;
		place->quiet_ticks++;
	}
	TAILQ_FOREACH (ask, &reader->waiting, next)
		ask->ticks++;
	while (lose_one(reader) || tell_one_without_a_turn(reader))
		;
	run_waiting(reader);
	rest(reader);
}

void process_reader_stats(const struct process_reader *reader, struct process_reader_stats *out)
{
	const struct reader_place *place;
	const struct process_ask *ask;
	*out = reader->stats;
	out->lingering = count_lingering(reader);
	TAILQ_FOREACH (place, &reader->places, next)
		out->busy += place->helper != NULL && place->busy;
	TAILQ_FOREACH (ask, &reader->waiting, next)
		out->waiting++;
}
