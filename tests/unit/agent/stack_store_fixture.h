/* The store of live samples' stacks: what goes in comes out, equal stacks are kept once, and what
 * is released is used again for ever. */
#pragma once
#include <stdlib.h>
#include <string.h>
#include "stack_store.h"
#include "support/tap_main.h"

#define TINY ((size_t)8 * (32 + 3 * 64)) /* one window of entries, 23 blocks */

static struct stack_store store;
static void *memory;
static size_t memory_size;
static uint8_t scratch[STACK_STORE_SCRATCH];

static inline void make_store(size_t size)
{
	free(memory);
	/* Aligned as the agent's memory is, so that tools see a step over its end. */
	memory = aligned_alloc(64, (size + 63) / 64 * 64);
	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, size);
	memory_size = size;
	ck_assert_int_eq(stack_store_init(&store, memory, size), 0);
}

static inline void set_up(void)
{
	make_store((size_t)4 << 20);
}

static inline void tear_down(void)
{
	free(memory);
	memory = NULL;
}

static inline uint32_t intern(const uint64_t *frames, unsigned count)
{
	struct stack_view view = {.frames = frames, .frame_count = (uint16_t)count};

	return stack_store_intern(&store, &view, scratch);
}

static inline void assert_empty(void)
{
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), 0);
	ck_assert_uint_eq(stack_store_blocks_in_use(&store), 0);
}
