/*
 * A reading is begun at the end of a round, once a place is granted, and goes on while the loop does
 * other things: a helper reads a slice, and what it found is handed to the model at the end of a round
 * that began after it had come. It is handed over only if from the beginning of the reading to the end
 * of that round not one record was drained, nothing was skipped, and the worker's counters have not
 * moved; else the reading is over, the worker is awake and will tell it itself. It follows:
 *
 * - What a slice found is in the model before a DEATH of it is drained. Had that DEATH been drained
 *   before, the reading would be over. It comes later, and erases what was read.
 * - That the helper looked at the slot twice, and the worker woke up between the second look and the
 *   hand-over: its DEATH is in the round before the hand-over, or it is in a later one; there is no
 *   third. The same holds for a round that is under way when the slice comes, since what is drained
 *   counts from the beginning of the reading. A DEATH that found no room moves the counters, at once
 *   or later: the copy is asked for anew then, as after any loss.
 * - An answer that comes after the reading has ended, in whichever way, comes to nobody
 *   (map_reading.c). So does one for a session that has ended. A session outlives its process's number:
 *   pidfd and /proc directory are the process's own, and answer ESRCH afterwards.
 * - The memory is opened first, and then looked at what the process runs, by one helper in this order
 *   (ingest/proc_file.h): it is the program that made the segment, by its image and by its mappings, so
 *   what was opened is that one or, of the same process, an earlier one. An exec later on leaves the
 *   descriptor with that program's memory, or with none (ESRCH), never with the next one's.
 * - What the helper was told to be known may have been erased since. Then a DEATH was drained, or
 *   there was a sweep, which ends a reading.
 */
#include "server/session_resync.h"

#include <errno.h>

#include "base/saturated.h"
#include "ingest/segment_map.h"
#include "model/heap_model.h"
#include "server/sample_feed.h"
#include "server/wall_clock.h"

static void on_birth(const struct wire_birth *birth, void *data)
{
	struct session_resync *resync = data;
	sample_feed_birth(resync->feed, birth);
}

static void on_live(const struct wire_birth *live, void *data)
{
	struct session_resync *resync = data;
	resync_hear_live(&resync->state, live->epoch);
	sample_feed_live(resync->feed, live);
}

static void on_death(const struct wire_death *death, void *data)
{
	struct session_resync *resync = data;
	sample_feed_death(resync->feed, death);
}

static void on_end(const struct wire_end *end, void *data)
{
	struct session_resync *resync = data;
	resync_hear_end(&resync->state, end->epoch, end->lives);
}

static bool on_ready(const struct wire_birth *record, void *data)
{
	struct session_resync *resync = data;
	return sample_feed_ready(resync->feed, record);
}

struct record_sink session_resync_sink(struct session_resync *resync)
{
	return (struct record_sink){
		.birth = on_birth,
		.live = on_live,
		.death = on_death,
		.end = on_end,
		.ready = on_ready,
		.data = resync,
	};
}

static bool is_full(const struct session_resync *resync)
{
	struct heap_totals totals;
	heap_model_totals(sample_feed_heap(resync->feed), &totals);
	return resync->frozen || totals.live >= resync->max_live;
}

/* Stacks of what is known, or finds no room, need not be read. */
static void on_choose(const uint64_t *ids, uint32_t count, uint8_t *bits, void *data)
{
	struct session_resync *resync = data;
	const struct heap_model *heap = sample_feed_heap(resync->feed);
	if (is_full(resync)) {
		resync->left_out = true;
		return;
	}
	for (uint32_t i = 0; i < count; i++)
		if (!heap_model_knows(heap, ids[i]))
			bits[i / 8] |= (uint8_t)(1u << i % 8);
}

static void on_wake(void *data)
{
	struct session_resync *resync = data;
	resync->wake(resync->data);
}

static const struct map_reading_handlers reading_handlers = {on_wake, on_choose};

void session_resync_begin(struct session_resync *resync, bool read_before,
	struct map_places *places, struct process_reader *opener, uid_t uid)
{
	const struct segment_info *info = segment_map_info(resync->segment);
	enum resync_reason reason = read_before			     ? RESYNC_READ_BEFORE
				    : info->flags & WIRE_FLAG_FORKED ? RESYNC_FORKED
								     : RESYNC_NO_REASON;
	/* Nothing lost and nothing damaged: what has been until now is a reason too. */
	struct resync_view view = {.now_ns = wall_clock_monotonic_ns()};
	map_reading_init(&resync->reading, places, opener, uid, &reading_handlers, resync);
	resync_init(&resync->state, segment_map_requested_resync(resync->segment), reason, &view);
}

