/*
 * What of a heap a snapshot has: all samples, or a window of ids of one thread or all; all frames or
 * not; and whether each sample is told by itself, too. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct estimate_sum;
struct heap_model;
struct snapshot;
struct snapshot_window;

struct snapshot_scope {
	uint64_t since_id, until_id; /* until_id 0: no bound */
	uint32_t thread;	     /* 0: all */
	bool internals;		     /* with the interpreter's own frames */
	bool samples;
};

/* What the snapshot says of it. */
struct snapshot_window snapshot_scope_window(
	const struct snapshot_scope *scope, const struct heap_model *heap);
/* As heap_model_sums. In a window the cumulative sums have what lives and what the death log knows. */
void snapshot_scope_sums(const struct snapshot_scope *scope, const struct heap_model *heap,
	struct estimate_sum *live, struct estimate_sum *cumulative, uint32_t stacks);
/* Copies the samples if they are asked for; in a window those that were freed, too, as far as they are known. `sites`, of `stacks` elements, says at which site
 * of the snapshot a stack is; those past it are at that of element 0. */
void snapshot_scope_list(const struct snapshot_scope *scope, const struct heap_model *heap,
	const uint32_t *sites, uint32_t stacks, struct snapshot *snapshot);
