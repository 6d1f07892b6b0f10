/* A segment made by hand and its consumer, whose sink copies what arrives one after the other. */
#pragma once
#include "ingest/ring_consumer.h"
#include <fcntl.h>
#include <string.h>
#include "ingest/segment_map.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

#define RING_SIZE WIRE_MIN_RING_SIZE
#define RINGS	  3
#define ALL	  UINT64_MAX

static struct fake_segment segment;
static struct segment_map *map;
static struct ring_consumer *consumer;
static struct ring_consumer_stats stats;

/* What the sink got, copied one after the other. */
static struct {
	uint8_t *bytes;
	size_t size, capacity, count;
} got;

static inline void record(const void *bytes, size_t size)
{
	if (got.size + size > got.capacity) {
		got.capacity = (got.size + size) * 2;
		got.bytes = realloc(got.bytes, got.capacity);
	}
	memcpy(got.bytes + got.size, bytes, size);
	got.size += size;
	got.count++;
}

static inline void on_birth(const struct wire_birth *birth, void *data)
{
	ck_assert_ptr_eq(data, &got);
	record(birth, sizeof(*birth) + birth->frame_count * sizeof(uint64_t));
}

static inline void on_death(const struct wire_death *death, void *data)
{
	ck_assert_ptr_eq(data, &got);
	record(death, sizeof(*death));
}

static inline void on_end(const struct wire_end *end, void *data)
{
	ck_assert_ptr_eq(data, &got);
	record(end, sizeof(*end));
}

static const struct record_sink sink = {
	.birth = on_birth, .live = on_birth, .death = on_death, .end = on_end, .data = &got};

static void start(uint32_t rings, uint32_t ring_size)
{
	fake_segment_init(&segment, rings, ring_size, 0);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	ck_assert_int_eq(segment_map_new(&map, fake_segment_dup(&segment), NULL), 0);
	ck_assert_int_eq(ring_consumer_new(&consumer, map), 0);
	got.size = got.count = 0;
}

static inline void set_up(void)
{
	start(RINGS, RING_SIZE);
}

static inline void stop(void)
{
	consumer = ring_consumer_free(consumer);
	map = segment_map_free(map);
	fake_segment_deinit(&segment);
}

static inline void restart_consumer(void)
{
	ring_consumer_free(consumer);
	ck_assert_int_eq(ring_consumer_new(&consumer, map), 0);
}

static inline int drain(void)
{
	int r = ring_consumer_round(consumer, false, ALL, &sink);

	ring_consumer_stats(consumer, &stats);
	return r;
}

static inline uint64_t *words(void)
{
	static uint64_t record_words[WIRE_RECORD_MAX / 8];

	return record_words;
}

static inline void append_birth(uint32_t ring, uint64_t id, uint16_t frames)
{
	fake_segment_append(&segment, ring, words(), fake_segment_birth(words(), id, frames));
}

static inline void append_death(uint32_t ring, uint64_t id)
{
	fake_segment_append(&segment, ring, words(), fake_segment_death(words(), id));
}

static inline uint64_t head_of(uint32_t ring)
{
	return atomic_load_explicit(&segment.rings[ring].head, memory_order_relaxed);
}

static inline uint64_t tail_of(uint32_t ring)
{
	return atomic_load_explicit(&segment.rings[ring].tail, memory_order_relaxed);
}

static inline void set_head(uint32_t ring, uint64_t head)
{
	atomic_store_explicit(&segment.rings[ring].head, head, memory_order_relaxed);
	atomic_store_explicit(&segment.header->dirty, UINT64_MAX, memory_order_relaxed);
}

static inline void assert_got_birth(size_t *at, uint64_t id, uint16_t frames)
{
	size_t size = fake_segment_birth(words(), id, frames);

	ck_assert_uint_le(*at + size, got.size);
	ck_assert_mem_eq(got.bytes + *at, words(), size);
	*at += size;
}

/* The ring is as good as new: a record written now arrives. */
static inline void assert_works(uint32_t ring)
{
	size_t at = got.size;

	append_birth(ring, 4711, 9);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 4711, 9);
	ck_assert_uint_eq(at, got.size);
}
