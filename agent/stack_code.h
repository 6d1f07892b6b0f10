/*
 * The frames of a stack as they lie in blocks: of each the difference from the one of its kind before
 * it, as a number of 1 to 8 bytes (spprof/wire/map.h). Stacks' neighbours are mostly of the same
 * module, so a frame takes some 3 bytes. For stack_store.c alone; no state, no lock, any thread.
 * Frames are addresses of user space and words of Python; others come out as different ones. Whoever
 * calls owns the blocks, or a reference to the stack that does. A chain that the program overwrote
 * leads to wrong frames, never outside the blocks.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "spprof/wire/map.h"
#include "spprof/wire/record.h"

#define STACK_CODE_MAX	9u /* bytes of a frame: of its number, and of one before it */
#define STACK_CODE_ROOM (WIRE_MAX_FRAMES * STACK_CODE_MAX)

struct stack_code {
	struct wire_stack_block *blocks; /* borrows */
	uint32_t block_count;
	uint32_t first; /* block of the chain; any if there are no frames */
};

/* Writes at most STACK_CODE_MAX bytes for each frame, and returns how many belong to them: zeros may have come behind. */
uint32_t stack_code_encode(const uint64_t *frames, uint32_t count, uint8_t *bytes);
/* Into a chain that is long enough. */
void stack_code_store(const struct stack_code *code, const uint8_t *bytes, uint32_t size);
bool stack_code_equals(const struct stack_code *code, const uint64_t *frames, uint32_t count);
void stack_code_read(const struct stack_code *code, uint64_t *frames, uint32_t count);
