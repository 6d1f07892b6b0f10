/*
 * The floor of any preload that interposes: each entry point jumps to the next definition and does
 * nothing else. What the agent costs is counted over this.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

static char early[65536] __attribute__((aligned(16)));
static size_t early_used;

static void *(*next_malloc)(size_t);
static void *(*next_calloc)(size_t, size_t);
static void *(*next_realloc)(void *, size_t);
static void (*next_free)(void *);
static int (*next_posix_memalign)(void **, size_t, size_t);
static void *(*next_aligned_alloc)(size_t, size_t);
static size_t (*next_malloc_usable_size)(void *);

__attribute__((constructor(101))) static void find_next(void)
{
	static int busy;

	if (busy++)
		return;
	next_posix_memalign = (int (*)(void **, size_t, size_t))dlsym(RTLD_NEXT, "posix_memalign");
	next_aligned_alloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "aligned_alloc");
	next_malloc_usable_size = (size_t(*)(void *))dlsym(RTLD_NEXT, "malloc_usable_size");
	next_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
	next_calloc = (void *(*)(size_t, size_t))dlsym(RTLD_NEXT, "calloc");
	next_realloc = (void *(*)(void *, size_t))dlsym(RTLD_NEXT, "realloc");
	next_malloc = (void *(*)(size_t))dlsym(RTLD_NEXT, "malloc");
}

static void *allocate_early(size_t size)
{
	size_t at = early_used;

	if (size > sizeof early - at)
		return NULL;
	early_used += (size + 15) & ~(size_t)15;
	return early + at;
}

static int is_early(const void *block)
{
	return (uintptr_t)block - (uintptr_t)early < sizeof early;
}

EXPORT void *malloc(size_t size)
{
	if (__builtin_expect(!next_malloc, 0)) {
		find_next();
		if (!next_malloc)
			return allocate_early(size);
	}
	return next_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	if (__builtin_expect(!next_calloc, 0)) {
		find_next();
		if (!next_calloc)
			return allocate_early(count * size);
	}
	return next_calloc(count, size);
}

EXPORT void *realloc(void *block, size_t size)
{
	if (__builtin_expect(is_early(block), 0)) {
		void *moved = malloc(size);

		return moved ? memcpy(moved, block, size) : NULL;
	}
	if (__builtin_expect(!next_realloc, 0))
		find_next();
	return next_realloc(block, size);
}

EXPORT void free(void *block)
{
	if (__builtin_expect(is_early(block), 0))
		return;
	if (__builtin_expect(!next_free, 0))
		find_next();
	next_free(block);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	if (__builtin_expect(!next_posix_memalign, 0))
		find_next();
	return next_posix_memalign(out, alignment, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	if (__builtin_expect(!next_aligned_alloc, 0))
		find_next();
	return next_aligned_alloc(alignment, size);
}

EXPORT size_t malloc_usable_size(void *block)
{
	if (__builtin_expect(!next_malloc_usable_size, 0))
		find_next();
	return next_malloc_usable_size(block);
}
