#include "server/session_copy.h"

#include <string.h>

#include "ingest/ring_consumer.h"
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "model/stack_table.h"
#include "server/sample_feed.h"
#include "server/session_resync.h"
#include "server/wall_clock.h"

static void refresh(struct session_copy *copy)
{
	if (copy->segment != NULL)
		segment_map_counters(copy->segment, &copy->counters);
}

void session_copy_begin(struct session_copy *copy, bool late, uint64_t read_before)
{
	refresh(copy);
	session_quality_begin(
		&copy->quality, &copy->counters, late, read_before, wall_clock_unix_ns());
}

void session_copy_end(struct session_copy *copy)
{
	refresh(copy);
	copy->segment = NULL;
}

void session_copy_counters(const struct session_copy *copy, struct segment_counters *out)
{
	*out = copy->counters;
	if (copy->segment != NULL)
		segment_map_counters(copy->segment, out);
}

void session_copy_confirmed(struct session_copy *copy)
{
	refresh(copy);
	session_quality_confirmed(&copy->quality, &copy->counters, copy->taken);
}

static uint64_t short_of(const struct session_copy *copy, const struct heap_totals *totals)
{
	struct sample_feed_stats feed;
	sample_feed_stats(copy->feed, &feed);
	return totals->folded_samples + feed.folded_samples + feed.refused_lives;
}

void session_copy_compare(struct session_copy *copy, bool final)
{
	struct heap_totals totals;
	if (copy->resync->state.phase != RESYNC_CONFIRMED)
		return;
	refresh(copy);
	heap_model_totals(sample_feed_heap(copy->feed), &totals);
	session_quality_compare(&copy->quality, &copy->counters, &totals, copy->taken->records,
		segment_map_info(copy->segment)->ring_count, final);
	/* A copy that is short of memory differs, and would do so again. */
	if (copy->quality.differs && short_of(copy, &totals) == 0)
		resync_want(&copy->resync->state, RESYNC_DIFFERENCE, wall_clock_monotonic_ns());
}

static struct resync_view view_of(struct session_copy *copy)
{
	refresh(copy);
	return session_resync_view(copy->resync, &copy->counters, copy->taken);
}

unsigned session_copy_told_percent(struct session_copy *copy)
{
	struct resync_view view = view_of(copy);
	return resync_percent(&copy->resync->state, &view);
}

/* Behind the reason: how far the resync is. */
static void tell_progress(struct session_copy *copy, const struct resync_view *view)
{
	size_t length = strlen(copy->quality.reason);
	session_resync_describe(copy->resync, view, copy->quality.reason + length,
		sizeof copy->quality.reason - length);
}

void session_copy_judge(struct session_copy *copy, bool attached, struct snapshot_quality *out)
{
	struct resync *resync = &copy->resync->state;
	struct heap_totals totals;
	struct sample_feed_stats feed;
	struct resync_view view = view_of(copy);
	resync_look(resync, &view);
	enum resync_reason reason = resync_holds(resync, &view) ? RESYNC_NO_REASON : resync->reason;
	heap_model_totals(sample_feed_heap(copy->feed), &totals);
	sample_feed_stats(copy->feed, &feed);
	session_quality_judge(&copy->quality, reason, &copy->counters, copy->taken, &feed, &totals,
		stack_table_folded(sample_feed_stacks(copy->feed)), out);
	out->told_again = out->unconfirmed && attached;
	if (out->told_again)
		tell_progress(copy, &view);
}

uint64_t session_copy_interval_bytes(const struct session_copy *copy)
{
	struct segment_counters counters;
	session_copy_counters(copy, &counters);
	return counters.interval_bytes <= UINT64_C(1) << 62 ? counters.interval_bytes : 0;
}
