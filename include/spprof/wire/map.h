/*
 * The heap map and the stack store as they lie in the worker's private memory, for a daemon that reads them from
 * outside (/proc/PID/mem) where a worker is too idle to tell them itself. header.map_address, stacks_address and
 * blocks_address say where. The worker goes on meanwhile, so a reader trusts an entry only if the whole
 * slot is the same before and after everything that belongs to it was read; and it takes all of it as hostile input.
 *
 * Map. Level i has 2^(WIRE_MAP_LEVEL0_BITS + i) slots, the levels follow each other, header.map_levels of them are
 * in use. An entry lives while its id_mark is not 0 and its key is FINAL or LIMBO; a key that is BUSY with an
 * announced id_mark is a death that has not been told yet, and counts as living.
 *
 * Stacks. An entry's stack reference (upper half of `meta`) is the index of a struct wire_stack plus 1, 0: not kept.
 * The stack's bytes lie in blocks chained by index; index 0 ends a chain (block 0 is never used). They are
 * numbers, one for each frame, innermost first: 1 + zigzag(the frame less the one of its kind before it). Frames are return
 * addresses or words of Python (record.h), of which the first ones count from 0 and from WIRE_FRAME_PYTHON. The number
 * WIRE_NUMBER_OTHER_KIND is no frame's: the next frame is not of the same kind as the one before it, the first one no
 * return address; its own number follows. A number takes 1 to 8 bytes, lowest first: bits 0-2 say how many more
 * there are than one, the others are the number. Numbers follow each other as if the blocks were one piece of `bytes` bytes:
 * one may begin in a block and end in the next.
 * A stack and its blocks do not change as long as an entry refers to it.
 */
#pragma once
#include <stdint.h>

#define WIRE_MAP_LEVEL0_BITS 13u /* 8,192 slots, 384 KiB of addresses; touched page by page */
#define WIRE_MAP_MAX_LEVELS  9u  /* 4.2 million slots */

enum wire_slot_tag { /* lowest bits of a key */
	WIRE_SLOT_EMPTY = 0,
	WIRE_SLOT_TOMB = 1,
	WIRE_SLOT_BUSY = 2,
	WIRE_SLOT_FINAL = 3,
	WIRE_SLOT_LIMBO = 4, /* in the middle of a realloc: still there */
	WIRE_SLOT_TAG_MASK = 7,
};

struct wire_slot {
	_Atomic uint64_t key;     /* address << 3 | tag; BUSY: generation << 3 | tag */
	_Atomic uint64_t id_mark; /* id << 16 | generation whose daemon knows of it, 0: none. All 0: retired */
	_Atomic uint64_t size_bytes;
	_Atomic uint64_t interval_bytes;
	_Atomic uint64_t birth_ns;
	_Atomic uint64_t meta; /* stack reference << 32 | tid */
};

#define WIRE_SLOT_MARK_BITS 16u
#define WIRE_SLOT_MARK_MASK ((UINT64_C(1) << WIRE_SLOT_MARK_BITS) - 1)

struct wire_stack {
	_Atomic uint64_t refs; /* tag << 32 | count; 0: free, 1: being filled or emptied, n + 1: n references */
	_Atomic uint64_t hash;
	uint32_t module_epoch;
	uint32_t block; /* first of the chain */
	uint16_t frame_count;
	uint8_t stop; /* enum wire_stop */
	uint8_t guessed;
	uint32_t bytes; /* of the encoded frames */
};

#define WIRE_BLOCK_BYTES 60u

#define WIRE_NUMBER_MORE       7u
#define WIRE_NUMBER_SHIFT      3u
#define WIRE_NUMBER_OTHER_KIND 0u

struct wire_stack_block {
	_Atomic uint32_t next; /* 0: the last one */
	uint8_t bytes[WIRE_BLOCK_BYTES];
};

_Static_assert(sizeof(struct wire_slot) == 48, "at most 64 bytes per live sample at 75 % load");
_Static_assert(sizeof(struct wire_stack) == 32, "stack");
_Static_assert(sizeof(struct wire_stack_block) == 64, "block");
