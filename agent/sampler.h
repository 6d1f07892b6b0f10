/*
 * Which allocations are sampled. Requested bytes are a line on which sample points fall as a
 * Poisson process with mean interval T; the thread counts down to its next point
 * (docs/sampling.md). Integer arithmetic only: the host's floating-point state is not ours. One
 * thread_state per thread; the interval is process-wide.
 *
 *   field     writer                 reader       order
 *   interval  any thread (brake),    any thread   relaxed: a thread that sees it late samples under
 *             whoever sets it                     the T that it drew with, and records that T
 *   tick      whoever opens or ends  any thread   relaxed: how often a thread looks in changes no
 *             a resync                            probability
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "thread_state.h"

/* A slow entry at least every so many bytes: the service tick, by which a thread that samples
 * seldom hears of a new interval and takes its turns in a resync. */
#define SAMPLER_TICK	     (UINT64_C(4) << 20)
#define SAMPLER_TICK_OPEN    (UINT64_C(16) << 10) /* while a resync is open */
#define SAMPLER_MAX_INTERVAL (UINT64_C(1) << 40)

struct sampler_settings {
	uint64_t interval_bytes; /* 1 … SAMPLER_MAX_INTERVAL */
	uint64_t ceiling;	 /* samples per second above which T doubles; 0: no ceiling */
	uint64_t seed;		 /* each thread's generator is seeded from this and its ordinal */
};

void sampler_init(const struct sampler_settings *settings);

/* Seeds a thread's generator and draws its first point. sampler_cross does it for new threads; in a
 * forked child it is for the thread that lives on, after sampler_reseed. */
void sampler_enter(struct thread_state *state);
/* A forked child's threads must not sample what its siblings' do. */
void sampler_reseed(uint64_t salt);

/* An allocation of `size` bytes reached the countdown (size >= state->countdown). True: it is
 * sampled, under *interval_bytes. Reloads the countdown either way. */
bool sampler_cross(struct thread_state *state, uint64_t size, uint64_t *interval_bytes);

/* Sampling is off: pass everything, look in again after `tick` bytes, and draw anew when it goes on. */
void sampler_skip(struct thread_state *state, uint64_t tick);

/* The calling thread looks in at its next allocation and draws anew, as a new thread does: exact at any moment that
 * does not depend on where its point was. */
void sampler_restart(struct thread_state *state);

/* T now in force for new sample points. */
uint64_t sampler_interval(void);
/* T as asked for: what the brake departs from and returns to. 0: as at sampler_init. Threads take
 * it over at their next slow entry; samples taken keep the T they were taken under. */
void sampler_set_interval(uint64_t interval_bytes);
void sampler_set_tick(uint64_t bytes);
uint64_t sampler_tick(void);

/* One sample was kept at `now_ns`: doubles T above the ceiling, and while memory is nearly used up and
 * still filling. `crowd`: how much of the map and the stack store is in use if that is nearly all,
 * else 0. */
void sampler_brake(uint64_t now_ns, uint64_t crowd);
/* The same of a slow entry without a sample: halves T again once it has been calm for a while. */
void sampler_look(uint64_t now_ns, uint64_t crowd);

/* ceil of an exponential variate of mean `interval`, at least 1. */
uint64_t sampler_draw(uint64_t rng[2], uint64_t interval_bytes);

/* Seeds a generator from a seed and an ordinal (splitmix64). Never leaves both words 0. */
void sampler_seed(uint64_t rng[2], uint64_t seed, uint64_t ordinal);
uint64_t sampler_next(uint64_t rng[2]);

/* What a lost sample stood for: s/p = s / (1 - exp(-s/T)), to within 2 %, in integers. */
uint64_t sampler_weight(uint64_t size_bytes, uint64_t interval_bytes);
