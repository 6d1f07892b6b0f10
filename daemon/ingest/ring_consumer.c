/*
 * Positions are hostile: heads are read once per round into `heads`, tails are private and the
 * shared ones only written. Between a tail and its head lie at most ring_size bytes at multiples of
 * 8, checked before anything is fetched; so a round is bounded by the size of the segment, whatever
 * the worker does.
 */
#include "config.h"
#include "ingest/ring_consumer.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "ingest/record_decode.h"
#include "ingest/segment_map.h"

/* Bytes fetched at once. A record that its end cuts off is fetched again with the next chunk. */
#define CHUNK_SIZE (16u << 10)
_Static_assert(CHUNK_SIZE >= WIRE_RECORD_MAX, "a chunk holds at least one record");
_Static_assert(CHUNK_SIZE <= WIRE_MIN_RING_SIZE, "a chunk wraps at most once");

struct ring_consumer {
	struct segment_map *map; /* borrows */
	uint32_t ring_count, ring_size;
	uint64_t tails[WIRE_MAX_RINGS]; /* everything below has been taken */
	uint64_t heads[WIRE_MAX_RINGS]; /* of the round in progress */
	bool in_round;
	bool delivered;	    /* the last round, or the one in progress, took something */
	bool held;	    /* the next record is not to be taken yet */
	uint32_t next_ring; /* the round in progress has drained those below */
	struct ring_consumer_stats stats;
};

static uint64_t load_head(const struct ring_consumer *consumer, uint32_t ring)
{
	const struct wire_ring *control = segment_map_ring(consumer->map, ring);

	/* [RING-1] acquire: the bytes below the head are in place before they are fetched; pairs
	 * with RING-1 in ring_producer.c */
	return atomic_load_explicit(&control->head, memory_order_acquire);
}

static bool positions_valid(const struct ring_consumer *consumer, uint64_t tail, uint64_t head)
{
	return head - tail <= consumer->ring_size && head % 8 == 0 && tail % 8 == 0;
}

static void set_tail(struct ring_consumer *consumer, uint32_t ring, uint64_t tail)
{
	consumer->tails[ring] = tail;
	segment_map_store_tail(consumer->map, ring, tail);
}

/* A head at no multiple of 8 is nothing to begin at, so the tail goes to the last one below. */
static void skip_corrupt_ring(struct ring_consumer *consumer, uint32_t ring, uint64_t head)
{
	consumer->stats.corrupt_rings++;
	set_tail(consumer, ring, head & ~UINT64_C(7));
}

int ring_consumer_new(struct ring_consumer **out, struct segment_map *map)
{
	const struct segment_info *info = segment_map_info(map);
	struct ring_consumer *consumer = alloc_zeroed(1, sizeof(*consumer));

	consumer->map = map;
	consumer->ring_count = info->ring_count;
	consumer->ring_size = info->ring_size;
	for (uint32_t i = 0; i < consumer->ring_count; i++) {
		/* relaxed: the daemon that wrote it is gone, and the head is checked against it */
		uint64_t tail =
			atomic_load_explicit(&segment_map_ring(map, i)->tail, memory_order_relaxed);
		uint64_t head = load_head(consumer, i);

		if (positions_valid(consumer, tail, head))
			consumer->tails[i] = tail;
		else
			skip_corrupt_ring(consumer, i, head);
	}
	*out = consumer;
	return 0;
}

struct ring_consumer *ring_consumer_free(struct ring_consumer *consumer)
{
	free(consumer);
	return NULL;
}

static bool begin_round(struct ring_consumer *consumer, bool all)
{
	uint64_t dirty = segment_map_take_dirty(consumer->map);

	if (!dirty && !all && !consumer->delivered)
		return false;
	for (uint32_t i = 0; i < consumer->ring_count; i++) {
		uint64_t head = load_head(consumer, i);

		if (!positions_valid(consumer, consumer->tails[i], head))
			skip_corrupt_ring(consumer, i, head);
		consumer->heads[i] = head & ~UINT64_C(7);
	}
	consumer->in_round = true;
	consumer->delivered = false;
	consumer->next_ring = 0;
	consumer->stats.rounds++;
	return true;
}

static int fetch(struct ring_consumer *consumer, uint32_t ring, uint8_t *bytes, size_t size)
{
	size_t data = wire_ring_data_offset(consumer->ring_size, ring);
	size_t begin = consumer->tails[ring] & (consumer->ring_size - 1);
	size_t before_end = consumer->ring_size - begin;
	size_t first = size < before_end ? size : before_end;
	int r = segment_map_read(consumer->map, data + begin, bytes, first);

	if (r == 0 && first < size)
		r = segment_map_read(consumer->map, data, bytes + first, size - first);
	return r;
}

