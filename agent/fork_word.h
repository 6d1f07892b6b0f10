/*
 * Tells a forked child that it is one: a word in a page that the kernel wipes in the child of fork,
 * _Fork and a raw clone, and leaves alone under vfork and CLONE_VM, whose child shares the parent's
 * memory. Read on every slow entry and before anything is written to the segment, which is the
 * parent's.
 *
 *   field  writer  reader      order
 *   word   once    every hook  relaxed: the kernel wipes it before the child runs
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

extern _Atomic uint32_t *fork_word;

/* 0 or negative errno: no word, and every process looks like a child. */
int fork_word_make(void);

static inline bool fork_word_is_child(void)
{
	/* relaxed: see the table. */
	return !fork_word || atomic_load_explicit(fork_word, memory_order_relaxed) == 0;
}
