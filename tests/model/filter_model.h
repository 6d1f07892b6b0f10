/*
 * The counting filter in front of the heap map as a state machine small enough to be searched
 * completely: threads that malloc, free and realloc sampled blocks whose cells overlap, on a TSO
 * memory; threads that stop for ever anywhere; a fork anywhere. Each address has slots of its own:
 * how slots are shared out is announce_model's matter. docs/concurrency.md says what this covers.
 */
#pragma once
#include "model/explore.h"

enum {
	FILTER_THREADS = 3,
	FILTER_SCRIPT = 4,
	FILTER_ADDRESSES = 4,
	FILTER_CELLS = 4,
	FILTER_HASHES = 2,
};

enum filter_op {
	FILTER_NOTHING,
	FILTER_MALLOC,	  /* of `address`, sampled; waits until the allocator has it */
	FILTER_UNSAMPLED, /* the same, not sampled */
	FILTER_FREE,	  /* waits until the program has the block at `address` */
	FILTER_REALLOC,	  /* likewise; fails, or succeeds in place */
	FILTER_REBUILD,	  /* only where filters are swapped */
};

/* A rule taken out. Each must break something, or it would not be needed. */
enum filter_fault {
	FILTER_SOUND = 0,
	FILTER_ADD_AFTER_RETURN = 1 << 0,   /* counts when the program has the block already */
	FILTER_REMOVE_BEFORE_TAKE = 1 << 1, /* counts down what may not be in the map */
	FILTER_REMOVE_ON_FAILED_REALLOC = 1 << 2, /* LIMBO → FINAL counts down as well */
	FILTER_REMOVE_SATURATED = 1 << 3,	  /* a cell that lost count is counted down */
	FILTER_CLEAR_CELLS = 1 << 4,		  /* a cell is cleared instead of counted down */
	FILTER_ADD_IN_TWO = 1 << 5, /* read and write instead of an atomic increment */
	FILTER_REMOVE_IN_TWO = 1 << 6,
	FILTER_WRAP = 1 << 7,		      /* a full cell wraps around */
	FILTER_NO_REMOVE_ON_REALLOC = 1 << 8, /* a realloc that succeeds forgets to count down */
	/* What counting replaces: plain bits, rebuilt by filling a second filter and swapping the
	 * two. With it alone a preempted reader's filter is recycled under it; with the second as
	 * well, readers look again at which filter is current before they believe in a zero. */
	FILTER_SWAPPED = 1 << 9,
	FILTER_SWAP_LOOKS_AGAIN = 1 << 10,
};

struct filter_config {
	uint32_t faults; /* enum filter_fault */
	uint8_t saturation;
	uint8_t kills; /* threads that may stop for ever */
	uint8_t fork;  /* whether the process may become its own child, once */
	uint8_t cells[FILTER_ADDRESSES][FILTER_HASHES];
	struct {
		uint8_t op; /* enum filter_op */
		uint8_t address;
	} script[FILTER_THREADS][FILTER_SCRIPT];
};

void filter_model_run(
	const struct filter_config *config, uint64_t max_states, struct explore_result *result);
