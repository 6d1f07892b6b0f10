/*
 * A program with an allocator of its own, as many servers link one, that lacks the younger entry
 * points. What it does not have must not lead to the allocator behind the agent. Prints TAP; bare
 * and under the agent it says the same.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HEAP_SIZE ((size_t)1 << 22)
#define HEADER	  ((size_t)16)

static _Alignas(64) char heap[HEAP_SIZE];
static size_t used = HEADER;
static int foreign; /* blocks freed here that do not come from here */

static int is_ours(const void *block)
{
	return (const char *)block > heap && (const char *)block < heap + HEAP_SIZE;
}

static size_t size_of(const void *block)
{
	size_t size;

	memcpy(&size, (const char *)block - HEADER, sizeof size);
	return size;
}

void *aligned_alloc(size_t alignment, size_t size)
{
	size_t start = (used + HEADER + alignment - 1) & ~(alignment - 1);

	if (size > HEAP_SIZE || start > HEAP_SIZE - size) {
		errno = ENOMEM;
		return NULL;
	}
	used = start + size;
	memcpy(heap + start - HEADER, &size, sizeof size);
	return heap + start;
}

void *malloc(size_t size)
{
	return aligned_alloc(HEADER, size);
}

void free(void *block)
{
	foreign += block && !is_ours(block);
}

void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return malloc(bytes); /* never used before */
}

void *realloc(void *old, size_t size)
{
	void *block = malloc(size);

	if (old && block)
		memcpy(block, old, size < size_of(old) ? size : size_of(old));
	free(old);
	return block;
}

void *memalign(size_t alignment, size_t size)
{
	return aligned_alloc(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *block = aligned_alloc(alignment, size);

	if (!block)
		return ENOMEM;
	*out = block;
	return 0;
}

/* There under the agent, or in a libc that is new enough. */
extern void free_sized(void *block, size_t size) __attribute__((weak));
extern void free_aligned_sized(void *block, size_t alignment, size_t size) __attribute__((weak));
/* Operators of a library loaded privately end at the agent, which has no C++ runtime behind it
 * here. */
extern void *_Znwm(size_t size) __attribute__((weak));
extern void _ZdlPv(void *block) __attribute__((weak));

static void check(int ok, const char *what)
{
	static int tests;

	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
}

int main(void)
{
	void *(*volatile again)(void *, size_t, size_t) = reallocarray;
	char *block = malloc(10);

	memset(block, 7, 10);
	block = again(block, 100, 10);
	check(is_ours(block) && block[9] == 7, "reallocarray ends at the program's realloc");
	free(block);
	errno = 0;
	check(again(NULL, SIZE_MAX, 2) == NULL && errno == ENOMEM,
		"reallocarray overflows to ENOMEM");
	if (free_sized)
		free_sized(malloc(10), 10);
	check(foreign == 0, "free_sized ends at the program's free");
	if (free_aligned_sized)
		free_aligned_sized(aligned_alloc(64, 64), 64, 64);
	check(foreign == 0, "free_aligned_sized ends at the program's free");
	block = _Znwm ? _Znwm(10) : malloc(10);
	check(is_ours(block), "operator new without a runtime ends at the program's malloc");
	if (_ZdlPv)
		_ZdlPv(block);
	check(foreign == 0, "operator delete without a runtime ends at the program's free");
	puts("1..6");
	return 0;
}
