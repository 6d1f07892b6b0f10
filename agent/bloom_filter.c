/* Invariant: a cell that is not full holds at least the number of blocks in the map that hash to
 * it. */
#include "bloom_filter.h"

_Atomic uint8_t bloom_filter_first_cells[1u << BLOOM_FILTER_FIRST_LOG2];
static _Atomic uint8_t rest_bytes[1u << (BLOOM_FILTER_REST_LOG2 - 1)]; /* two cells each */
static _Atomic uint64_t cells_used;
static _Atomic uint64_t saturated;

struct cell {
	_Atomic uint8_t *byte;
	unsigned shift; /* of the cell in its byte */
	uint8_t max;
};

static struct cell first_cell(uintptr_t address)
{
	return (struct cell){
		.byte = &bloom_filter_first_cells[bloom_filter_first_index(address)],
		.max = BLOOM_FILTER_FIRST_MAX,
	};
}

/* From another product than the first index: what collides there must not collide here. */
static struct cell rest_cell(uintptr_t address, unsigned i)
{
	uint64_t hash = ((uint64_t)address ^ address >> 29) * UINT64_C(0xc2b2ae3d27d4eb4f);
	uint32_t index = hash << i * BLOOM_FILTER_REST_LOG2 >> (64 - BLOOM_FILTER_REST_LOG2);

	return (struct cell){
		.byte = &rest_bytes[index / 2],
		.shift = index % 2 * 4,
		.max = BLOOM_FILTER_REST_MAX,
	};
}

static uint8_t read_cell(struct cell cell)
{
	/* relaxed: see the header's table. */
	return atomic_load_explicit(cell.byte, memory_order_relaxed) >> cell.shift & cell.max;
}

/* Adds `step` (1 or -1) unless the cell is full. Its value before. */
static uint8_t count(struct cell cell, int step)
{
	/* relaxed throughout: see the header's table. */
	uint8_t byte = atomic_load_explicit(cell.byte, memory_order_relaxed);
	uint8_t value;

	do {
		value = byte >> cell.shift & cell.max;
		if (value == cell.max || (value == 0 && step < 0))
			return value;
	} while (!atomic_compare_exchange_weak_explicit(cell.byte, &byte,
		(uint8_t)(byte + step * (1 << cell.shift)), memory_order_relaxed,
		memory_order_relaxed));
	return value;
}

bool bloom_filter_contains(uintptr_t address)
{
	if (!bloom_filter_first(address))
		return false;
	for (unsigned i = 0; i < BLOOM_FILTER_REST; i++)
		if (read_cell(rest_cell(address, i)) == 0)
			return false;
	return true;
}

static uint8_t raise(struct cell cell)
{
	uint8_t before = count(cell, 1);

	if (before == cell.max - 1) /* relaxed: a statistic. */
		atomic_fetch_add_explicit(&saturated, 1, memory_order_relaxed);
	return before;
}

void bloom_filter_mark(uintptr_t address)
{
	if (raise(first_cell(address)) == 0) /* relaxed: a statistic. */
		atomic_fetch_add_explicit(&cells_used, 1, memory_order_relaxed);
}

void bloom_filter_add(uintptr_t address)
{
	bloom_filter_mark(address);
	for (unsigned i = 0; i < BLOOM_FILTER_REST; i++)
		raise(rest_cell(address, i));
}

void bloom_filter_remove(uintptr_t address)
{
	for (unsigned i = 0; i < BLOOM_FILTER_REST; i++)
		count(rest_cell(address, i), -1);
	if (count(first_cell(address), -1) == 1) /* relaxed: a statistic. */
		atomic_fetch_sub_explicit(&cells_used, 1, memory_order_relaxed);
}

uint64_t bloom_filter_cells_used(void)
{
	/* relaxed: a statistic. */
	return atomic_load_explicit(&cells_used, memory_order_relaxed);
}

uint64_t bloom_filter_saturated(void)
{
	/* relaxed: a statistic. */
	return atomic_load_explicit(&saturated, memory_order_relaxed);
}
