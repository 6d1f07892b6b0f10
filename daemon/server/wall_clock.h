/* The clocks of records (CLOCK_MONOTONIC) and of people (the Unix epoch), in nanoseconds. Any
 * thread. */
#pragma once
#include <stdint.h>

uint64_t wall_clock_monotonic_ns(void);
uint64_t wall_clock_unix_ns(void);
/* When that was; a time that lies in the future, or before the boot, is taken as now. */
uint64_t wall_clock_unix_of_monotonic(uint64_t monotonic_ns);
