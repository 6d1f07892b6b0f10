/*
 * What of a heap a snapshot has: all samples, or a window of ids of one thread or all; all frames or
 * not; and whether each sample is told by itself, too. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "model/estimate.h"

struct family_ledger;
struct heap_birth;
struct heap_model;
struct session;
struct snapshot;
struct snapshot_window;

struct snapshot_scope {
	uint64_t since_id, until_id; /* until_id 0: no bound */
	uint32_t thread;	     /* 0: all */
	bool internals;		     /* with the interpreter's own frames */
	bool samples;
	struct family_ledger *ledger; /* borrows; says what counts, once per snapshot; NULL: all */
	bool nothing;		      /* of a process that has ended, among others that live */
};

/* What the snapshot says of it. */
struct snapshot_window snapshot_scope_window(
	const struct snapshot_scope *scope, const struct heap_model *heap);
/* Whether a sample lies in the window, as far as there is one. */
bool snapshot_scope_has(const struct snapshot_scope *scope, const struct heap_birth *entry);
/* As heap_model_sums. In a window the cumulative sums have what lives and what the death log knows. */
void snapshot_scope_sums(const struct snapshot_scope *scope, const struct heap_model *heap,
	struct estimate_sum *live, struct estimate_sum *cumulative, uint32_t stacks);
/* What of it lived when the process was forked. */
struct estimate_sum snapshot_scope_inherited(
	const struct snapshot_scope *scope, const struct session *session);
/* Copies the samples if they are asked for, after snapshot_scope_sums, which has a ledger say what counts; in a window those that were freed, too, as far as they are known. `sites`, of `stacks` elements, says at which site
 * of the snapshot a stack is; those past it are at that of element 0. */
void snapshot_scope_list(const struct snapshot_scope *scope, const struct heap_model *heap,
	const uint32_t *sites, uint32_t stacks, struct snapshot *snapshot);
