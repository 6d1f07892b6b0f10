/*
 * The frames of a stack as they lie in blocks: zigzag LEB128 of each return address less the one
 * before it (spprof/wire/map.h). Stacks' neighbours are mostly of the same module, so a frame takes
 * some 3 bytes. For stack_store.c alone; no state, no lock, any thread. Whoever calls owns the
 * blocks, or a reference to the stack that does. A chain that the program overwrote leads to wrong
 * frames, never outside the blocks.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "spprof/wire/map.h"

#define STACK_CODE_MAX 10u /* bytes of a number */

struct stack_code {
	struct wire_stack_block *blocks; /* borrows */
	uint32_t block_count;
	uint32_t first; /* block of the chain; any if there are no frames */
};

/* What `count` frames take. */
uint32_t stack_code_bytes(const uint64_t *frames, uint32_t count);
/* Into a chain that is long enough. */
void stack_code_write(const struct stack_code *code, const uint64_t *frames, uint32_t count);
bool stack_code_equals(const struct stack_code *code, const uint64_t *frames, uint32_t count);
void stack_code_read(const struct stack_code *code, uint64_t *frames, uint32_t count);
