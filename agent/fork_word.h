/*
 * Tells a forked child that it is one: a word in a page that the kernel wipes in the child of fork,
 * _Fork and a raw clone, and leaves alone under vfork and CLONE_VM, whose child shares the parent's
 * memory. Read on every slow entry and before anything is written to a segment: one that was mapped
 * before the fork is the parent's.
 *
 * A child settles once: the first slow entry that wins FORK_CHILD → FORK_SETTLING makes it a
 * process of its own and ends with a new generation. Whatever began under an older generation is
 * void.
 *
 *   field       writer         reader      order
 *   word        kernel (wipes  every hook  [FORK-1] release/acquire: what was settled, for threads
 *               it), settler               that the child starts meanwhile
 *   generation  settler        every hook  relaxed: changes only while the word says FORK_SETTLING
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum { FORK_CHILD = 0, FORK_SETTLED = 1, FORK_SETTLING = 2 };

extern _Atomic uint32_t *fork_word;
extern _Atomic uint32_t fork_word_generation_now; /* 1 in the process that loaded the agent */

/* 0 or negative errno: no word, and every process looks like a child that cannot settle. */
int fork_word_make(void);

/* Not settled: nothing may be told to any segment. */
static inline bool fork_word_is_child(void)
{
	/* [FORK-1] acquire: what was settled; pairs with fork_word_settled. */
	return !fork_word || atomic_load_explicit(fork_word, memory_order_acquire) != FORK_SETTLED;
}

static inline uint32_t fork_word_generation(void)
{
	/* relaxed: see the table. */
	return atomic_load_explicit(&fork_word_generation_now, memory_order_relaxed);
}

/* Whether what began under `generation` may still be told. */
static inline bool fork_word_is(uint32_t generation)
{
	return !fork_word_is_child() && fork_word_generation() == generation;
}

/* True: the caller settles this child, and then calls fork_word_settled with the generation that it
 * gave everything; at most one thread in a child's life. */
bool fork_word_settle(void);
void fork_word_settled(uint32_t generation);
