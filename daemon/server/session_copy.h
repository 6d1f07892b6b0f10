/*
 * A session's model beside what its worker counts: how far they agree, and what is to be said of it.
 * Part of the session, whose other parts it borrows; one thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "ingest/segment_map.h"
#include "server/session_quality.h"

struct ring_consumer_stats;
struct sample_feed;
struct session_resync;
struct snapshot_quality;

struct session_copy {
	const struct segment_map *segment;	 /* borrows; NULL once the session has ended */
	const struct ring_consumer_stats *taken; /* borrows */
	struct sample_feed *feed;		 /* borrows */
	struct session_resync *resync;		 /* borrows */
	struct segment_counters counters;	 /* when they were looked at last */
	struct session_quality_state quality;
};

/* All up to `resync` is set before. `late`: the agent was there before the daemon. */
void session_copy_begin(struct session_copy *copy, bool late, uint64_t read_before);
/* Takes the last counters: the segment is not looked at any more. */
void session_copy_end(struct session_copy *copy);
void session_copy_counters(const struct session_copy *copy, struct segment_counters *out);

/* A resync has made the live heap right again. */
void session_copy_confirmed(struct session_copy *copy);
/* As session_quality_compare, and asks for a resync where the copy differs. Does nothing for one that
 * is known to be unfinished: it differs, or is of entries that the count leaves out. */
void session_copy_compare(struct session_copy *copy, bool final);
unsigned session_copy_told_percent(struct session_copy *copy);
/* `attached`: what is not confirmed will be told again. Fills everything but locations and `exited`. */
void session_copy_judge(struct session_copy *copy, bool attached, struct snapshot_quality *out);
/* 0: the worker says nothing sensible. */
uint64_t session_copy_interval_bytes(const struct session_copy *copy);
