/*
 * Exhaustive search of a small concurrent system: every state that any interleaving can reach, each
 * once, in breadth-first order, so that a counterexample is a shortest one. A state is a flat block
 * of bytes without padding or pointers; the system says how to step it and what must never be true
 * of it. One thread.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

struct explore;

struct explore_system {
	size_t state_size;
	/* Calls explore_reached() for each state that one step leads to. */
	void (*step)(struct explore *search, const void *state, const void *config);
	/* NULL, or the sentence that is broken in this state. */
	const char *(*broken)(const void *state, const void *config);
	const void *config; /* borrows */
};

struct explore_result {
	uint64_t states;
	const char *broken; /* NULL: no reachable state breaks anything */
	int complete;	    /* 0: stopped at max_states */
	char trace[8192];   /* the steps to the broken state, one per line */
};

void explore_run(const struct explore_system *system, const void *initial, uint64_t max_states,
	struct explore_result *result);
/* `label` (copied, at most 47 bytes) names the step in a trace. */
void explore_reached(struct explore *search, const void *state, const char *label);
