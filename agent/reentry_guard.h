/*
 * Keeps a hook that is at work from sampling the allocations of a signal handler that interrupted
 * it. It remembers the stack address of the hook: a later hook found at or above that address
 * proves that the earlier one was left by siglongjmp or cancellation, and the guard is void. (On an
 * alternate stack that lies higher it is void by mistake, which is harmless: every lease and slot
 * is claimed afresh.) The guard stops sampling only; freed addresses are removed from the map
 * whatever it says.
 */
#pragma once
#include <stdbool.h>
#include "thread_state.h"

static inline bool reentry_guard_enter(struct thread_state *state)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	if (state->guard_sp != 0 && here < state->guard_sp)
		return false;
	state->guard_sp = here;
	return true;
}

static inline void reentry_guard_leave(struct thread_state *state)
{
	state->guard_sp = 0;
}
