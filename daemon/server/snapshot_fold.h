/*
 * What an interpreter does to run a program is left out of stacks that show the program's own frames: native frames of the
 * module that holds the evaluator, and the frames by which the import system imports a module, a run of which becomes
 * one frame. Which module that is, the stacks tell: frames of an interpreter stand right outward of the
 * evaluator that runs them. So are frames of the agent, which calls the interpreter's allocator. Of one snapshot in the making; one thread.
 */
#pragma once
#include <stdint.h>
#include "model/stack_table.h"

struct module_map;
struct session_codes;

/* The frame that stands for a run of the import system's: code 0, and a line that no code 0 has. */
#define SNAPSHOT_FOLD_IMPORT STACK_PYTHON_OFFSET(0, 1)

struct snapshot_fold {
	const struct session_codes *codes; /* borrows */
	uint8_t *internal;		   /* owns; by module: 1: an interpreter's */
	uint8_t *imports; /* owns; by code, as far as known: of the import system or not */
	uint32_t module_count;
};

void snapshot_fold_init(struct snapshot_fold *fold, const struct session_codes *codes,
	const struct module_map *modules);
void snapshot_fold_deinit(struct snapshot_fold *fold);
/* For each stack, before the first is folded. */
void snapshot_fold_learn(struct snapshot_fold *fold, const struct stack_view *stack);
/* Writes what is left of the stack's frames to `out`, which has room for all of them, and returns how many. */
uint32_t snapshot_fold_apply(
	struct snapshot_fold *fold, const struct stack_view *stack, struct stack_frame *out);
