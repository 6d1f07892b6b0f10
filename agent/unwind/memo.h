/*
 * What the last walk of a thread looked up, in the order in which it did: for each frame the word
 * that the rule cache holds, and the stack pointer at which it was wanted. A walk looks here first,
 * since a thread's next stack is mostly the last one but for its innermost frames.
 *
 * What it gains. Without it the way from one frame to the next is a chain of loads that wait for
 * each other: return address, rule at that address, frame size, next return address. Here the words
 * lie one after the other, and each frame's stack pointer follows from its word, or is the next
 * word's, so no load waits for another; the return address is only compared, which the processor
 * predicts. It is 16 bytes a frame in sequence, where the cache has a line anywhere for each.
 *
 * Why a walk with a memo is the walk without one. Nothing that lies here is believed of a stack: a
 * walk reads every return address and every saved frame pointer from the stack, computes every
 * frame and checks all bounds, just as it would; only the rule may come from here. A word serves
 * only if its key is the one under which the cache would be asked, pc and salt, and a word is put
 * here only if the cache gave it, or would have been given it, for that key (rule_cache.h). So it is
 * of no consequence for the result whose walk left it, on which stack, before or after a fork, or
 * whether a signal handler left it half written: what fits is right and what doesn't is not used.
 * Another epoch is another salt: after a dlclose no word fits. Stack pointers only tell where in
 * the list to look, and are replaced by equal ones. That a pc has no CFI is never put here.
 *
 * A list is rewritten where it differs and left alone where it does not: the frames of a walk are
 * written from the front while those of the last walk are read ahead of that.
 *
 * A memo belongs to one walk at a time. Zeroed memory is an empty one. For walk alone.
 */
#pragma once
#include <stdint.h>
#include "unwind/rule_cache.h"

enum { MEMO_FRAMES = 255 }; /* of deeper stacks the innermost */

struct memo_entry {
	uint64_t word; /* 0: the rule is not to be remembered */
	uintptr_t sp;
};

struct memo {
	uint64_t count;
	struct memo_entry list[MEMO_FRAMES + 1]; /* with a mark at the end */
};

/* Where a walk begins to read: of the last walk's entries, the first that may still serve. Handed
 * from one function to the next by value, since the loop of a walk lives on its registers. */
struct memo_entry *memo_begin(struct memo *memo);
void memo_end(struct memo *memo, uint32_t count);

/* The entry that fits the walk's next stack pointer best. */
static inline struct memo_entry *memo_seek(struct memo_entry *next, uintptr_t sp)
{
	while (__builtin_expect(next->sp < sp, 0))
		next++;
	return next;
}

/* The same number as `sp`. Where `next` has it, too, the compiler does not know that it is the same
 * (and is kept from a conditional move), so what is computed from it needn't wait for what led to
 * `sp`. */
static inline uintptr_t memo_predict(const struct memo_entry *next, uintptr_t sp)
{
	uintptr_t known = next->sp, hidden = known;

	__asm__("" : "+r"(hidden));
	if (__builtin_expect(known == sp, 1))
		return hidden;
	__asm__ volatile("");
	return sp;
}

/* The rule for `key`, or RULE_CACHE_MISSING. A key with more bits than a word has room for fits none. */
static inline uint32_t memo_find(const struct memo_entry *next, uint64_t key)
{
	uint64_t word = next->word;

	return word >> RULE_CACHE_BITS == key ? word & ((1 << RULE_CACHE_BITS) - 1)
					      : RULE_CACHE_MISSING;
}

/* After a hit at `next`, which is kept as the walk's frame number `index`. Returns what is next. */
static inline struct memo_entry *memo_keep(
	struct memo *memo, struct memo_entry *next, uint32_t index)
{
	if (__builtin_expect(next != &memo->list[index], 0))
		memo->list[index] = *next;
	return next + 1;
}

/* After a miss: `rule` was found elsewhere. */
struct memo_entry *memo_learn(struct memo *memo, struct memo_entry *next, uint32_t index,
	uintptr_t sp, uint64_t key, uint32_t rule);
