/*
 * agent/stack_store.c as a state machine small enough to be searched completely: threads that
 * intern, release and take stale references step by step, one access to shared memory each, on a
 * memory that all see in one order; a thread may be killed between any two steps. Entries' plain
 * fields and blocks' bytes are touched in steps of their own, so that whoever looks at them without
 * owning a count is seen to.
 */
#pragma once
#include <stdbool.h>
#include "model/explore.h"

enum {
	STACK_STORE_MODEL_THREADS = 3,
	STACK_STORE_MODEL_SCRIPT = 4,
	STACK_STORE_MODEL_ENTRIES = 3,
	STACK_STORE_MODEL_BLOCKS = 4, /* indices 1 … */
};

enum stack_store_model_op {
	STACK_STORE_MODEL_NOTHING,
	STACK_STORE_MODEL_INTERN,  /* stack `what` (1 …) takes (what + 1) / 2 blocks; held */
	STACK_STORE_MODEL_RELEASE, /* what the operation number `what` of this thread interned */
	STACK_STORE_MODEL_STALE,   /* takes entry `what` if it lives, reads it, gives it back */
};

/* A precaution left out. Each must break something. */
enum stack_store_model_fault {
	STACK_STORE_MODEL_NO_TAG = 1 << 0,     /* pops do not change the list's tag */
	STACK_STORE_MODEL_NO_COMPARE = 1 << 1, /* the hash before the count is believed */
	STACK_STORE_MODEL_NO_BUSY = 1 << 2,    /* the last release makes the entry free at once */
	STACK_STORE_MODEL_TAKE_ANY = 1 << 3,   /* a count is taken of whatever the entry is */
	STACK_STORE_MODEL_EARLY_PUBLISH = 1 << 4, /* the entry lives before it is filled */
	STACK_STORE_MODEL_ADD_UNSEEN = 1 << 5,	  /* a count is looked at, then added blindly */
};

struct stack_store_model_config {
	uint32_t faults;
	uint8_t entries, blocks;
	bool kills; /* any thread may end at any step; then leaks are no fault */
	struct {
		uint8_t op; /* enum stack_store_model_op */
		uint8_t what;
	} script[STACK_STORE_MODEL_THREADS][STACK_STORE_MODEL_SCRIPT];
};

void stack_store_model_run(const struct stack_store_model_config *config, uint64_t max_states,
	struct explore_result *result);
