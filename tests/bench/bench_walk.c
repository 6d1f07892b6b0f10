/*
 * What a walk costs, warm: the same stack again and again, as a loop that allocates has it. Prints
 * one line per depth. Under callgrind, `bench_walk ROUNDS` for two values of ROUNDS gives the
 * instructions of a walk:
 *
 *     valgrind --tool=callgrind --toggle-collect=walk_stack --callgrind-out-file=/dev/null
 * bench_walk 1000
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

static unsigned long rounds = 20000;
static int depth;

static double now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

/* The quickest of some repeats: what else runs on the machine only ever adds. */
static __attribute__((noinline)) void measure(void)
{
	static uint64_t frames[WIRE_MAX_FRAMES];
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	struct walk_result result;
	double best = 1e18;
	uint64_t probes = 0;
	walk_stack(&regs, frames, WIRE_MAX_FRAMES, &result);
	probes = stack_bounds_probes();
	for (int repeat = 0; repeat < 10; repeat++) {
		double start = now_ns();
		for (unsigned long i = 0; i < rounds; i++)
			walk_stack(&regs, frames, WIRE_MAX_FRAMES, &result);
		double each = (now_ns() - start) / (double)rounds;
		best = each < best ? each : best;
	}
	printf("depth %3d: %3u frames, stop %u: %6.1f ns per walk, %.2f ns per frame, %lu system "
	       "calls\n",
		depth, result.frame_count, result.stop, best, best / result.frame_count,
		(unsigned long)(stack_bounds_probes() - probes));
}

int main(int argc, char **argv)
{
	static const int depths[] = {10, 30, 60, 200};
	if (argc > 1)
		rounds = strtoul(argv[1], NULL, 10);
	walk_init();
	unwind_truth_ordinary();
	for (unsigned i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		depth = depths[i];
		unwind_truth_run(3, depth, measure);
	}
	return 0;
}