void session_resync_end(struct session_resync *resync)
{
	map_reading_end(&resync->reading);
	resync->segment = NULL;
}

bool session_resync_needs_round(const struct session_resync *resync)
{
	return resync_needs_round(&resync->state, wall_clock_monotonic_ns()) ||
	       map_reading_is_due(&resync->reading);
}

static struct resync_losses losses_of(
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer)
{
	const uint64_t *lost = counters->loss_count;
	return (struct resync_losses){
		.losses = saturated_add(saturated_add(lost[WIRE_LOSS_BIRTH_RING_FULL],
						lost[WIRE_LOSS_BIRTH_NO_RING]),
			lost[WIRE_LOSS_DEATH_UNWRITTEN]),
		.damage = consumer->corrupt_records + consumer->corrupt_rings,
	};
}

void session_resync_round_begins(
	struct session_resync *resync, const struct ring_consumer_stats *consumer)
{
	struct segment_counters counters;
	segment_map_counters(resync->segment, &counters);
	resync->now = losses_of(&counters, consumer);
}

struct resync_view session_resync_view(const struct session_resync *resync,
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer)
{
	struct resync_losses losses = losses_of(counters, consumer);
	struct heap_totals totals;
	heap_model_totals(sample_feed_heap(resync->feed), &totals);
	return (struct resync_view){
		.now_ns = wall_clock_monotonic_ns(),
		.rounds = consumer->rounds,
		.losses = losses.losses,
		.damage = losses.damage,
		.losses_before = resync->before.losses,
		.damage_before = resync->before.damage,
		.slots = counters->resync_slots,
		.all_slots = counters->map_slots,
		.events = counters->samples + counters->sampled_deaths,
		.live = counters->live_count,
		.equal = totals.live == counters->live_count && totals.digest == counters->digest,
	};
}

static void on_found(const struct wire_birth *entry, bool announced, void *data)
{
	struct session_resync *resync = data;
	resync->found += announced;
	resync->secret |= !announced;
	sample_feed_found(resync->feed, entry, announced, resync->state.epoch);
}

/* As a result of resync_read: what is short may be there again soon. */
static int result_of(int error)
{
	bool passes = error == -EMFILE || error == -ENFILE || error == -EAGAIN || error == -ENOMEM;
	return passes ? RESYNC_READ_LATER : error;
}

static int go_on(struct session_resync *resync)
{
	struct segment_counters counters;
	segment_map_counters(resync->segment, &counters);
	int r = map_reading_next(&resync->reading, counters.map_levels);
	return r < 0 ? result_of(r) : RESYNC_READ_WAITS;
}

static int begin_reading(struct session_resync *resync, const struct ring_consumer_stats *consumer,
	const struct resync_view *view)
{
	resync->begun = *consumer;
	resync->found = 0;
	resync->secret = resync->left_out = false;
	heap_model_begin_reading(sample_feed_heap(resync->feed));
	resync_read_begins(&resync->state, view);
	int r = map_reading_open(&resync->reading, resync->process, resync->state.epoch);
	return r < 0 ? result_of(r) : RESYNC_READ_WAITS;
}

/* Since the reading began. */
static bool is_awake(const struct session_resync *resync, const struct ring_consumer_stats *now,
	const struct resync_view *view)
{
	const struct ring_consumer_stats *then = &resync->begun;
	return now->records != then->records || now->bytes != then->bytes ||
	       now->corrupt_records != then->corrupt_records ||
	       now->corrupt_rings != then->corrupt_rings ||
	       view->events != resync->state.read_events;
}

static struct resync_slice hand_over(struct session_resync *resync)
{
	size_t size;
	struct map_packet_found *found = map_reading_found(&resync->reading, &size);
	struct resync_slice slice = {.result = found->result, .still = found->moved == 0};
	if (found->slots_in_all > 0)
		slice.percent = (unsigned)(100 * found->slots / found->slots_in_all);
	map_packet_records(found, size, on_found, resync);
	slice.found = resync->found;
	slice.announced = !resync->secret;
	if (slice.result < 0)
		slice.result = result_of(slice.result);
	return slice;
}

