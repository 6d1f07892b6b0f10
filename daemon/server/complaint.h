/*
 * Keeps the log from being flooded by what any user can cause: a few messages in a row, then one a
 * second. Embedded by whoever complains; zero to begin with. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct complaint {
	unsigned recent; /* messages, less one for each second since */
	uint64_t since_ns;
};

bool complaint_allowed(struct complaint *complaint, uint64_t monotonic_ns);
