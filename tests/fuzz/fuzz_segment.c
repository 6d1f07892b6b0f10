/*
 * A whole segment, of which the input says everything but the bulk of zeros:
 *
 *   1 byte    bits 0-1: rings - 1, bit 2: rings of 32 KiB instead of 16, bit 3: header bytes follow
 *   2 bytes   the budget of each call, little-endian
 *  128 bytes  if bit 3 is set: taken XOR over the beginning of a good header
 *   16 bytes  per ring: tail, head
 *   the rest  in equal parts the data of each ring, from its tail on
 *
 * Whatever it says, the rounds must end, at the heads, having delivered no more than lay in the
 * rings.
 */
#include "config.h"
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "ingest/ring_consumer.h"
#include "ingest/segment_map.h"
#include "support/fake_segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	const uint8_t *at;
	size_t left;
};

static void check(bool condition)
{
	if (!condition)
		abort();
}

static bool take(struct input *input, void *out, size_t size)
{
	if (input->left < size)
		return false;
	memcpy(out, input->at, size);
	input->at += size;
	input->left -= size;
	return true;
}

static void spoil_header(struct fake_segment *segment, struct input *input)
{
	uint8_t bytes[128];

	if (!take(input, bytes, sizeof(bytes)))
		return;
	for (size_t i = 0; i < sizeof(bytes); i++)
		segment->base[i] ^= bytes[i];
}

static void fill_rings(struct fake_segment *segment, struct input *input)
{
	uint64_t tails[4] = {0};

	for (uint32_t i = 0; i < segment->ring_count; i++) {
		uint64_t positions[2];

		if (!take(input, positions, sizeof(positions)))
			return;
		tails[i] = positions[0];
		atomic_store_explicit(&segment->rings[i].tail, positions[0], memory_order_relaxed);
		atomic_store_explicit(&segment->rings[i].head, positions[1], memory_order_relaxed);
	}
	size_t share = input->left / segment->ring_count;
	if (share > segment->ring_size)
		share = segment->ring_size;
	for (uint32_t i = 0; i < segment->ring_count; i++)
		fake_segment_put(segment, i, tails[i], input->at + i * share, share);
}

static void on_birth(const struct wire_birth *birth, void *data)
{
	uint64_t sum = birth->id + birth->size_bytes;

	check(birth->id > 0 && birth->size_bytes > 0 && birth->interval_bytes > 0);
	check(birth->frame_count <= WIRE_MAX_FRAMES);
	for (uint16_t i = 0; i < birth->frame_count; i++)
		sum += birth->frames[i];
	*(volatile uint64_t *)data += sum; /* all of it is readable */
}

static void on_death(const struct wire_death *death, void *data)
{
	check(death->id > 0);
	*(volatile uint64_t *)data += death->time_ns;
}

static void on_live(const struct wire_birth *live, void *data)
{
	check(live->epoch > 0 && live->epoch <= WIRE_EPOCH_MAX);
	on_birth(live, data);
}

static void on_end(const struct wire_end *end, void *data)
{
	check(end->epoch > 0 && end->epoch <= WIRE_EPOCH_MAX);
	*(volatile uint64_t *)data += end->lives;
}

static void drain(struct fake_segment *segment, struct segment_map *map, uint16_t budget)
{
	uint64_t capacity = (uint64_t)segment->ring_count * segment->ring_size, sum = 0;
	const struct record_sink sink = {
		on_birth, on_live, on_death, on_end, NULL, &sum, NULL, NULL};
	struct ring_consumer_stats stats;
	struct ring_consumer *consumer;
	uint64_t calls = 0;
	int r;

	check(ring_consumer_new(&consumer, map) == 0);
	do {
		r = ring_consumer_round(consumer, true, (uint64_t)budget + 1, &sink);
		check(r == 0 || r == 1);
		check(++calls <= capacity / 8 + 1);
	} while (r == 1);
	ring_consumer_stats(consumer, &stats);
	check(stats.bytes <= capacity && stats.rounds == 1);
	for (uint32_t i = 0; i < segment->ring_count; i++) {
		uint64_t head = atomic_load_explicit(&segment->rings[i].head, memory_order_relaxed);
		uint64_t tail = atomic_load_explicit(&segment->rings[i].tail, memory_order_relaxed);

		check(tail == (head & ~UINT64_C(7)));
	}
	ring_consumer_free(consumer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input input = {data, size};
	struct fake_segment segment;
	struct segment_map *map = NULL;
	struct segment_counters counters;
	uint8_t shape = 0;
	uint16_t budget = 0;

	if (!take(&input, &shape, sizeof(shape)) || !take(&input, &budget, sizeof(budget)))
		return 0;
	fake_segment_init(&segment, (shape & 3u) + 1, WIRE_MIN_RING_SIZE << (shape >> 2 & 1), 0);
	if (shape & 8)
		spoil_header(&segment, &input);
	fill_rings(&segment, &input);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);

	int fd = fake_segment_dup(&segment);
	if (segment_map_new(&map, fd, NULL) < 0) {
		close(fd);
	} else {
		check(segment_map_info(map)->ring_count == segment.ring_count);
		check(segment_map_info(map)->ring_size == segment.ring_size);
		segment_map_counters(map, &counters);
		drain(&segment, map, budget);
		segment_map_free(map);
	}
	fake_segment_deinit(&segment);
	return 0;
}