static struct resync_slice take_slice(struct session_resync *resync,
	const struct ring_consumer_stats *consumer, const struct resync_view *view)
{
	if (is_awake(resync, consumer, view))
		return (struct resync_slice){.result = RESYNC_READ_BROKEN};
	if (!resync->same_program(NULL, resync->data))
		return (struct resync_slice){.result = -ESRCH};
	/* There is room by now for what was not read: begin anew. */
	if (resync->left_out && !is_full(resync))
		return (struct resync_slice){.result = RESYNC_READ_LATER};
	struct resync_slice slice = hand_over(resync);
	if (slice.result != RESYNC_READ_MORE)
		return slice;
	int r = go_on(resync);
	if (r != RESYNC_READ_WAITS)
		slice.result = r;
	return slice;
}

/* The texts were read after the opening: whatever was opened is the program that they tell of, or an
 * earlier one. */
static int begin_slices(struct session_resync *resync, const struct ring_consumer_stats *consumer,
	const struct resync_view *view)
{
	if (is_awake(resync, consumer, view))
		return RESYNC_READ_BROKEN;
	if (!resync->same_program(map_reading_texts(&resync->reading), resync->data))
		return -ESRCH;
	return go_on(resync);
}

static void read_on(struct session_resync *resync, const struct ring_consumer_stats *consumer,
	const struct resync_view *view)
{
	struct map_reading *reading = &resync->reading;
	struct resync_slice slice = {.result = RESYNC_READ_WAITS};
	struct resync_view now = *view;
	if (reading->state == MAP_READING_NONE) {
		int r = map_reading_wait(reading, &segment_map_info(resync->segment)->places);
		slice.result = r < 0 ? r : RESYNC_READ_WAITS;
	}
	if (reading->state == MAP_READING_GRANTED)
		slice.result = begin_reading(resync, consumer, view);
	else if (reading->state == MAP_READING_OPENED)
		slice.result = begin_slices(resync, consumer, view);
	else if (reading->state == MAP_READING_READY)
		slice = take_slice(resync, consumer, view);
	else if (reading->state == MAP_READING_LOST)
		slice.result = result_of(reading->error);
	/* The start of a helper took time, too: it is to rest. */
	now.now_ns = wall_clock_monotonic_ns();
	resync_read(&resync->state, &slice, &now);
}

static void take_step(struct session_resync *resync, enum resync_step step,
	const struct ring_consumer_stats *consumer, const struct resync_view *view)
{
	struct segment_counters counters;
	struct resync_view now;
	switch (step) {
	case RESYNC_ASK:
		sample_feed_request(resync->feed, resync->state.epoch);
		segment_map_request_resync(resync->segment, resync->state.epoch);
		break;
	case RESYNC_READ:
		read_on(resync, consumer, view);
		break;
	case RESYNC_SWEEP:
		heap_model_sweep(
			sample_feed_heap(resync->feed), resync->state.phase == RESYNC_HAS_READ);
		segment_map_counters(resync->segment, &counters);
		now = session_resync_view(resync, &counters, consumer);
		resync_swept(&resync->state, &now);
		break;
	case RESYNC_NOTHING:
		break;
	}
}

bool session_resync_round_ended(
	struct session_resync *resync, const struct ring_consumer_stats *consumer)
{
	struct segment_counters counters;
	/* A call that found nothing to do has read no heads: the round before it is the last. */
	if (resync->rounds != consumer->rounds)
		resync->before = resync->now;
	resync->rounds = consumer->rounds;
	segment_map_counters(resync->segment, &counters);
	struct resync_view view = session_resync_view(resync, &counters, consumer);
	take_step(resync, resync_round_ended(&resync->state, &view), consumer, &view);
	/* It is over, or the worker has woken up, or it is to be asked anew. */
	if (!resync->state.reading)
		map_reading_end(&resync->reading);
	/* What was swept is gone; its memory follows in slices. */
	bool tidying = heap_model_tidy(sample_feed_heap(resync->feed));
	return tidying || session_resync_needs_round(resync);
}

void session_resync_describe(const struct session_resync *resync, const struct resync_view *view,
	char *text, size_t size)
{
	resync_describe(&resync->state, view,
		wall_clock_unix_of_monotonic(resync->state.progress_ns), text, size);
}
