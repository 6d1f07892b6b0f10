/*
 * Why the copy is not confirmed is known to resync.c; here it is put into words. What was lost
 * before the copy was confirmed is mended: it stays in the count of lost samples, since those that
 * had died by then are in no cumulative number, and is no reason any more. A sample is lost in any
 * of the agent's ways but one: a death that could not be written leaves a dead block in the model.
 */
#include "server/session_quality.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/saturated.h"
#include "ingest/ring_consumer.h"
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "server/sample_feed.h"

#define QUIET_MISMATCHES 3u /* comparisons in a row, one a second */

uint64_t session_quality_lost_samples(const struct segment_counters *counters)
{
	uint64_t sum = 0;
	for (unsigned i = 0; i < WIRE_LOSS_KINDS; i++)
		if (i != WIRE_LOSS_DEATH_UNWRITTEN)
			sum = saturated_add(sum, counters->loss_count[i]);
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
	const struct segment_counters *counters, bool late, uint64_t read_before,
	uint64_t now_unix_ns)
{
	*state = (struct session_quality_state){
		.read_before = read_before, .attached_unix_ns = now_unix_ns};
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

/* Since the copy was confirmed; the counters are claims, and may go back. */
static uint64_t since(uint64_t now, uint64_t then)
{
	return now > then ? now - then : 0;
}

static uint64_t lost_deaths(
	const struct session_quality_state *state, const struct segment_counters *counters)
{
	return since(counters->loss_count[WIRE_LOSS_DEATH_UNWRITTEN],
		state->mended_count[WIRE_LOSS_DEATH_UNWRITTEN]);
}

static void explain_loss(
	struct session_quality_state *state, const struct segment_counters *counters)
{
	static const enum wire_loss births[] = {WIRE_LOSS_BIRTH_RING_FULL, WIRE_LOSS_BIRTH_NO_RING};
	uint64_t lost = 0, deaths = lost_deaths(state, counters);
	double bytes = 0;
	int length = 0;
	for (unsigned i = 0; i < sizeof births / sizeof births[0]; i++) {
		enum wire_loss kind = births[i];
		lost = saturated_add(
			lost, since(counters->loss_count[kind], state->mended_count[kind]));
		bytes += (double)since(counters->loss_bytes[kind], state->mended_bytes[kind]);
	}
	if (lost > 0)
		length = snprintf(state->reason, sizeof state->reason,
			"%" PRIu64 " samples of about %.1f MiB were lost", lost, bytes / (1 << 20));
	if (deaths > 0)
		snprintf(state->reason + length, sizeof state->reason - (size_t)length,
			lost > 0 ? ", %" PRIu64 " freed ones still count as live"
				 : "%" PRIu64 " freed samples still count as live",
			deaths);
}

static void explain_difference(struct session_quality_state *state)
{
	snprintf(state->reason, sizeof state->reason,
		"the copy differs from the process's own count (%" PRIu64
		" live samples against %" PRIu64 ")",
		state->copy_live, state->agent_live);
}

static void explain_reason(struct session_quality_state *state, enum resync_reason reason,
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer)
{
	switch (reason) {
	case RESYNC_READ_BEFORE:
		snprintf(state->reason, sizeof state->reason,
			"%.1f MiB of samples had been read by an earlier spprofd",
			(double)state->read_before / (1 << 20));
		break;
	case RESYNC_FORKED:
		snprintf(state->reason, sizeof state->reason,
			"it was forked, and has blocks that only its parent told of");
		break;
	case RESYNC_LOSS:
		explain_loss(state, counters);
		break;
	case RESYNC_DAMAGE:
		snprintf(state->reason, sizeof state->reason,
			"damaged records in its rings were skipped %" PRIu64 " times",
			since(consumer->corrupt_records + consumer->corrupt_rings,
				state->mended_damage));
		break;
	case RESYNC_DIFFERENCE:
		explain_difference(state);
		break;
	case RESYNC_NO_REASON:
		break;
	}
}

static void explain(struct session_quality_state *state, enum resync_reason reason,
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer,
	bool folded)
{
	state->reason[0] = '\0';
	if (state->read_error != 0)
		snprintf(state->reason, sizeof state->reason,
			"its segment cannot be read any more (%s)", strerror(-state->read_error));
	else if (reason != RESYNC_NO_REASON)
		explain_reason(state, reason, counters, consumer);
	else if (state->differs && !folded)
		explain_difference(state);
}

void session_quality_confirmed(struct session_quality_state *state,
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer)
{
	memcpy(state->mended_count, counters->loss_count, sizeof state->mended_count);
	memcpy(state->mended_bytes, counters->loss_bytes, sizeof state->mended_bytes);
	state->mended_damage = consumer->corrupt_records + consumer->corrupt_rings;
	state->differs = false;
	state->quiet_mismatches = 0;
}

void session_quality_judge(struct session_quality_state *state, enum resync_reason reason,
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer,
	const struct sample_feed_stats *feed, const struct heap_totals *totals,
	uint64_t folded_stacks, struct snapshot_quality *out)
{
	uint64_t folded = totals->folded_samples + feed->folded_samples;
	bool from_start = state->read_before == 0 && state->lost_before == 0;
	explain(state, reason, counters, consumer, folded + feed->refused_lives > 0);
	*out = (struct snapshot_quality){
		.from_start = from_start,
		.allocated_since_unix_ns = from_start ? 0 : state->attached_unix_ns,
		.unconfirmed = state->reason[0] != '\0',
		.unconfirmed_reason = state->reason,
		.lost_samples = session_quality_lost_samples(counters),
		.lost_bytes = lost_bytes(counters),
		.lost_deaths = lost_deaths(state, counters),
		.stacks_whole = feed->by_stop[WIRE_STOP_END],
		.stacks_truncated = feed->by_stop[WIRE_STOP_MAX],
		.stacks_stopped = feed->births - feed->not_kept - feed->by_stop[WIRE_STOP_END] -
				  feed->by_stop[WIRE_STOP_MAX],
		.stacks_guessed = feed->guessed,
		.folded_samples = folded + feed->unheard_lives + folded_stacks,
		.folded_bytes = totals->folded_bytes + feed->folded_bytes,
	};
}
