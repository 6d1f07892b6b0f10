/*
 * A preload that behaves like a heap that is nearly used up: blocks of one size there are none of, once a program has
 * set `refused_size`. Stands behind the agent (LD_PRELOAD="agent.so refuse.so").
 */
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#define EXPORT __attribute__((visibility("default")))

extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);

EXPORT _Atomic size_t refused_size, refusals;

static int refuse(size_t size)
{
	/* relaxed throughout: set and read by one thread. */
	size_t refused = atomic_load_explicit(&refused_size, memory_order_relaxed);

	if (refused == 0 || size != refused)
		return 0;
	atomic_fetch_add_explicit(&refusals, 1, memory_order_relaxed);
	errno = ENOMEM;
	return 1;
}

EXPORT void *malloc(size_t size)
{
	return refuse(size) ? NULL : __libc_malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	return refuse(count * size) ? NULL : __libc_calloc(count, size);
}
