/* Sums of numbers that another process claims: they stay at the largest instead of running over. */
#pragma once
#include <stdint.h>

static inline uint64_t saturated_add(uint64_t a, uint64_t b)
{
	return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}
