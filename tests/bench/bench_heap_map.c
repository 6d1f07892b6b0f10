/*
 * bench_heap_map [MILLIONS]: that many inserts and removals (100 by default, 1000 in the long tier)
 * in a map of its smallest size, at half load: does it get slower, do tombstones pile up? Then: at
 * which load do inserts begin to fail? Prints figures; fails only if the map is not empty in the
 * end or lost a block.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "heap_map.h"
#include "sampler.h"

#define SLOTS (1u << WIRE_MAP_LEVEL0_BITS)
#define LIVE  (SLOTS / 2)
#define PARTS 10
#define SEEDS 50

static struct heap_map map;
static uintptr_t live[LIVE];

static uint64_t cpu_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void make_map(unsigned levels)
{
	size_t size = (((size_t)1 << levels) - 1) * SLOTS * sizeof(struct wire_slot);
	static void *memory;

	free(memory);
	memory = calloc(1, size);
	if (!memory || heap_map_init(&map, memory, size) != 0)
		abort();
}

static bool insert(uintptr_t address)
{
	struct heap_map_entry entry = {
		.address = address, .size_bytes = 100, .interval_bytes = 1024, .birth_ns = 1};

	return heap_map_insert(&map, &entry) != NULL;
}

static void take_out(uintptr_t address)
{
	struct wire_slot *slot = heap_map_take(&map, address);
	bool announced;

	if (!slot) {
		fprintf(stderr, "bench_heap_map: a block is gone\n");
		exit(1);
	}
	heap_map_retire(&map, slot, &announced);
	heap_map_bury(&map, slot);
}

static uintptr_t fresh_address(uint64_t rng[2])
{
	return 0x7f0000000000 + (sampler_next(rng) >> 28 << 4);
}

static void churn(uint64_t operations)
{
	uint64_t rng[2], failed = 0;

	sampler_seed(rng, 1, 1);
	for (uint32_t i = 0; i < LIVE; i++)
		if (!insert(live[i] = fresh_address(rng)))
			live[i] = 0;
	for (int part = 0; part < PARTS; part++) {
		uint64_t begin = cpu_ns();

		for (uint64_t i = 0; i < operations / PARTS; i++) {
			uintptr_t *block = &live[sampler_next(rng) % LIVE];

			if (*block)
				take_out(*block);
			*block = fresh_address(rng);
			if (!insert(*block)) {
				*block = 0;
				failed++;
			}
		}
		printf("operations %" PRIu64
		       ": %.1f ns for a removal and an insert, load %.1f %%, collisions %" PRIu64
		       ", refused %" PRIu64 "\n",
			operations / PARTS * (uint64_t)(part + 1),
			(double)(cpu_ns() - begin) / (double)(operations / PARTS),
			100.0 * (double)atomic_load(&map.used_slots) / SLOTS,
			atomic_load(&map.collisions), failed);
	}
	for (uint32_t i = 0; i < LIVE; i++)
		if (live[i])
			take_out(live[i]);
}

static double load_of_first_refusal(unsigned levels, uint64_t seed)
{
	uint64_t rng[2];
	uint32_t count = 0;

	sampler_seed(rng, seed, 2);
	make_map(levels);
	while (insert(fresh_address(rng)))
		count++;
	return 100.0 * count / (double)map.capacity;
}

static void print_first_refusals(unsigned levels)
{
	double least = 100, sum = 0;

	for (uint64_t seed = 0; seed < SEEDS; seed++) {
		double load = load_of_first_refusal(levels, seed);

		least = load < least ? load : least;
		sum += load;
	}
	printf("%u levels first refuse at a load of %.1f %% on average, %.1f %% at least (%d "
	       "seeds)\n",
		levels, sum / SEEDS, least, SEEDS);
}

int main(int argc, char **argv)
{
	uint64_t millions = argc > 1 ? strtoull(argv[1], NULL, 10) : 100;

	make_map(1);
	churn(millions * 1000000);
	if (atomic_load(&map.used_slots) != 0) {
		fprintf(stderr, "bench_heap_map: the map is not empty\n");
		return 1;
	}
	for (unsigned levels = 1; levels <= 5; levels += 2)
		print_first_refusals(levels);
	return 0;
}
