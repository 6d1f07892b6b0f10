/*
 * Drains a segment's rings in rounds: all heads are read once, then everything up to exactly these
 * heads is fetched, decoded and handed to the sink. A ring whose positions or records make no sense
 * is advanced to its head and counted; the others go on. Not thread-safe; the sink must not call
 * back.
 *
 * A round always covers every ring. The dirty word tells only whether one is worth while: a
 * resync's LIVE may be committed, its dirty bit not yet set, when the DEATH of the same id is
 * drained from another ring. If the next round left that ring out, the remembered DEATH would be
 * forgotten before the LIVE is seen, and the dead block would live for ever. For the same reason a
 * round that delivered something is always followed by one that looks. Hence a call that returns 0
 * may end the heap model's round in any case.
 */
#pragma once
#include <stdint.h>
#include <stdbool.h>

struct ring_consumer;
struct segment_map;
struct wire_audit;
struct wire_birth;
struct wire_death;
struct wire_end;

struct record_sink { /* records are checked, and borrowed for the call; frames[frame_count] readable
		      */
	void (*birth)(const struct wire_birth *birth, void *data);
	void (*live)(const struct wire_birth *live, void *data);
	void (*death)(const struct wire_death *death, void *data);
	void (*end)(const struct wire_end *end, void *data);
	/* Asked before a birth or a live: false: not now, this record comes again in the next call;
	 * unless a ring is more than half full, then it comes all the same. NULL: always. */
	bool (*ready)(const struct wire_birth *record, void *data);
	void *data;
	void (*audit)(const struct wire_audit *part, void *audit_data); /* NULL: not wanted */
	void *audit_data;
};

struct ring_consumer_stats {
	uint64_t records;	  /* handed to the sink */
	uint64_t bytes;		  /* taken, unknown records included */
	uint64_t rounds;	  /* in which the heads were read */
	uint64_t corrupt_records; /* malformed, skipped to the head */
	uint64_t corrupt_rings;	  /* positions out of range, skipped to the head */
	uint64_t unknown_records; /* types of a newer agent, skipped */
};

enum ring_consumer_result { RING_CONSUMER_LEFT = 1, RING_CONSUMER_HELD };

/* Begins where the shared tails say that an earlier daemon stopped, if that can be, else at the
 * heads. */
int ring_consumer_new(struct ring_consumer **out, struct segment_map *map /* borrows */);
struct ring_consumer *ring_consumer_free(struct ring_consumer *consumer);
/* One round, if the dirty word or the last round asks for it, or `all` (about once a second: a
 * producer may have died before it set its bit). Takes about `max_bytes`, at most one record more.
 * 1: something was left, call again before ending the round (`all` does not matter then);
 * RING_CONSUMER_HELD: likewise, but a record is not to be taken yet; 0: drained; negative errno: the segment cannot be read any more. */
int ring_consumer_round(struct ring_consumer *consumer, bool all, uint64_t max_bytes,
	const struct record_sink *sink);
void ring_consumer_stats(const struct ring_consumer *consumer, struct ring_consumer_stats *out);
