/* Relaxed throughout: whoever reads it does so between two calls of the same thread. */
#include "config.h"
#include "support/fake_map.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "spprof/wire/record.h"
#include "support/fake_segment.h"

static void store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed); /* relaxed: see above */
}

void fake_map_init(struct fake_map *map, uint32_t levels)
{
	size_t slots = (((size_t)1 << levels) - 1) << WIRE_MAP_LEVEL0_BITS;
	size_t slot_bytes = slots * sizeof(struct wire_slot);
	size_t stack_bytes = FAKE_MAP_STACKS * sizeof(struct wire_stack);
	size_t size = slot_bytes + stack_bytes + FAKE_MAP_BLOCKS * sizeof(struct wire_stack_block);
	uint8_t *base =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED)
		abort();
	*map = (struct fake_map){
		.slots = (struct wire_slot *)base,
		.stacks = (struct wire_stack *)(base + slot_bytes),
		.blocks = (struct wire_stack_block *)(base + slot_bytes + stack_bytes),
		.size = size,
		.levels = levels,
		.block_count = 1,
	};
}

void fake_map_deinit(struct fake_map *map)
{
	munmap(map->slots, map->size);
}

static size_t encode(uint8_t *bytes, uint64_t number)
{
	size_t size = 1;

	while (number >> (8 * size - WIRE_NUMBER_SHIFT) != 0)
		size++;
	number = number << WIRE_NUMBER_SHIFT | (size - 1);
	for (size_t i = 0; i < size; i++)
		bytes[i] = (uint8_t)(number >> 8 * i);
	return size;
}

static void put_blocks(
	struct fake_map *map, struct wire_stack *stack, const uint8_t *bytes, size_t size)
{
	stack->block = size ? map->block_count : 0;
	for (size_t at = 0; at < size; at += WIRE_BLOCK_BYTES) {
		struct wire_stack_block *block = &map->blocks[map->block_count++];
		size_t left = size - at;

		if (map->block_count > FAKE_MAP_BLOCKS)
			abort();
		memcpy(block->bytes, bytes + at, left < WIRE_BLOCK_BYTES ? left : WIRE_BLOCK_BYTES);
		if (left > WIRE_BLOCK_BYTES) /* relaxed: see above */
			atomic_store_explicit(&block->next, map->block_count, memory_order_relaxed);
	}
}

static uint32_t put_stack(struct fake_map *map, const uint64_t *frames, uint16_t frame_count)
{
	uint8_t bytes[512 * 9];
	size_t size = 0;
	uint64_t before[] = {0, WIRE_FRAME_PYTHON};
	int kind = 0;

	if (map->stack_count == FAKE_MAP_STACKS)
		abort();
	struct wire_stack *stack = &map->stacks[map->stack_count++];
	for (uint16_t i = 0; i < frame_count; i++) {
		if (wire_frame_is_python(frames[i]) != kind)
			size += encode(bytes + size, WIRE_NUMBER_OTHER_KIND);
		kind = wire_frame_is_python(frames[i]);
		uint64_t delta = frames[i] - before[kind];

		size += encode(bytes + size, 1 + (delta << 1 ^ (uint64_t)((int64_t)delta >> 63)));
		before[kind] = frames[i];
	}
	put_blocks(map, stack, bytes, size);
	stack->frame_count = frame_count;
	stack->bytes = (uint32_t)size;
	return map->stack_count;
}

void fake_map_set(struct fake_map *map, uint32_t slot, uint64_t id, uint32_t mark,
	const uint64_t *frames, uint16_t frame_count)
{
	struct wire_slot *at = &map->slots[slot];
	uint64_t stack = frames ? put_stack(map, frames, frame_count) : 0;

	store(&at->key, id << 4 << 3 | WIRE_SLOT_FINAL);
	store(&at->id_mark, id << WIRE_SLOT_MARK_BITS | mark);
	store(&at->size_bytes, id * 16);
	store(&at->interval_bytes, 512u << 10);
	store(&at->birth_ns, id * 1000);
	store(&at->meta, stack << 32 | 1);
}

void fake_map_set_key(struct fake_map *map, uint32_t slot, uint64_t tag)
{
	store(&map->slots[slot].key, UINT64_C(0x1000) << 3 | tag);
}

void fake_map_clear(struct fake_map *map, uint32_t slot)
{
	store(&map->slots[slot].key, WIRE_SLOT_TOMB);
	store(&map->slots[slot].id_mark, 0);
}

void fake_map_publish(const struct fake_map *map, struct fake_segment *segment, uint32_t generation)
{
	struct wire_header *header = segment->header;

	header->map_address = (uint64_t)(uintptr_t)map->slots;
	header->stacks_address = (uint64_t)(uintptr_t)map->stacks;
	header->blocks_address = (uint64_t)(uintptr_t)map->blocks;
	header->stack_count = FAKE_MAP_STACKS;
	header->block_count = FAKE_MAP_BLOCKS;
	header->map_max_levels = map->levels;
	header->generation = generation;
	/* relaxed: see above */
	atomic_store_explicit(&header->map_levels, map->levels, memory_order_relaxed);
}

int fake_map_read(const struct fake_map *map, uint64_t address, void *bytes, size_t size)
{
	uint64_t at = address - (uint64_t)(uintptr_t)map->slots;

	if (at > map->size || size > map->size - at)
		return -EFAULT;
	memcpy(bytes, (const uint8_t *)map->slots + at, size);
	return 0;
}
