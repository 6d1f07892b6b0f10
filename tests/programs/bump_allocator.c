/*
 * An allocator to stand behind the agent that bears being left, or entered again, at any
 * instruction: atomic counters over reservations. What breaks under it is the agent's. Memory is
 * not reused before the program asks for it (bump_allocator_recycle); from then on what malloc and
 * realloc return lives for as long as it takes to allocate RING_BYTES, and everything else for ever.
 */
#include <errno.h>
#include <malloc.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#define EXPORT	   __attribute__((visibility("default")))
#define HEADER	   ((size_t)16)
#define RESERVE	   ((size_t)1 << 30)
#define RING_BYTES ((size_t)64 << 20) /* a power of two */
#define RING_MOST  ((size_t)1 << 20)  /* of one block; the ring has as much room behind its end */

static _Atomic uintptr_t used, ring;
static _Atomic size_t ring_used;

static uintptr_t reserve(size_t size)
{
	return (uintptr_t)mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

static void begin(void)
{
	uintptr_t mine = reserve(RESERVE), none = 0;

	/* Whoever loses leaves a reservation behind that nobody touches. */
	atomic_compare_exchange_strong(&used, &none, mine);
}

EXPORT void bump_allocator_recycle(void)
{
	atomic_store(&ring, reserve(RING_BYTES + 2 * RING_MOST));
}

static void *place(uintptr_t start, size_t alignment, size_t size)
{
	uintptr_t block = (start + HEADER + alignment - 1) & ~(uintptr_t)(alignment - 1);

	((size_t *)block)[-1] = size;
	return (void *)block;
}

/* Not by way of the exported names, which lead to the agent first. */
static void *allocate(size_t alignment, size_t size)
{
	if (size > RESERVE / 2 || alignment > RESERVE / 2) {
		errno = ENOMEM;
		return NULL;
	}
	if (alignment < HEADER)
		alignment = HEADER;
	if (!atomic_load(&used))
		begin();
	return place(atomic_fetch_add(&used, size + HEADER + alignment), alignment, size);
}

static void *allocate_for_a_while(size_t size)
{
	uintptr_t start = atomic_load(&ring);

	if (!start || size > RING_MOST)
		return allocate(HEADER, size);
	size_t at = atomic_fetch_add(&ring_used, size + 2 * HEADER) & (RING_BYTES - 1);
	return place(start + at, HEADER, size);
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	return allocate(alignment, size);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	return allocate(alignment, size);
}

EXPORT void *malloc(size_t size)
{
	return allocate_for_a_while(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return allocate(HEADER, bytes);
}

EXPORT void free(void *block)
{
	(void)block;
}

static size_t size_of(const void *block)
{
	return block ? ((const size_t *)block)[-1] : 0;
}

EXPORT size_t malloc_usable_size(void *block)
{
	return size_of(block);
}

EXPORT void *realloc(void *old, size_t size)
{
	void *block = allocate_for_a_while(size);
	size_t old_size = size_of(old);

	if (old && block)
		memcpy(block, old, size < old_size ? size : old_size);
	return block;
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	void *block = allocate(alignment, size);

	if (!block)
		return ENOMEM;
	*out = block;
	return 0;
}

EXPORT void *valloc(size_t size)
{
	return allocate(4096, size);
}

EXPORT void *pvalloc(size_t size)
{
	return allocate(4096, (size + 4095) & ~(size_t)4095);
}
