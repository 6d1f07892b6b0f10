/*
 * Rules of call sites that were walked before: one process-wide table of 8-byte words, each a pc
 * and its rule, so that a word is always whole and a reader needs no lock. Rules that are too odd
 * for those bits are kept in a side table whose words are written once and never change.
 *
 * Called by walk alone; any thread, also in a signal handler. No allocation, no system call, never
 * blocks; a thread that dies anywhere in here leaves nothing half done. Inherited warm by a forked
 * child.
 *
 *   field     writer            reader      order
 *   words[i]  any walk; flush   any walk    relaxed: a word is all of a pc and its rule, and
 *                                           publishes nothing else
 *   side[i]   any walk, once    any walk    relaxed: as words[i]; a reader whose rule names a word
 *                                           that it cannot see yet finds 0, and its walk ends there
 *                                           as unsupported
 *   epoch     flush             any walk    [EPOCH-1] release/acquire: what a dlclose did to the
 *                                           loader's tables, before the epoch under which rules
 *                                           from those tables are kept
 *
 * Unloading. A rule found before a dlclose must not serve the library loaded at the same place
 * after it, and a walk may be storing such a rule while flush() runs, or be stopped between finding
 * and storing it for any time. So words are not merely erased: a stored pc is mixed with a salt of
 * the epoch under which its walk began, and read back with the reader's. A stale word stored late
 * has an old salt, and no later walk matches it (nor any other pc, but for a coincidence in 46
 * bits). Whoever reads a new epoch sees the loader without the library ([EPOCH-1]), so under a new
 * salt only new rules are stored. What remains: while one thread is between unmapping inside
 * dlclose() and the flush after it, another may load a library at that very place and walk it with
 * rules that the old library's destructors left: frames of that sample may be wrong; no read is out
 * of bounds, for no rule can cause that.
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "unwind/arch.h"
#include "unwind/cfi.h"

/*
 * How a rule's few bits are used is the architecture's business, where plain rules, nearly all, are
 * concerned: what they say is found in a few instructions. Others:
 *   slot RULE_CACHE_NOT_PLAIN    flag 0    value: an enum cfi_verdict
 *   slot RULE_CACHE_NOT_PLAIN    flag 1    value: an index into the side table
 * 0 would be a frame of no size, so it says that the rule is not known.
 */
#if defined(__x86_64__)
#include "unwind/rule_cache_x86_64.h"
#else
#include "unwind/rule_cache_aarch64.h"
#endif

enum {
	RULE_CACHE_MISSING = 0,
	RULE_CACHE_VALUE_MAX = (1 << 12) - 1,
	RULE_CACHE_WORDS_LOG2 = 14,
};

/* Hidden in the declaration, too: else the loop of a walk would find it through a table. */
extern _Atomic uint64_t rule_cache_words[1 << RULE_CACHE_WORDS_LOG2]
	__attribute__((visibility("hidden")));

/* What a walk passes to find and store: fixed at its beginning. */
uint64_t rule_cache_salt(void);

static inline uint32_t rule_cache_index(uint64_t key)
{
	return (uint32_t)(key * 0x9e3779b97f4a7c15u >> (64 - RULE_CACHE_WORDS_LOG2));
}

static inline uint32_t rule_cache_find_at(uint32_t index, uint64_t key)
{
	/* Relaxed: see the table above. */
	uint64_t word = atomic_load_explicit(&rule_cache_words[index], memory_order_relaxed);
	return word >> RULE_CACHE_BITS == key ? word & ((1 << RULE_CACHE_BITS) - 1)
					      : RULE_CACHE_MISSING;
}

static inline uint64_t rule_cache_key(uint64_t salt, uintptr_t pc)
{
	return pc >> RULE_CACHE_PC_SHIFT ^ salt;
}

/* The rule at `pc`, or RULE_CACHE_MISSING: it may have been displaced. */
static inline uint32_t rule_cache_find(uint64_t salt, uintptr_t pc)
{
	uint64_t key = rule_cache_key(salt, pc);
	return rule_cache_find_at(rule_cache_index(key), key);
}

/* Where store() puts the word that it found in its place: two call sites of one hot stack would
 * else take turns in being looked up. */
static inline uint32_t rule_cache_find_displaced(uint64_t salt, uintptr_t pc)
{
	uint64_t key = rule_cache_key(salt, pc);
	return rule_cache_find_at(rule_cache_index(key) ^ 1, key);
}

/* `pc` has at most ARCH_ADDRESS_BITS. Returns the rule. */
uint32_t rule_cache_store(uint64_t salt, uintptr_t pc, uint32_t rule);

/* The rule of a verdict; `step` is read if that is CFI_STEP. Never RULE_CACHE_MISSING. */
uint32_t rule_cache_pack(enum cfi_verdict verdict, const struct cfi_step *step);

static inline uint32_t rule_cache_of(enum cfi_verdict verdict)
{
	return RULE_CACHE_NOT_PLAIN | (uint32_t)verdict << RULE_CACHE_VALUE_SHIFT;
}

/* A rule that is not plain: what it says; fills in *step if that is CFI_STEP. */
enum cfi_verdict rule_cache_unpack(uint32_t rule, struct cfi_step *step);

void rule_cache_flush(void);
uint32_t rule_cache_epoch(void);
