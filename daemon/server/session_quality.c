/*
 * Of several reasons the gravest is told: what an earlier daemon took is missing for good, what was
 * lost is at least counted, a difference that nobody counted comes last. A sample is lost in any of
 * the agent's ways but one: a death that could not be written leaves a dead block in the model.
 */
#include "server/session_quality.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "ingest/ring_consumer.h"
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "server/sample_feed.h"

#define QUIET_MISMATCHES 3u /* comparisons in a row, one a second */

static uint64_t add_saturated(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

uint64_t session_quality_lost_samples(const struct segment_counters *counters)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < WIRE_LOSS_KINDS; i++)
		if (i != WIRE_LOSS_DEATH_UNWRITTEN)
			sum = add_saturated(sum, counters->loss_count[i]);
	return sum;
}

static double lost_bytes(const struct segment_counters *counters)
{
	double sum = 0;
	for (unsigned i = 0; i < WIRE_LOSS_KINDS; i++)
		if (i != WIRE_LOSS_DEATH_UNWRITTEN)
			sum += (double)counters->loss_bytes[i];
	return sum;
}

void session_quality_begin(struct session_quality_state *state,
	const struct segment_counters *counters, bool late, uint64_t read_before)
{
	*state = (struct session_quality_state){.read_before = read_before};
	if (late)
		state->lost_before = session_quality_lost_samples(counters);
}

void session_quality_compare(struct session_quality_state *state,
	const struct segment_counters *counters, const struct heap_totals *totals, uint64_t records,
	uint32_t ring_count, bool final)
{
	bool same = totals->digest == counters->digest && totals->live == counters->live_count;
	bool moved = state->seen_digest != counters->digest || state->seen_records != records;
	state->seen_digest = counters->digest;
	state->seen_records = records;
	state->checks++;
	if (same) {
		state->differs = false;
		state->quiet_mismatches = 0;
		return;
	}
	state->mismatches++;
	state->quiet_mismatches = moved ? 1 : state->quiet_mismatches + 1;
	if (final) {
		/* A kill in the middle leaves each thread at most one step ahead of its ring. */
		uint64_t difference = totals->live - counters->live_count;
		if (difference <= ring_count || -difference <= ring_count)
			return;
	} else if (state->quiet_mismatches < QUIET_MISMATCHES) {
		return;
	}
	state->differs = true;
	state->copy_live = totals->live;
	state->agent_live = counters->live_count;
}

static void explain(struct session_quality_state *state, const struct segment_counters *counters,
	const struct ring_consumer_stats *consumer, bool folded)
{
	uint64_t lost = session_quality_lost_samples(counters);
	uint64_t lost_deaths = counters->loss_count[WIRE_LOSS_DEATH_UNWRITTEN];
	char *text = state->reason;
	size_t size = sizeof state->reason;
	text[0] = '\0';
	if (state->read_before > 0)
		snprintf(text, size, "%.1f MiB of samples had been read by an earlier spprofd",
			(double)state->read_before / (1 << 20));
	else if (state->read_error != 0)
		snprintf(text, size, "its segment cannot be read any more (%s)",
			strerror(-state->read_error));
	else if (lost > 0 && lost_deaths > 0)
		snprintf(text, size,
			"%" PRIu64 " samples of about %.1f MiB were lost, %" PRIu64
			" freed ones still count as live",
			lost, lost_bytes(counters) / (1 << 20), lost_deaths);
	else if (lost > 0)
		snprintf(text, size, "%" PRIu64 " samples of about %.1f MiB were lost", lost,
			lost_bytes(counters) / (1 << 20));
	else if (lost_deaths > 0)
		snprintf(text, size, "%" PRIu64 " freed samples still count as live", lost_deaths);
	else if (consumer->corrupt_records + consumer->corrupt_rings > 0)
		snprintf(text, size, "damaged records in its rings were skipped %" PRIu64 " times",
			consumer->corrupt_records + consumer->corrupt_rings);
	else if (state->differs && !folded)
		snprintf(text, size,
			"the copy differs from the process's own count (%" PRIu64
			" live samples against %" PRIu64 ")",
			state->copy_live, state->agent_live);
}

void session_quality_judge(struct session_quality_state *state,
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer,
	const struct sample_feed_stats *feed, const struct heap_totals *totals,
	uint64_t folded_stacks, struct snapshot_quality *out)
{
	uint64_t folded = totals->folded_samples + feed->folded_samples;
	explain(state, counters, consumer, folded > 0);
	*out = (struct snapshot_quality){
		.from_start = state->read_before == 0 && state->lost_before == 0,
		.unconfirmed = state->reason[0] != '\0',
		.unconfirmed_reason = state->reason,
		.lost_samples = session_quality_lost_samples(counters),
		.lost_bytes = lost_bytes(counters),
		.lost_deaths = counters->loss_count[WIRE_LOSS_DEATH_UNWRITTEN],
		.stacks_whole = feed->by_stop[WIRE_STOP_END],
		.stacks_truncated = feed->by_stop[WIRE_STOP_MAX],
		.stacks_stopped =
			feed->births - feed->by_stop[WIRE_STOP_END] - feed->by_stop[WIRE_STOP_MAX],
		.stacks_guessed = feed->guessed,
		.folded_samples = folded + folded_stacks,
		.folded_bytes = totals->folded_bytes + feed->folded_bytes,
	};
}
