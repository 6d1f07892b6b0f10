/*
 * Which freed addresses may have been sampled: answers almost every free without a look at the map.
 * A counting Bloom filter (Fan, Cao, Almeida, Broder 2000): a cell counts the live samples that map
 * to it, so a sample that dies takes itself out again and the filter is as empty as the map is.
 * Nothing is ever rebuilt, swapped or recycled under a reader, and an address in steady reuse costs
 * no more after it was sampled once. There is no false negative: each count is one atomic word, is
 * raised before malloc returns the block, and is lowered only by whoever took the block out of the
 * map. A cell that is full stays set for good; a thread that dies half-way leaves counts too high,
 * never too low.
 *
 * The first cell, a byte, decides nearly every free. The others are nibbles of a table of their
 * own, which keeps the first table sparse. Any thread.
 *
 *   field  writer                            reader      order
 *   cells  whoever samples p, before malloc  every free  relaxed: whoever frees p got p from the
 *          returns it; whoever took p out                thread that counted it, and that hand-over
 *          of the map                                    orders both
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BLOOM_FILTER_FIRST_LOG2 18 /* 256 KiB: 50,000 live samples let 17 % of other frees pass */
#define BLOOM_FILTER_FIRST_MAX	255
#define BLOOM_FILTER_REST_LOG2	19 /* 256 KiB: of these, 3 % reach the map */
#define BLOOM_FILTER_REST_MAX	15
#define BLOOM_FILTER_REST	2 /* cells per address there */

extern _Atomic uint8_t bloom_filter_first_cells[1u << BLOOM_FILTER_FIRST_LOG2];

/* Multiplicative (Fibonacci) hashing: the top bits depend on all bits of the address. */
static inline uint32_t bloom_filter_first_index(uintptr_t address)
{
	return (uint32_t)((uint64_t)address * UINT64_C(0x9e3779b97f4a7c15) >>
			  (64 - BLOOM_FILTER_FIRST_LOG2));
}

/* On the hot path of every free. */
static inline bool bloom_filter_first(uintptr_t address)
{
	/* relaxed: see the table above. */
	return atomic_load_explicit(&bloom_filter_first_cells[bloom_filter_first_index(address)],
		       memory_order_relaxed) != 0;
}

bool bloom_filter_contains(uintptr_t address);
/* Before the block is in the map, hence before the program has it. */
void bloom_filter_add(uintptr_t address);
/* By whoever took the block out of the map, once per bloom_filter_add. */
void bloom_filter_remove(uintptr_t address);

/* For good, and for bloom_filter_first alone: an address that is never in the map. One page of memory
 * is touched instead of three. */
void bloom_filter_mark(uintptr_t address);

/* Cells of the first table that are not 0; cells of either that are full. */
uint64_t bloom_filter_cells_used(void);
uint64_t bloom_filter_saturated(void);
