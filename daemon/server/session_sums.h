/*
 * A session's whole heap added up, which takes a time that grows with the heap, so the sums are kept
 * for a while. Part of the session; one thread.
 */
#pragma once
#include <stdint.h>
#include "model/estimate.h"

struct heap_model;

struct session_sums { /* all zero: nothing was added up yet */
	struct estimate_sum live, cumulative;
	uint64_t at_ns, changes; /* of the heap, by then */
};

/* Adds the heap up anew if it has changed since it was done, and that was max_age_ns ago or longer. */
void session_sums_update(struct session_sums *sums, const struct heap_model *heap, uint64_t now_ns,
	uint64_t max_age_ns);
