/*
 * What a walk costs: warm, the same stack again and again, as a loop that allocates has it; and for
 * a call site whose rule must be found in the objects' CFI. Prints one line per depth. Instructions
 * of warm walks:
 *
 *     valgrind --tool=callgrind --toggle-collect=walk_stack --callgrind-out-file=/dev/null \
 *         bench_walk RUNS
 *
 * for two values of RUNS; the difference is that of as many hundreds of walks at each depth.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "spprof/wire/record.h"
#include "unwind/stack_bounds.h"
#include "unwind/walk.h"
#include "unwind_judge.h"
#include "unwind_truth.h"

static unsigned long runs = 2000;
static int depth;

static double now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static uint64_t frames[WIRE_MAX_FRAMES];
static struct walk_result result;

/* The quickest of many short runs: what else the machine does only ever adds. */
static double warm_ns(const struct walk_regs *regs)
{
	enum { WALKS = 100 };
	double best = 1e18;
	for (unsigned long run = 0; run < runs; run++) {
		double start = now_ns();
		for (int i = 0; i < WALKS; i++)
			walk_stack(regs, frames, WIRE_MAX_FRAMES, &result);
		double each = (now_ns() - start) / WALKS;
		best = each < best ? each : best;
	}
	return best;
}

/* The time beyond that of a warm walk, for each call site that had to be looked up. */
static double miss_ns(const struct walk_regs *regs, double warm)
{
	double best = 1e18;
	for (int repeat = 0; repeat < 200; repeat++) {
		walk_flush();
		uint64_t misses = walk_misses();
		double start = now_ns();
		walk_stack(regs, frames, WIRE_MAX_FRAMES, &result);
		double each = (now_ns() - start - warm) / (double)(walk_misses() - misses);
		best = each < best ? each : best;
	}
	return best;
}

static __attribute__((noinline)) void measure(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	walk_stack(&regs, frames, WIRE_MAX_FRAMES, &result);
	uint64_t probes = stack_bounds_probes();
	double warm = warm_ns(&regs), miss = miss_ns(&regs, warm);
	uint32_t count = result.frame_count;
	printf("depth %3d: %3u frames, stop %u: %6.1f ns, %.2f ns per frame; %.0f ns per new call "
	       "site; "
	       "%lu system calls\n",
		depth, count, result.stop, warm, warm / count, miss,
		(unsigned long)(stack_bounds_probes() - probes));
}

int main(int argc, char **argv)
{
	static const int depths[] = {10, 30, 60, 200};
	if (argc > 1)
		runs = strtoul(argv[1], NULL, 10);
	walk_init();
	unwind_truth_ordinary();
	for (unsigned i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		depth = depths[i];
		unwind_truth_run(3, depth, measure);
	}
	return 0;
}
