/* Double hashing (Kirsch and Mitzenmacher 2006): bit i is h1 + i·h2, h2 odd, both from one 64-bit
 * product. */
#include "bloom_filter.h"

_Atomic uint64_t bloom_filter_words[BLOOM_FILTER_BITS / 64];
static _Atomic uint64_t bits_set;

static uint64_t bit_index(uint64_t hash, unsigned i)
{
	uint64_t h1 = hash >> (64 - BLOOM_FILTER_LOG2_BITS);
	uint64_t h2 = (hash >> (64 - 2 * BLOOM_FILTER_LOG2_BITS)) | 1;

	return (h1 + i * h2) % BLOOM_FILTER_BITS;
}

bool bloom_filter_contains(uintptr_t address)
{
	uint64_t hash = bloom_filter_hash(address);

	for (unsigned i = 0; i < BLOOM_FILTER_HASHES; i++)
		if (!bloom_filter_bit(bit_index(hash, i)))
			return false;
	return true;
}

void bloom_filter_add(uintptr_t address)
{
	uint64_t hash = bloom_filter_hash(address);

	for (unsigned i = 0; i < BLOOM_FILTER_HASHES; i++) {
		uint64_t index = bit_index(hash, i);
		uint64_t bit = UINT64_C(1) << (index % 64);

		/* relaxed: see the header's table; the count is a statistic. */
		uint64_t old = atomic_fetch_or_explicit(
			&bloom_filter_words[index / 64], bit, memory_order_relaxed);
		if (!(old & bit))
			atomic_fetch_add_explicit(&bits_set, 1, memory_order_relaxed);
	}
}

uint64_t bloom_filter_bits_set(void)
{
	/* relaxed: a statistic. */
	return atomic_load_explicit(&bits_set, memory_order_relaxed);
}
