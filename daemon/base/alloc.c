/*
 * Every request is checked for overflow and none returns NULL, so callers have no failure path to
 * get wrong. Zero bytes still yield a pointer of their own.
 */
#include "base/alloc.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "base/log.h"

static _Noreturn void fail(size_t count, size_t size)
{
	log_error("out of memory: %zu x %zu bytes refused; raise the memory limit of this program",
		count, size);
	abort();
}

void *alloc_zeroed(size_t count, size_t size)
{
	void *p = calloc(count ? count : 1, size ? size : 1);
	if (!p)
		fail(count, size);
	return p;
}

void *alloc_resize(void *p, size_t count, size_t size)
{
	size_t bytes;
	if (__builtin_mul_overflow(count, size, &bytes) || bytes > PTRDIFF_MAX)
		fail(count, size);
	void *resized = realloc(p, bytes ? bytes : 1);
	if (!resized)
		fail(count, size);
	return resized;
}

char *alloc_strdup(const char *s)
{
	size_t size = strlen(s) + 1;
	return memcpy(alloc_resize(NULL, size, 1), s, size);
}

void alloc_cleanup(void *pointer_to_pointer)
{
	free(*(void **)pointer_to_pointer);
}
