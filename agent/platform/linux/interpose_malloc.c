/*
 * The malloc family. Each entry point has a fast path that subtracts from the thread's countdown
 * (or asks one filter bit) and jumps on to the next allocator, and a slow function for the rest.
 * The slow functions keep a frame pointer (local.mk) and are jumped to, so their caller is the
 * program.
 *
 * `size < countdown` also turns requests above PTRDIFF_MAX aside: the countdown is never that large
 * while sampling, and the slow functions let them pass without subtracting, for they cannot
 * succeed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include "bloom_filter.h"
#include "lifecycle.h"
#include "next_allocator.h"
#include "thread_state.h"
#include "tracker.h"

#define EXPORT	    __attribute__((visibility("default")))
#define SLOW	    static __attribute__((noinline))
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

static bool decide(size_t size, uint64_t *interval_bytes)
{
	return size <= PTRDIFF_MAX && tracker_decide(size, interval_bytes);
}

SLOW void *slow_malloc(size_t size)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;
	bool sampled = decide(size, &interval_bytes);
	void *block = next_allocator.malloc(size);

	if (sampled && block)
		tracker_birth(block, size, interval_bytes, &caller);
	return block;
}

EXPORT void *malloc(size_t size)
{
	if (likely(thread_state_pass(size)))
		return next_allocator.malloc(size);
	return slow_malloc(size);
}

SLOW void *slow_calloc(size_t count, size_t size)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;
	size_t bytes;
	bool sampled =
		!__builtin_mul_overflow(count, size, &bytes) && decide(bytes, &interval_bytes);
	void *block = next_allocator.calloc(count, size);

	if (sampled && block)
		tracker_birth(block, bytes, interval_bytes, &caller);
	return block;
}

EXPORT void *calloc(size_t count, size_t size)
{
	size_t bytes;

	if (likely(!__builtin_mul_overflow(count, size, &bytes)) &&
		likely(thread_state_pass(bytes)))
		return next_allocator.calloc(count, size);
	return slow_calloc(count, size);
}

SLOW void slow_free(void *address)
{
	if (next_allocator_is_bootstrap(address))
		return;
	tracker_death(address);
	next_allocator.free(address);
}

EXPORT void free(void *address)
{
	if (unlikely(bloom_filter_first((uintptr_t)address)))
		slow_free(address);
	else
		next_allocator.free(address);
}

/* A block of the bootstrap heap moves to the real one. */
static void *leave_bootstrap(void *address, size_t size)
{
	size_t old_size = next_allocator_bootstrap_size(address);
	void *block = next_allocator.malloc(size);

	if (block)
		memcpy(block, address, old_size < size ? old_size : size);
	return block;
}

/* realloc(p, 0) that returns NULL has freed p in glibc and tcmalloc; elsewhere it has not failed
 * either. */
static bool replaced(const void *block, size_t size)
{
	return block != NULL || size == 0;
}

SLOW void *slow_realloc(void *address, size_t size)
{
	struct walk_regs caller = TRACKER_CALLER();
	struct wire_slot *slot = NULL;
	uint64_t interval_bytes;
	void *block;

	bool sampled = !thread_state_pass(size) && decide(size, &interval_bytes);
	if (unlikely(next_allocator_is_bootstrap(address))) {
		block = leave_bootstrap(address, size);
	} else {
		if (address && bloom_filter_first((uintptr_t)address))
			slot = tracker_suspend(address);
		block = next_allocator.realloc(address, size);
		if (slot && replaced(block, size))
			tracker_replaced(slot, address);
		else if (slot)
			tracker_resume(slot);
	}
	if (sampled && block)
		tracker_birth(block, size, interval_bytes, &caller);
	return block;
}

EXPORT void *realloc(void *address, size_t size)
{
	if (likely(!bloom_filter_first((uintptr_t)address)) && likely(thread_state_pass(size)))
		return next_allocator.realloc(address, size);
	return slow_realloc(address, size);
}

/*
 * The first realloc and free in the program's search order, found through the PLT: ours, or those
 * of an allocator that stands before the agent (in the executable, or preloaded earlier) and lacks
 * the function that the program called. Its blocks must not reach the allocator behind us. Names of
 * their own keep the compiler from binding them to the definitions in this file.
 */
