/*
 * Fences: the full one of the announce/retire protocol, and the pair with which a slot of the heap
 * map is read like a sequence lock. ThreadSanitizer does not model fences and would report races
 * that the fence forbids, so instrumented builds use a read-modify-write, which is at least as
 * strong on every target that we build for.
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

static inline void fence_full(void)
{
#ifdef FENCE_AS_RMW
	/* [FENCE-1] seq_cst: stands for the fence below; pairs with every other fence_full. */
	atomic_fetch_add_explicit(&fence_word, 1, memory_order_seq_cst);
#else
	/* [FENCE-1] seq_cst: a store before it is visible to whoever's load follows his own fence.
	 */
	atomic_thread_fence(memory_order_seq_cst);
#endif
}

static inline void fence_acquire(void)
{
#ifdef FENCE_AS_RMW
	fence_full();
#else
	/* [FENCE-2] acquire: the loads before it come before those after it; pairs with
	 * fence_release. */
	atomic_thread_fence(memory_order_acquire);
#endif
}

static inline void fence_release(void)
{
#ifdef FENCE_AS_RMW
	fence_full();
#else
	/* [FENCE-2] release: the stores before it are seen before those after it; pairs with
	 * fence_acquire. */
	atomic_thread_fence(memory_order_release);
#endif
}
