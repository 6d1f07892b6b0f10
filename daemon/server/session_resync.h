/*
 * A session's resync: takes the steps that resync.c decides, in the segment, the model and the
 * worker's memory. Part of the session, whose parts it borrows; one thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ingest/ring_consumer.h"
#include "server/map_reading.h"
#include "server/resync.h"

struct process_handle;
struct process_reader;
struct process_texts;
struct record_sink;
struct sample_feed;
struct segment_counters;
struct segment_map;

struct session_resync {
	struct resync state;
	struct map_reading reading;
	struct sample_feed *feed;	      /* borrows */
	struct segment_map *segment;	      /* borrows; NULL once the session has ended */
	const struct process_handle *process; /* borrows */
	/* Whether the process ran the program that made the segment when these were read: what is not
	 * known is no. NULL: whether nothing is known to the contrary. */
	bool (*same_program)(const struct process_texts *texts, void *data);
	/* There is something to do at the end of a round, and that had better come at once. */
	void (*wake)(void *data);
	void *data;
	uint32_t max_live; /* of the model */
	bool frozen;	   /* the model takes nothing new */

	/* the reading under way */
	struct ring_consumer_stats begun; /* when it began: records that come break it off */
	uint64_t found;			  /* announced entries */
	bool secret;			  /* some that were not */
	bool left_out;			  /* stacks, since the model had no room for them */
	/* before the last round, and before the one that may be beginning */
	struct resync_losses {
		uint64_t losses, damage;
	} before, now;
	uint64_t rounds; /* for which `before` is */
};

/* All up to `frozen` is set before. `read_before`: an earlier daemon took records. `places`: where
 * the worker, of this uid, may be read, and
 * who opens it; NULL: nowhere. */
void session_resync_begin(struct session_resync *resync, bool read_before,
	struct map_places *places, struct process_reader *opener, uid_t uid);
void session_resync_end(struct session_resync *resync);
/* Whether the next round must read all heads, and come at once. */
bool session_resync_needs_round(const struct session_resync *resync);
/* Takes the records of a round. */
struct record_sink session_resync_sink(struct session_resync *resync);

/* Before a round reads its heads, if it does. */
void session_resync_round_begins(
	struct session_resync *resync, const struct ring_consumer_stats *consumer);
/* After a round has ended. True: the next one is to come at once. */
bool session_resync_round_ended(
	struct session_resync *resync, const struct ring_consumer_stats *consumer);
/* What the worker counts and has lost so far. */
struct resync_view session_resync_view(const struct session_resync *resync,
	const struct segment_counters *counters, const struct ring_consumer_stats *consumer);
/* How far it is; empty if there is nothing under way. */
void session_resync_describe(const struct session_resync *resync, const struct resync_view *view,
	char *text, size_t size);
