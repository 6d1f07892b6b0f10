/*
 * What it costs to bring a stack to the store: one that is there already, out of a few and out of
 * many; and a new one with its release. Prints one line each. Instructions of the first:
 *
 *     valgrind --tool=callgrind --toggle-collect=stack_store_intern --callgrind-out-file=/dev/null
 * \ bench_stack_store RUNS present
 *
 * for two values of RUNS; the difference is that of as many thousands of interns.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "private_memory.h"
#include "stack_store.h"
#include "support/random.h"

enum { FRAMES = 30, BATCH = 1000, MANY = 20000 };

static struct stack_store store;
static uint64_t frames[MANY][FRAMES];

static double now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static struct stack_view view_of(unsigned n)
{
	return (struct stack_view){.frames = frames[n], .frame_count = FRAMES};
}

/* Calls within one of four modules, and every fourth time into another. */
static void make_stacks(void)
{
	static const uint64_t base[] = {
		0x555555554000, 0x7ffff7a00000, 0x7ffff6800000, 0x7ffff7fc0000};
	static const uint64_t text[] = {1 << 20, 512 << 10, 800 << 10, 128 << 10};
	struct random random = {1};

	for (unsigned n = 0; n < MANY; n++) {
		uint64_t module = 1;

		for (unsigned i = 0; i < FRAMES; i++) {
			if (random_below(&random, 4) == 0)
				module = random_below(&random, 4);
			frames[n][i] = base[module] + random_below(&random, text[module]);
		}
	}
}

/* The quickest of many short runs. `fresh`: the stacks are not in the store. */
static uint8_t scratch[STACK_STORE_SCRATCH];

static double best_ns(unsigned long runs, unsigned stacks, bool fresh)
{
	static uint32_t references[BATCH];
	double best = 1e18;
	unsigned n = 0;

	for (unsigned long run = 0; run < runs; run++) {
		double start = now_ns(), each;

		for (unsigned i = 0; i < BATCH; i++) {
			struct stack_view view = view_of(n);

			references[i] = stack_store_intern(&store, &view, scratch);
			if (fresh)
				stack_store_release(&store, references[i]);
			n = n + 1 < stacks ? n + 1 : 0;
		}
		each = (now_ns() - start) / BATCH;
		for (unsigned i = 0; !fresh && i < BATCH; i++)
			stack_store_release(&store, references[i]);
		best = each < best ? each : best;
	}
	return best;
}

int main(int argc, char **argv)
{
	unsigned long runs = argc > 1 ? strtoul(argv[1], NULL, 10) : 2000;
	bool only_present = argc > 2 && strcmp(argv[2], "present") == 0;
	size_t size = (size_t)32 << 20;
	void *memory = private_memory_map(size);

	if (!memory || stack_store_init(&store, memory, size) != 0)
		return EXIT_FAILURE;
	make_stacks();
	if (!only_present)
		printf("new and released: %.1f ns\n", best_ns(runs, MANY, true));
	for (unsigned n = 0; n < (only_present ? 100 : MANY); n++) {
		struct stack_view view = view_of(n);

		if (stack_store_intern(&store, &view, scratch) == 0)
			return EXIT_FAILURE;
	}
	printf("present, one of 100: %.1f ns\n", best_ns(runs, 100, false));
	if (only_present)
		return EXIT_SUCCESS;
	printf("present, one of %d: %.1f ns\n", MANY, best_ns(runs, MANY, false));
	printf("%.0f bytes per stack\n",
		(double)stack_store_blocks_in_use(&store) * 64 / MANY + 32);
	return EXIT_SUCCESS;
}
