/*
 * large_heap GIB [STACKS]: holds that much in blocks of 64 KiB to 1 MiB that are never written to,
 * made at STACKS (a power of two, 4096 by default) distinct stacks, says so and waits for the end
 * of standard input. malloc maps the larger ones each by itself and takes the smaller from its
 * arena.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t x = UINT64_C(88172645463325252);
static uint64_t least, most; /* bytes */

static uint64_t xorshift64(void) /* Marsaglia 2003 */
{
	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

/* A stack of its own for each `path`: one of two call sites for each bit. */
static __attribute__((noinline)) size_t allocate(unsigned path, unsigned stacks)
{
	size_t bytes;

	if (stacks <= 1) {
		bytes = least + xorshift64() % (most - least + 1);
		if (!malloc(bytes))
			abort();
	} else if (path & 1) {
		bytes = allocate(path >> 1, stacks >> 1);
		__asm__ volatile("" : "+r"(bytes));
	} else {
		bytes = allocate(path >> 1, stacks >> 1);
		__asm__ volatile("nop" : "+r"(bytes));
	}
	return bytes;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	uint64_t wanted = strtoul(argv[1], NULL, 10) << 30, bytes = 0;
	unsigned stacks = argc > 4 ? (unsigned)strtoul(argv[4], NULL, 10) : 4096;
	least = strtoul(argv[2], NULL, 10) << 10;
	most = strtoul(argv[3], NULL, 10) << 10;
	if (least == 0 || most < least || stacks == 0 || stacks & (stacks - 1))
		return 2;
	for (unsigned path = 0; bytes < wanted; path++)
		bytes += allocate(path % stacks, stacks);
	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	return 0;
}
