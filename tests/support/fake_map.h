/*
 * A worker's heap map and stack store made by hand, in memory of the test's own, as
 * spprof/wire/map.h lays them out: for tests that have the daemon read them. One thread. A function
 * that cannot do its part ends the program.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include "spprof/wire/map.h"

#define FAKE_MAP_STACKS 256u
#define FAKE_MAP_BLOCKS 4096u

struct fake_segment;

struct fake_map {
	struct wire_slot *slots; /* owns; the start of one mapping with the two below */
	struct wire_stack *stacks;
	struct wire_stack_block *blocks;
	size_t size; /* of the mapping */
	uint32_t levels, stack_count, block_count;
};

void fake_map_init(struct fake_map *map, uint32_t levels);
void fake_map_deinit(struct fake_map *map);
/* FINAL, with numbers that follow from `id` as fake_segment_birth has them. `frames` NULL: stack
 * not kept. */
void fake_map_set(struct fake_map *map, uint32_t slot, uint64_t id, uint32_t mark,
	const uint64_t *frames, uint16_t frame_count);
void fake_map_set_key(struct fake_map *map, uint32_t slot, uint64_t tag);
void fake_map_clear(struct fake_map *map, uint32_t slot);
/* The segment says where the map is, and which generation its marks are of. */
void fake_map_publish(
	const struct fake_map *map, struct fake_segment *segment, uint32_t generation);
/* As the kernel would copy it: 0 or -EFAULT. */
int fake_map_read(const struct fake_map *map, uint64_t address, void *bytes, size_t size);
