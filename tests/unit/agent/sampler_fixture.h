/* Threads that allocate as the hooks have them do. */
#pragma once
#include <stdint.h>
#include "sampler.h"
#include "support/tap_main.h"

#define SEED 20240229

static inline void restart(uint64_t interval_bytes, uint64_t ceiling, uint64_t seed)
{
	struct sampler_settings settings = {
		.interval_bytes = interval_bytes, .ceiling = ceiling, .seed = seed};

	sampler_init(&settings);
}

/* As the hooks do: the fast path subtracts, the slow one asks. */
static inline bool allocate(struct thread_state *state, uint64_t size, uint64_t *interval_bytes)
{
	if (size < state->countdown) {
		state->countdown -= size;
		return false;
	}
	return sampler_cross(state, size, interval_bytes);
}
