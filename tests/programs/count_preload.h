/*
 * What tests/programs/count_preload.c counts, in the file that COUNT_FILE names (made by the test,
 * at least this large, zeroed). Written by the counted process, read by the test at any time.
 */
#pragma once
#include <stdint.h>

#define COUNT_MAGIC UINT64_C(0x31544e554f43) /* "COUNT1" */

struct count_totals {
	uint64_t magic; /* once the counter is at work */
	uint64_t pid;
	_Atomic uint64_t live_bytes; /* as requested */
	_Atomic uint64_t live_blocks;
	_Atomic uint64_t
		total_bytes; /* since the start; a realloc that succeeds counts its new size */
	_Atomic uint64_t total_blocks;
	_Atomic uint64_t unknown_frees; /* of addresses that were never seen: another allocator's */
	_Atomic uint64_t not_counted;	/* blocks that did not fit into the table: must be 0 */
};
