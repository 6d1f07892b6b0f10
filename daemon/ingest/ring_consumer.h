/*
 * Drains a segment's rings in rounds: each head is read once, then everything up to exactly that head is
 * fetched by pread, decoded and handed to the sink. A ring whose positions or records make no sense is
 * advanced to its head and counted; the others go on. Not thread-safe.
 */
#pragma once
#include <stdint.h>
#include <stdbool.h>

struct ring_consumer;
struct segment_map;
struct wire_birth;
struct wire_death;

struct record_sink {
	void (*birth)(const struct wire_birth *birth, void *data); /* checked; frames[frame_count] readable */
	void (*death)(const struct wire_death *death, void *data);
	void *data;
};

struct ring_consumer_stats {
	uint64_t records, bytes, rounds;
	uint64_t corrupt_records; /* malformed, skipped to the head */
	uint64_t corrupt_rings;   /* positions out of range */
	uint64_t unknown_records; /* types of a newer agent, skipped */
};

int ring_consumer_new(struct ring_consumer **out, struct segment_map *map /* borrows */);
struct ring_consumer *ring_consumer_free(struct ring_consumer *consumer);
/* One round over all rings (`all`) or those whose dirty bit was set. At most `max_bytes` are taken; returns
 * 1 if something was left (call again before ending the round), 0 if drained, negative errno if the
 * segment cannot be read any more. */
int ring_consumer_round(struct ring_consumer *consumer, bool all, uint64_t max_bytes,
	const struct record_sink *sink);
void ring_consumer_stats(const struct ring_consumer *consumer, struct ring_consumer_stats *out);
