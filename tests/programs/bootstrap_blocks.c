/*
 * Blocks that the agent serves itself while it looks for the next allocator. This program stands
 * before libc with a dlsym of its own, which allocates in every way while the agent calls it; later
 * the blocks are used, resized and freed like any others. Prints TAP.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "support/agent_view.h"
#include "support/tap_print.h"

enum { KINDS = 8, EACH = 4, BYTES = 100 };

static unsigned char *early[EACH][KINDS];
static int taken;

static void take_all(unsigned char **blocks)
{
	blocks[0] = malloc(BYTES);
	blocks[1] = calloc(10, BYTES / 10);
	blocks[2] = realloc(NULL, BYTES);
	blocks[3] = aligned_alloc(64, BYTES);
	blocks[4] = memalign(256, BYTES);
	if (posix_memalign((void **)&blocks[5], 128, BYTES) != 0)
		blocks[5] = NULL;
	blocks[6] = malloc(0);
	blocks[7] = reallocarray(NULL, 10, BYTES / 10);
	for (int i = 0; i < KINDS; i++)
		if (blocks[i] && i != 1 && i != 6)
			memset(blocks[i], 0x5a, BYTES);
	free(malloc(BYTES));
	free(NULL);
}

/* libc's dlsym must see the caller's return address, or RTLD_NEXT is another: it is jumped to. */
static void *real_dlsym;

__attribute__((used)) static void *find_real_dlsym(void)
{
	if (!real_dlsym)
		real_dlsym = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
	if (taken < EACH)
		take_all(early[taken++]);
	return real_dlsym;
}

#if defined(__x86_64__)
__asm__(".text\n.globl dlsym\n.type dlsym,@function\ndlsym:\n"
	"push %rdi\npush %rsi\nsub $8,%rsp\n"
	"call find_real_dlsym\n"
	"add $8,%rsp\npop %rsi\npop %rdi\njmp *%rax\n"
	".size dlsym,.-dlsym\n");
#endif

static bool holds(const unsigned char *block, unsigned char byte)
{
	for (int i = 0; block && i < BYTES; i++)
		if (block[i] != byte)
			return false;
	return block != NULL;
}

static bool all_hold(unsigned char **blocks)
{
	bool right = true;

	for (int i = 0; i < KINDS; i++)
		if (i != 6)
			right &= holds(blocks[i], i == 1 ? 0 : 0x5a) &&
				 malloc_usable_size(blocks[i]) >= BYTES;
	return right && (uintptr_t)blocks[3] % 64 == 0 && (uintptr_t)blocks[4] % 256 == 0 &&
	       (uintptr_t)blocks[5] % 128 == 0;
}

static bool is_of_agent(void *block)
{
	Dl_info info;

	return dladdr(block, &info) && strstr(info.dli_fname, "libspprof-agent");
}

static bool resize_all(unsigned char **blocks)
{
	bool right = true;

	for (int i = 0; i < KINDS; i++) {
		blocks[i] = realloc(blocks[i], 5000);
		right &= blocks[i] != NULL && (i == 6 || holds(blocks[i], i == 1 ? 0 : 0x5a));
		blocks[i] = realloc(blocks[i], 50);
		free(blocks[i]);
	}
	return right;
}

/* There under the agent, or in a libc that is new enough. */
extern void free_sized(void *block, size_t size) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t alignment, size_t size) __attribute__((weak));
extern void _ZdlPv(void *block) __attribute__((weak));

static void free_all(unsigned char **blocks)
{
	for (int i = 0; i < KINDS; i++) {
		bool aligned = i >= 3 && i <= 5;

		if (aligned && free_aligned_sized)
			free_aligned_sized(blocks[i], 1, BYTES);
		else if (i == 2 && free_sized)
			free_sized(blocks[i], BYTES);
		else if (i == 7 && _ZdlPv)
			_ZdlPv(blocks[i]);
		else
			free(blocks[i]);
	}
}

int main(void)
{
	agent_view_open();
	while (!agent_view_header && taken < EACH)
		find_real_dlsym();
	bool right = taken == EACH;
	for (int i = 0; i < EACH; i++)
		right &= all_hold(early[i]) &&
			 is_of_agent(early[i][0]) == (agent_view_header != NULL);
	tap_print(right, "blocks taken while the agent sets up hold what was written");
	tap_print(resize_all(early[0]) && resize_all(early[1]), "they may be resized");
	free_all(early[2]);
	for (int i = 0; i < KINDS; i++)
		free(early[3][i]);
	right = true;
	for (int i = 0; i < 1000; i++) {
		void *block = malloc(BYTES);

		right &= block != NULL;
		for (int k = 0; k < KINDS; k++)
			right &= block != early[2][k] || !agent_view_header;
		free(block);
		agent_view_drain();
	}
	tap_print(right, "and be freed in every way");
	tap_print(agent_view_sampled(1000), "allocations were sampled");
	return tap_print_end();
}