static void hand_over(int kind, const void *record, const struct record_sink *sink)
{
	switch (kind) {
	case RECORD_DECODE_BIRTH:
		sink->birth(record, sink->data);
		break;
	case RECORD_DECODE_LIVE:
		sink->live(record, sink->data);
		break;
	case RECORD_DECODE_DEATH:
		sink->death(record, sink->data);
		break;
	case RECORD_DECODE_END:
		sink->end(record, sink->data);
		break;
	case RECORD_DECODE_AUDIT:
		if (sink->audit)
			sink->audit(record, sink->audit_data);
		break;
	default:
		break;
	}
}

/* What waits must not be the reason why other records are lost. */
static bool can_wait(const struct ring_consumer *consumer)
{
	for (uint32_t i = 0; i < consumer->ring_count; i++)
		if (load_head(consumer, i) - consumer->tails[i] > consumer->ring_size / 2)
			return false;
	return true;
}

static bool is_held(const struct ring_consumer *consumer, int kind, const void *record,
	const struct record_sink *sink)
{
	bool stack = kind == RECORD_DECODE_BIRTH || kind == RECORD_DECODE_LIVE;

	return stack && sink->ready && !sink->ready(record, sink->data) && can_wait(consumer);
}

/* How many of the `size` bytes were whole records; -EBADMSG at a malformed one. */
static ssize_t deliver(struct ring_consumer *consumer, const uint8_t *bytes, size_t size,
	const struct record_sink *sink)
{
	size_t at = 0, record_size = 0;

	while (at < size) {
		const void *record = bytes + at;
		int kind = record_decode(record, size - at, &record_size);

		if (kind == -EAGAIN)
			break;
		if (kind < 0)
			return kind;
		consumer->held = is_held(consumer, kind, record, sink);
		if (consumer->held)
			break;
		hand_over(kind, record, sink);
		if (kind == RECORD_DECODE_UNKNOWN)
			consumer->stats.unknown_records++;
		else
			consumer->stats.records++;
		at += record_size;
	}
	return (ssize_t)at;
}

static size_t chunk_size(uint64_t pending, uint64_t budget)
{
	uint64_t size = budget > WIRE_RECORD_MAX ? budget & ~UINT64_C(7) : WIRE_RECORD_MAX;

	if (size > CHUNK_SIZE)
		size = CHUNK_SIZE;
	return pending < size ? pending : size;
}

/* One chunk of a ring that is not at its head yet. 0, RING_CONSUMER_HELD or negative errno. */
static int drain_chunk(struct ring_consumer *consumer, uint32_t ring, uint64_t *budget,
	const struct record_sink *sink)
{
	_Alignas(8) uint8_t bytes[CHUNK_SIZE];
	uint64_t pending = consumer->heads[ring] - consumer->tails[ring];
	size_t size = chunk_size(pending, *budget);
	int r = fetch(consumer, ring, bytes, size);

	if (r < 0)
		return r;
	consumer->held = false;
	ssize_t taken = deliver(consumer, bytes, size, sink);
	/* It may have held a piece of a worker's stack. */
	explicit_bzero(bytes, size);
	if (taken == 0 && consumer->held)
		return RING_CONSUMER_HELD;
	/* Every chunk holds a whole record unless that is longer than what is left up to the head.
	 */
	if (taken <= 0) {
		consumer->stats.corrupt_records++;
		taken = (ssize_t)pending;
	}
	consumer->delivered = true;
	consumer->stats.bytes += (uint64_t)taken;
	*budget -= (uint64_t)taken < *budget ? (uint64_t)taken : *budget;
	set_tail(consumer, ring, consumer->tails[ring] + (uint64_t)taken);
	return consumer->held ? RING_CONSUMER_HELD : 0;
}

int ring_consumer_round(struct ring_consumer *consumer, bool all, uint64_t max_bytes,
	const struct record_sink *sink)
{
	if (!consumer->in_round && !begin_round(consumer, all))
		return 0;
	while (consumer->next_ring < consumer->ring_count) {
		uint32_t ring = consumer->next_ring;

		if (consumer->tails[ring] == consumer->heads[ring]) {
			consumer->next_ring++;
			continue;
		}
		if (max_bytes == 0)
			return RING_CONSUMER_LEFT;
		int r = drain_chunk(consumer, ring, &max_bytes, sink);
		if (r != 0)
			return r;
	}
	consumer->in_round = false;
	return 0;
}

void ring_consumer_stats(const struct ring_consumer *consumer, struct ring_consumer_stats *out)
{
	*out = consumer->stats;
}
