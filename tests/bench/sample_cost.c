/*
 * sample_cost COUNT DEPTH: what one allocation costs its caller, DEPTH frames above main. Meant for
 * an agent that samples every allocation; without one it gives the floor.
 *
 * Prints medians in nanoseconds of a malloc, of a free, and of the two clock readings that are in
 * both; and how many bytes of the stack below its caller the first malloc and the deepest of later
 * ones wrote to. Rests between runs of 64, so that a daemon empties the rings.
 */
#define _GNU_SOURCE
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define RUN	    64
#define COLD	    8	  /* first ones of each run, after a rest */
#define REST_US	    20000 /* longer than a daemon's round */
#define SIZE	    64
#define PAINT_WORDS 4096 /* 32 KiB */
#define PAINT	    UINT64_C(0xa5c3a5c3a5c3a5c3)

static unsigned long count;
static uint64_t *malloc_ns, *free_ns, *clock_ns;
static size_t first_stack_bytes, stack_bytes;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* Its caller's stack pointer. */
static __attribute__((noinline)) uintptr_t stack_pointer(void)
{
	return (uintptr_t)__builtin_frame_address(0) + 2 * sizeof(uintptr_t);
}

/* What lies below `top` and this function's own frame; nobody's, and no handler is there to use it.
 */
static __attribute__((noinline)) void paint(volatile uint64_t *top)
{
	for (volatile uint64_t *word = top - PAINT_WORDS; word < top - 16; word++)
		*word = PAINT;
}

static __attribute__((noinline)) size_t painted_over(const volatile uint64_t *top)
{
	const volatile uint64_t *word = top - PAINT_WORDS;

	while (word < top && *word == PAINT)
		word++;
	return (size_t)(top - word) * sizeof *word;
}

static __attribute__((noinline)) size_t measure_stack(void)
{
	volatile uint64_t *top = (volatile uint64_t *)stack_pointer();

	paint(top);
	void *block = malloc(SIZE);
	size_t bytes = painted_over(top);
	free(block);
	return bytes;
}

static __attribute__((noinline)) void measure_time(unsigned long i)
{
	uint64_t start = now_ns();
	void *block = malloc(SIZE);
	uint64_t allocated = now_ns();
	uint64_t again = now_ns();
	free(block);
	uint64_t freed = now_ns();

	clock_ns[i] = again - allocated;
	malloc_ns[i] = allocated - start;
	free_ns[i] = freed - again;
}

static void measure(void)
{
	first_stack_bytes = measure_stack();
	for (unsigned i = 0; i < RUN; i++) {
		size_t bytes = measure_stack();
		stack_bytes = bytes > stack_bytes ? bytes : stack_bytes;
	}
	for (unsigned long i = 0; i < count;) {
		usleep(REST_US);
		for (unsigned cold = 0; cold < COLD; cold++)
			measure_time(i);
		for (unsigned run = 0; run < RUN - COLD && i < count; run++)
			measure_time(i++);
	}
}

static __attribute__((noinline)) void descend(unsigned long left)
{
	if (left > 0)
		descend(left - 1);
	else
		measure();
	__asm__ volatile(""); /* a frame each, not a jump */
}

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static unsigned long median(uint64_t *values)
{
	qsort(values, count, sizeof *values, compare);
	return values[count / 2];
}

int main(int argc, char **argv)
{
	if (argc != 3)
		return 2;
	count = strtoul(argv[1], NULL, 10);
	malloc_ns = calloc(count + 1, sizeof *malloc_ns);
	free_ns = calloc(count + 1, sizeof *free_ns);
	clock_ns = calloc(count + 1, sizeof *clock_ns);
	if (!malloc_ns || !free_ns || !clock_ns)
		return 1;
	free(malloc(1)); /* the dynamic linker binds both, on this stack */
	stack_pointer();
	descend(strtoul(argv[2], NULL, 10));
	printf("%lu malloc_ns %lu free_ns %lu clock_ns %zu first_stack_bytes %zu stack_bytes\n",
		median(malloc_ns), median(free_ns), median(clock_ns), first_stack_bytes,
		stack_bytes);
	return 0;
}
