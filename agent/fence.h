/*
 * The pair of fences with which a slot of the heap map is read like a sequence lock.
 * ThreadSanitizer does not model fences, so instrumented builds use a read-modify-write, which is
 * at least as strong.
 */
#pragma once
#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
#define FENCE_AS_RMW 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define FENCE_AS_RMW 1
#endif
#endif

#ifdef FENCE_AS_RMW
extern _Atomic unsigned fence_word;
#endif

static inline void fence_acquire(void)
{
#ifdef FENCE_AS_RMW
	/* [FENCE-1] acquire: stands for the fence below. */
	atomic_fetch_add_explicit(&fence_word, 1, memory_order_acquire);
#else
	/* [FENCE-1] acquire: the loads before it come before those after it; pairs with
	 * fence_release. */
	atomic_thread_fence(memory_order_acquire);
#endif
}

static inline void fence_release(void)
{
#ifdef FENCE_AS_RMW
	/* [FENCE-1] release: stands for the fence below. */
	atomic_fetch_add_explicit(&fence_word, 1, memory_order_release);
#else
	/* [FENCE-1] release: the stores before it are seen before those after it; pairs with
	 * fence_acquire. */
	atomic_thread_fence(memory_order_release);
#endif
}
