/*
 * Keeps a hook that is at work from sampling the allocations of a signal handler that interrupted
 * it. It remembers the stack address of the hook: a later hook found at or above that address
 * proves that the earlier one was left by siglongjmp or cancellation, and the guard is void. A hook
 * that was left and is only ever followed by deeper ones would keep the thread from sampling, so
 * after some refusals the guard is void as well. Where it is void by mistake (an alternate stack
 * that lies higher, a handler that allocates a lot) nothing is hurt: every lease and slot is
 * claimed afresh. The guard stops sampling only; freed addresses are removed from the map whatever
 * it says.
 */
#pragma once
#include <stdbool.h>
#include "thread_state.h"

#define REENTRY_GUARD_PATIENCE 64

/* A frame's address in steps of 8 bytes, modulo 32 GiB: of two places on one stack it still says which is
 * deeper. Frames lie at multiples of 16, so the lowest bit is free to tell it from 0, no place at all. */
static inline __attribute__((always_inline)) uint32_t reentry_guard_place(void)
{
	return (uint32_t)((uintptr_t)__builtin_frame_address(0) >> 3) | 1;
}

static inline bool reentry_guard_enter(struct thread_state *state)
{
	uint32_t here = reentry_guard_place();

	if (state->guard_sp != 0 && (int32_t)(here - state->guard_sp) < 0 &&
		state->refused < REENTRY_GUARD_PATIENCE) {
		state->refused++;
		return false;
	}
	state->guard_sp = here;
	state->refused = 0;
	return true;
}

static inline void reentry_guard_leave(struct thread_state *state)
{
	state->guard_sp = 0;
}
