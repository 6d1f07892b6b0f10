/*
 * The stacks that live samples refer to, so that they can be told again: bounded, hash-consed,
 * reference-counted, in the agent's own memory, laid out as spprof/wire/map.h says. Any thread,
 * also in signal handlers; no lock, no waiting. A thread that dies half-way leaves one entry and
 * its blocks behind for good; so does a fork for each thread that was half-way.
 *
 * An entry's count:  FREE → BUSY → 1 reference ⇄ n references → BUSY → FREE. BUSY belongs to one
 * thread: the one that claimed the entry, or that gave up the last reference.
 *
 *   field          writer              reader          order
 *   refs           any, by CAS, add    any             [STACK-1] release/acquire: all of the entry,
 *                  and sub                             its blocks included
 *   hash           BUSY's owner        any             relaxed: a hint, contents are compared
 *   other fields,  BUSY's owner        who holds a     plain: ordered by refs
 *   blocks' bytes                      reference
 *   blocks' next   the block's owner   any             [STACK-2] with free_blocks, whose CAS decides
 *   free_blocks    any, by CAS         any             [STACK-2] release/acquire: blocks of the list
 *   bump, levels   any, by CAS         any             relaxed: only rise, nothing hangs on them
 *   gauges         any                 any             relaxed: statistics
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "stack_code.h"

#define STACK_STORE_WINDOW     8u /* entries: 4 cache lines */
#define STACK_STORE_MAX_LEVELS 8u
#define STACK_STORE_SCRATCH    STACK_CODE_ROOM

struct stack_store_level {
	uint32_t first;	  /* entry */
	uint32_t windows; /* of STACK_STORE_WINDOW entries */
};

struct stack_store {
	struct wire_stack *stacks;	 /* borrows */
	struct wire_stack_block *blocks; /* borrows; block 0 is never used */
	uint32_t stack_count, block_count;
	uint32_t level_count;
	struct stack_store_level level[STACK_STORE_MAX_LEVELS];
	_Atomic uint32_t levels;      /* in use; beyond level_count: other windows as well */
	_Atomic uint32_t bump;	      /* blocks from here on were never used */
	_Atomic uint64_t free_blocks; /* tag << 32 | first of the list, 0: empty */
	_Atomic uint32_t stacks_in_use, blocks_in_use; /* what was left behind included */
};

/* All of it is what makes two stacks the same. */
struct stack_view {
	const uint64_t *frames; /* borrows; as in stack_code.h, innermost first */
	uint16_t frame_count;	/* 0 … WIRE_MAX_FRAMES */
	uint8_t stop;		/* enum wire_stop */
	uint8_t guessed;
	uint32_t module_epoch;
};

/* Lays the store out in `size` bytes of zeroed, 8-byte aligned memory, of which it touches no more
 * than it comes to use. -ENOMEM: too small to be of use. */
int stack_store_init(struct stack_store *store, void *memory, size_t size);

/* The stack's reference, never 0, with one count that the caller owns; 0: no room, or more than
 * WIRE_MAX_FRAMES frames (counted by the caller). Whatever is in `scratch` afterwards. */
uint32_t stack_store_intern(struct stack_store *store, const struct stack_view *view,
	uint8_t scratch[STACK_STORE_SCRATCH]);
/* Gives up one count. 0 does nothing. */
void stack_store_release(struct stack_store *store, uint32_t reference);
/* One more count on whatever stack the reference means by now: whoever does not hold one yet (a
 * copy of a slot) must then look whether the slot still has the reference. false: none, or it is
 * changing hands; the caller owns nothing. */
bool stack_store_acquire(struct stack_store *store, uint32_t reference);
/* Writes at most WIRE_MAX_FRAMES frames; `out` borrows them. Only with a count. -EINVAL: no such
 * reference, or its memory was overwritten. */
int stack_store_read(const struct stack_store *store, uint32_t reference, uint64_t *frames,
	struct stack_view *out);

/* Approximate while threads are at work. */
uint32_t stack_store_stacks_in_use(const struct stack_store *store);
uint32_t stack_store_blocks_in_use(const struct stack_store *store);
/* At least 3/4 of the entries or of the blocks are in use. */
bool stack_store_crowded(const struct stack_store *store);
