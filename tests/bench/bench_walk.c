/*
 * What a walk costs: warm, the same stack again and again, as a loop that allocates has it, without
 * and with the memo of the last walk; a stack whose innermost frames change from walk to walk; the
 * same with nothing in the caches of the processor; and for a call site whose rule must be found in
 * the objects' CFI. Prints a table. Instructions of warm walks:
 *
 *     valgrind --tool=callgrind --toggle-collect=walk_stack --callgrind-out-file=/dev/null \
 *         bench_walk RUNS DEPTH
 *
 * (or walk_with_memo) for two values of RUNS; the difference is that of as many hundreds of walks. Then
 * it says no more than "N frames".
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "spprof/wire/record.h"
#include "unwind/memo.h"
#include "unwind/stack_bounds.h"
#include "unwind/walk.h"
#include "unwind_judge.h"
#include "unwind_truth.h"

enum { WALKS = 100, COLD_WALKS = 40 };

/* What is touched to have the second level, and all levels, hold something else. */
static const size_t evict_second = (size_t)3 << 20, evict_all = (size_t)96 << 20;

static unsigned long runs = 2000;
static bool only_warm;
static int depth;
static uint8_t *other_memory;

static uint64_t frames[WIRE_MAX_FRAMES];
static struct walk_result result;
static struct memo memo;

static double now_ns(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static inline void walk_once(const struct walk_regs *regs, bool with_memo)
{
	if (with_memo)
		walk_with_memo(&memo, regs, frames, WIRE_MAX_FRAMES, &result);
	else
		walk_stack(regs, frames, WIRE_MAX_FRAMES, &result);
}

/* The quickest of many short runs: what else the machine does only ever adds. */
static double warm_ns(const struct walk_regs *regs, bool with_memo)
{
	double best = 1e18;
	for (unsigned long run = 0; run < runs; run++) {
		double start = now_ns();
		for (int i = 0; i < WALKS; i++)
			walk_once(regs, with_memo);
		double each = (now_ns() - start) / WALKS;
		best = each < best ? each : best;
	}
	return best;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;
	return (x > y) - (x < y);
}

/* Median; `evicted` bytes of other memory are touched before each walk. */
static double cold_ns(const struct walk_regs *regs, bool with_memo, size_t evicted)
{
	static double each[COLD_WALKS];
	for (int i = 0; i < COLD_WALKS; i++) {
		walk_once(regs, with_memo);
		for (size_t at = 0; at < evicted; at += 64)
			other_memory[at]++;
		double start = now_ns();
		walk_once(regs, with_memo);
		each[i] = now_ns() - start;
	}
	qsort(each, COLD_WALKS, sizeof(each[0]), compare);
	return each[COLD_WALKS / 2];
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

static void print_pair(const char *what, double without, double with)
{
	printf("| %3d | %-34s | %8.1f | %5.2f | %8.1f | %5.2f |\n", depth, what, without,
		without / result.frame_count, with, with / result.frame_count);
}

static __attribute__((noinline)) void measure(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	walk_once(&regs, true);
	double warm = warm_ns(&regs, false), again = warm_ns(&regs, true);
	if (only_warm) {
		printf("%u frames\n", result.frame_count);
		return;
	}
	print_pair("warm, the same stack", warm, again);
	print_pair("second level evicted", cold_ns(&regs, false, evict_second),
		cold_ns(&regs, true, evict_second));
	print_pair("all levels evicted", cold_ns(&regs, false, evict_all),
		cold_ns(&regs, true, evict_all));
	printf("| %3d | %-34s | %8.1f |       |          |       |\n", depth,
		"for each new call site", miss_ns(&regs, warm));
}

/* -- a stack that is never the last one -- */

enum { CHANGES = 20000 };

static bool changing_memo;
static double spent[CHANGES];
static unsigned changes;

static __attribute__((noinline)) void walk_changed(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	double start = now_ns();
	walk_once(&regs, changing_memo);
	spent[changes++] = now_ns() - start;
}

static double changing_ns(bool with_memo)
{
	changing_memo = with_memo;
	changes = 0;
	for (unsigned i = 0; i < CHANGES; i++)
		unwind_truth_run(i * 5 % 28, 8, walk_changed);
	qsort(spent, CHANGES, sizeof(spent[0]), compare);
	return spent[CHANGES / 2];
}

/* The outer frames stay, eight inner ones change. */
static __attribute__((noinline)) void change_inner(void)
{
	double without = changing_ns(false);
	print_pair("eight inner frames change", without, changing_ns(true));
}

static void measure_only_warm(int at_depth)
{
	only_warm = true;
	unwind_truth_run(3, at_depth, measure);
}

static void measure_all(void)
{
	static const int depths[] = {10, 30, 60, 200};
	uint64_t probes = stack_bounds_probes();
	printf("| depth | what | ns without memo | a frame | ns with | a frame |\n");
	printf("|---|---|---|---|---|---|\n");
	for (unsigned i = 0; i < sizeof(depths) / sizeof(depths[0]); i++) {
		depth = depths[i];
		unwind_truth_run(3, depth, measure);
		unwind_truth_run(3, depth - 8, change_inner);
	}
	printf("\n%lu system calls\n", (unsigned long)(stack_bounds_probes() - probes));
}

int main(int argc, char **argv)
{
	if (argc > 1)
		runs = strtoul(argv[1], NULL, 10);
	walk_init();
	unwind_truth_ordinary();
	if (argc > 2) {
		measure_only_warm(atoi(argv[2]));
		return EXIT_SUCCESS;
	}
	other_memory = malloc(evict_all);
	if (!other_memory)
		return EXIT_FAILURE;
	memset(other_memory, 1, evict_all);
	measure_all();
	return EXIT_SUCCESS;
}
