/*
 * A stack with the frames of two worlds in their true order: the return addresses of a native walk, and behind each one
 * into the evaluator the Python frames that this call of it runs. Called on the sampled path under the re-entry guard;
 * all that it needs lies in the sample's scratch buffer.
 */
#pragma once
#include <stdint.h>
#include "python/frames.h"
#include "spprof/wire/record.h"

struct runtime;
struct segment;
struct walk_result;

struct mixed_stack {
	uint64_t native[WIRE_MAX_FRAMES];
	uintptr_t sp[WIRE_MAX_FRAMES]; /* where each frame's part of the stack begins */
	struct frames python;
};

/* After walk_with_places() into mixed->native and mixed->sp, in a process with an interpreter: writes all frames to `out`,
 * room for WIRE_MAX_FRAMES, the innermost if there are more. Returns how many; *stop is why there are no more. */
uint32_t mixed_stack_take(struct mixed_stack *mixed, const struct runtime *runtime,
	struct segment *segment, const struct walk_result *walk, uint64_t *out, uint8_t *stop);

enum mixed_stack_verdict {
	MIXED_STACK_PAIRED = 0,
	MIXED_STACK_UNPAIRED =
		1 << 0, /* some frames stand at the end: the walk did not come to their evaluator */
	MIXED_STACK_CUT = 1 << 1, /* there are more */
};

/* The merge alone, of `count` return addresses at places that rise wherever they are on one stack. *total is how many
 * were written. Returns bits of enum mixed_stack_verdict. */
unsigned mixed_stack_merge(const struct mixed_stack *mixed, uint32_t count, uint8_t stop,
	const struct runtime *runtime, uint64_t *out, uint32_t *total);
