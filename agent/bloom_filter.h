/*
 * Which freed addresses may have been sampled: answers almost every free without a look at the map.
 * Bits are only ever added here, so there is no false negative; a filter that has filled up sends
 * more frees to the map and is otherwise harmless. Any thread.
 *
 *   field  writer                    reader            order
 *   words  whoever samples, before   every free        relaxed: whoever frees p got p from the
 * thread that malloc returns p                            added it, and that hand-over orders both
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BLOOM_FILTER_LOG2_BITS 20 /* 128 KiB: 50,000 live samples pass 0.1 % of other frees */
#define BLOOM_FILTER_BITS      (UINT64_C(1) << BLOOM_FILTER_LOG2_BITS)
#define BLOOM_FILTER_HASHES    4

extern _Atomic uint64_t bloom_filter_words[BLOOM_FILTER_BITS / 64];

/* Multiplicative (Fibonacci) hashing: the top bits depend on all bits of the address. */
static inline uint64_t bloom_filter_hash(uintptr_t address)
{
	return (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15);
}

static inline bool bloom_filter_bit(uint64_t index)
{
	/* relaxed: see the table above. */
	uint64_t word = atomic_load_explicit(&bloom_filter_words[index / 64], memory_order_relaxed);

	return word >> (index % 64) & 1;
}

/* The first bit decides almost always; on the hot path of every free. */
static inline bool bloom_filter_first(uintptr_t address)
{
	return bloom_filter_bit(bloom_filter_hash(address) >> (64 - BLOOM_FILTER_LOG2_BITS));
}

bool bloom_filter_contains(uintptr_t address);
void bloom_filter_add(uintptr_t address);
uint64_t bloom_filter_bits_set(void);
