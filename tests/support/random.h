/* Reproducible randomness for tests: splitmix64 (Steele, Lea, Flood 2014) from a seed that the test
 * names. */
#pragma once
#include <math.h>
#include <stdint.h>

struct random {
	uint64_t state;
};

static inline uint64_t random_next(struct random *r)
{
	uint64_t z = r->state += UINT64_C(0x9e3779b97f4a7c15);
	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

/* 0 … bound - 1; the bias of the remainder is below 2^-32 for bounds below 2^32. */
static inline uint64_t random_below(struct random *r, uint64_t bound)
{
	return random_next(r) % bound;
}

/* Uniform in (0, 1), never an end point. */
static inline double random_unit(struct random *r)
{
	return ((double)(random_next(r) >> 11) + 0.5) * 0x1p-53;
}

/* Exponential with mean 1. */
static inline double random_exponential(struct random *r)
{
	return -log(random_unit(r));
}