extern void *global_realloc(void *address, size_t size) __asm__("realloc");
extern void global_free(void *address) __asm__("free");

/* As in libc: what is counted and captured is the realloc that this jumps to. */
EXPORT void *reallocarray(void *address, size_t count, size_t size)
{
	size_t bytes;

	if (unlikely(__builtin_mul_overflow(count, size, &bytes))) {
		errno = ENOMEM;
		return NULL;
	}
	return global_realloc(address, bytes);
}

SLOW int slow_posix_memalign(void **out, size_t alignment, size_t size)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;
	bool sampled = decide(size, &interval_bytes);
	int error = next_allocator.posix_memalign(out, alignment, size);

	if (sampled && error == 0 && *out)
		tracker_birth(*out, size, interval_bytes, &caller);
	return error;
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	if (likely(thread_state_pass(size)))
		return next_allocator.posix_memalign(out, alignment, size);
	return slow_posix_memalign(out, alignment, size);
}

typedef void *(*aligned_function)(size_t alignment, size_t size);
typedef void *(*page_function)(size_t size);

SLOW void *slow_aligned(size_t alignment, size_t size, aligned_function next)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;
	bool sampled = decide(size, &interval_bytes);
	void *block = next(alignment, size);

	if (sampled && block)
		tracker_birth(block, size, interval_bytes, &caller);
	return block;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	if (likely(thread_state_pass(size)))
		return next_allocator.aligned_alloc(alignment, size);
	return slow_aligned(alignment, size, next_allocator.aligned_alloc);
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	if (likely(thread_state_pass(size)))
		return next_allocator.memalign(alignment, size);
	return slow_aligned(alignment, size, next_allocator.memalign);
}

SLOW void *slow_page(size_t size, page_function next)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;
	bool sampled = decide(size, &interval_bytes);
	void *block = next(size);

	if (sampled && block)
		tracker_birth(block, size, interval_bytes, &caller);
	return block;
}

EXPORT void *valloc(size_t size)
{
	if (likely(thread_state_pass(size)))
		return next_allocator.valloc(size);
	return slow_page(size, next_allocator.valloc);
}

EXPORT void *pvalloc(size_t size)
{
	if (likely(thread_state_pass(size)))
		return next_allocator.pvalloc(size);
	return slow_page(size, next_allocator.pvalloc);
}

EXPORT size_t malloc_usable_size(void *address)
{
	if (unlikely(next_allocator_is_bootstrap(address)))
		return next_allocator_bootstrap_size(address);
	return next_allocator.malloc_usable_size(address);
}

/* True: it was ours and needs no freeing. */
static bool forget(void *address)
{
	if (likely(!bloom_filter_first((uintptr_t)address)))
		return false;
	if (next_allocator_is_bootstrap(address))
		return true;
	tracker_death(address);
	return false;
}

EXPORT void free_sized(void *address, size_t size)
{
	if (!next_allocator.free_sized)
		global_free(address);
	else if (!forget(address))
		next_allocator.free_sized(address, size);
}

EXPORT void free_aligned_sized(void *address, size_t alignment, size_t size)
{
	if (!next_allocator.free_aligned_sized)
		global_free(address);
	else if (!forget(address))
		next_allocator.free_aligned_sized(address, alignment, size);
}

/* Only where the loader does not tell what is loaded; see walk_may_open(). */
SLOW void *told_dlopen(const char *file, int mode)
{
	void *handle = next_allocator.dlopen(file, mode);

	walk_opened();
	return handle;
}

/* A jump, so that the loader sees who has called; local.mk makes sure of that. */
EXPORT void *dlopen(const char *file, int mode)
{
	lifecycle_opening(__builtin_return_address(0));
	if (unlikely(walk_may_open(file)))
		return told_dlopen(file, mode);
	return next_allocator.dlopen(file, mode);
}

/* What was learned of code that goes away is wrong for what comes to its address. */
EXPORT int dlclose(void *handle)
{
	walk_closing();
	int result = next_allocator.dlclose(handle);
	walk_closed();
	return result;
}
