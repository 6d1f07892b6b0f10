/* Times of records come from workers: a nonsensical one must not become a date far away. */
#include "server/wall_clock.h"

#include <time.h>

static uint64_t read_ns(clockid_t clock)
{
	struct timespec now;
	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t wall_clock_monotonic_ns(void)
{
	return read_ns(CLOCK_MONOTONIC);
}

uint64_t wall_clock_unix_ns(void)
{
	return read_ns(CLOCK_REALTIME);
}

uint64_t wall_clock_unix_of_monotonic(uint64_t monotonic_ns)
{
	uint64_t now = wall_clock_monotonic_ns();
	uint64_t age = monotonic_ns == 0 || monotonic_ns > now ? 0 : now - monotonic_ns;
	return wall_clock_unix_ns() - age;
}
