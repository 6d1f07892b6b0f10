/*
 * Call chains that know their own truth: functions of many frame layouts call one another to a
 * given depth, and each writes down its own return address. Not thread-safe: one chain at a time.
 */
#pragma once
#include <stdint.h>

enum { UNWIND_TRUTH_MAX_DEPTH = 512 };

/* Return addresses of the chain's functions, innermost first; valid while the leaf runs. */
extern uintptr_t unwind_truth[UNWIND_TRUTH_MAX_DEPTH];

/* How many functions take part; a chain can begin with any of them. */
unsigned unwind_truth_functions(void);

/* From now on only frames as most code has them take part: no realigned and no huge ones. */
void unwind_truth_ordinary(void);

/* Calls `depth` functions, beginning with number `first`; the innermost calls `leaf`. */
int unwind_truth_run(unsigned first, int depth, void (*leaf)(void));
