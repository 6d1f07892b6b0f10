/*
 * Between a slice that was read and the next round there is nothing: what the slice found is in the
 * model before a record is drained that was written after it. So a DEATH that is drained later is
 * later, and erases what was read.
 */
#include "server/session_resync.h"

#include <errno.h>

#include "ingest/ring_consumer.h"
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

struct record_sink session_resync_sink(struct session_resync *resync)
{
	return (struct record_sink){
		.birth = on_birth,
		.live = on_live,
		.death = on_death,
		.end = on_end,
		.data = resync,
	};
}

void session_resync_begin(struct session_resync *resync, bool read_before)
{
	const struct segment_info *info = segment_map_info(resync->segment);
	enum resync_reason reason = read_before			     ? RESYNC_READ_BEFORE
				    : info->flags & WIRE_FLAG_FORKED ? RESYNC_FORKED
								     : RESYNC_NO_REASON;
	/* Nothing lost and nothing damaged: what has been until now is a reason too. */
	struct resync_view view = {.now_ns = wall_clock_monotonic_ns()};
	map_reading_init(&resync->reading);
	resync_init(&resync->state, info->minor >= 1, segment_map_requested_resync(resync->segment),
		reason, &view);
}

void session_resync_end(struct session_resync *resync)
{
	map_reading_deinit(&resync->reading);
	resync->segment = NULL;
}

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

static struct resync_losses losses_of(
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer)
{
	const uint64_t *lost = counters->loss_count;
	return (struct resync_losses){
		.losses = add_saturated(add_saturated(lost[WIRE_LOSS_BIRTH_RING_FULL],
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
		.equal = totals.live == counters->live_count && totals.digest == counters->digest,
	};
}

static bool is_wanted(uint64_t id, void *data)
{
	const struct session_resync *resync = data;
	return !heap_model_knows(sample_feed_heap(resync->feed), id);
}

static void on_found(const struct wire_birth *entry, bool announced, void *data)
{
	struct session_resync *resync = data;
	sample_feed_found(resync->feed, entry, announced, resync->state.epoch);
}

static int begin_reading(struct session_resync *resync)
{
	const struct segment_info *info = segment_map_info(resync->segment);
	heap_model_begin_reading(sample_feed_heap(resync->feed));
	int r = map_reading_begin(&resync->reading, resync->process, &info->places);
	/* The look comes after the opening: whatever was opened is the program that is looked at,
	 * or an earlier one. */
	if (r == 0 && !resync->same_program(resync->data)) {
		map_reading_deinit(&resync->reading);
		r = -ESRCH;
	}
	return r;
}

static void read_slice(struct session_resync *resync, const struct resync_view *view)
{
	const struct map_sink sink = {is_wanted, on_found, resync};
	struct resync_slice slice = {0};
	struct segment_counters counters;
	if (resync->reading.reader == NULL)
		slice.result = begin_reading(resync);
	if (slice.result == 0) {
		segment_map_counters(resync->segment, &counters);
		slice = map_reading_slice(&resync->reading, counters.map_levels, &sink);
	}
	resync_read(&resync->state, &slice, view);
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
		read_slice(resync, view);
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
	/* The worker has woken up, or it is to be asked anew. */
	if (!resync->state.reading)
		map_reading_deinit(&resync->reading);
	/* What was swept is gone; its memory follows in slices. */
	bool tidying = heap_model_tidy(sample_feed_heap(resync->feed));
	return tidying || resync_needs_round(&resync->state, view.now_ns);
}

void session_resync_describe(const struct session_resync *resync, const struct resync_view *view,
	char *text, size_t size)
{
	resync_describe(&resync->state, view,
		wall_clock_unix_of_monotonic(resync->state.progress_ns), text, size);
}
