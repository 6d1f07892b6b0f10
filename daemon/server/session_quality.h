/*
 * How far a session's numbers can be believed, and one clause for a person where they cannot be
 * fully: losses that the agent counted, records that an earlier daemon read, a copy that differs
 * from what the agent counts. Part of the session; pure; one thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "ingest/segment_map.h"
#include "server/resync.h"

struct heap_totals;
struct ring_consumer_stats;
struct sample_feed_stats;
struct snapshot_quality;

struct session_quality_state {
	uint64_t read_before; /* bytes of records taken by an earlier daemon; 0: all came here */
	uint64_t lost_before; /* samples lost before a late attach */
	int read_error;	      /* negative errno: the segment became unreadable */

	/* the digest: what was seen at the last comparison, and what followed from it */
	uint64_t seen_digest, seen_records;
	unsigned quiet_mismatches;
	bool differs;
	uint64_t copy_live, agent_live; /* when it differed */
	uint64_t checks, mismatches;

	/* when the copy was confirmed last: what had been lost and skipped by then is mended */
	uint64_t mended_count[WIRE_LOSS_KINDS], mended_bytes[WIRE_LOSS_KINDS];
	uint64_t mended_damage;

	uint64_t attached_unix_ns;
	char reason[320];
};

void session_quality_begin(struct session_quality_state *state,
	const struct segment_counters *counters, bool late, uint64_t read_before,
	uint64_t now_unix_ns);
/* A resync has made the live heap right again. */
void session_quality_confirmed(struct session_quality_state *state,
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer);

/* To be called when the rings have just been found empty. The agent changes its count and its ring
 * one after the other, so a difference counts only when it stays while nothing moves; `final`:
 * nothing will move any more. */
void session_quality_compare(struct session_quality_state *state,
	const struct segment_counters *counters, const struct heap_totals *totals, uint64_t records,
	uint32_t ring_count, bool final);

/* `reason`: for which the copy is not confirmed. Fills everything but locations, `exited` and
 * `told_again`. */
void session_quality_judge(struct session_quality_state *state, enum resync_reason reason,
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer,
	const struct sample_feed_stats *feed, const struct heap_totals *totals,
	uint64_t folded_stacks, struct snapshot_quality *out);

/* Sums over reasons, saturated: the counters are a worker's claims. */
uint64_t session_quality_lost_samples(const struct segment_counters *counters);
