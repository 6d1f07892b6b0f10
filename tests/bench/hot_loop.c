/*
 * hot_loop MODE OPERATIONS [DEPTH]: exactly that many operations, so that the difference of two
 * runs divided by the difference of their operations is the cost of one.
 *
 *   empty    the loop alone        pair     malloc, touch, free
 *   calloc   calloc, touch, free   realloc  a rolling set of 64 blocks
 *
 * DEPTH: frames above the loop.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SIZES 4096

static uint32_t sizes[SIZES];
static unsigned long operations;
static char nothing;

static __attribute__((noinline)) void touch(void *block)
{
	__asm__ volatile("" : : "r"(block) : "memory");
	*(volatile char *)block = 1;
}

static void run_empty(void)
{
	for (unsigned long i = 0; i < operations; i++) {
		__asm__ volatile("" : : "r"(sizes[i % SIZES]));
		touch(&nothing);
	}
}

static void run_pair(void)
{
	for (unsigned long i = 0; i < operations; i++) {
		void *block = malloc(sizes[i % SIZES]);

		touch(block);
		free(block);
	}
}

static void run_calloc(void)
{
	for (unsigned long i = 0; i < operations; i++) {
		void *block = calloc(1, sizes[i % SIZES]);

		touch(block);
		free(block);
	}
}

static void run_realloc(void)
{
	void *blocks[64] = {0};

	for (unsigned long i = 0; i < operations; i++) {
		blocks[i % 64] = realloc(blocks[i % 64], sizes[i % SIZES]);
		touch(blocks[i % 64]);
	}
	for (unsigned i = 0; i < 64; i++)
		free(blocks[i]);
}

static const struct {
	const char *name;
	void (*run)(void);
} modes[] = {
	{"empty", run_empty}, {"pair", run_pair}, {"calloc", run_calloc}, {"realloc", run_realloc}};

static __attribute__((noinline)) void descend(unsigned depth, void (*run)(void))
{
	if (depth > 0)
		descend(depth - 1, run);
	else
		run();
	__asm__ volatile(""); /* a frame each, not a jump */
}

int main(int argc, char **argv)
{
	uint64_t x = UINT64_C(88172645463325252); /* xorshift64 (Marsaglia 2003) */

	if (argc < 3)
		return 2;
	operations = strtoul(argv[2], NULL, 10);
	for (unsigned i = 0; i < SIZES; i++) {
		x ^= x << 13;
		x ^= x >> 7;
		x ^= x << 17;
		sizes[i] = 16 + x % 241;
	}
	for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (strcmp(argv[1], modes[i].name) == 0) {
			descend(argc > 3 ? strtoul(argv[3], NULL, 10) : 0, modes[i].run);
			return 0;
		}
	return 2;
}
