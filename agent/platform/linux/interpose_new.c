/*
 * operator new and delete in all forms. libstdc++'s call malloc and free through the PLT, that is,
 * our hooks, which then count; jemalloc's and tcmalloc's do not. The countdown tells: if the next
 * function left it unchanged and it was not drawn anew either, nobody has counted. Exceptions pass
 * through: nothing is held across the call.
 *
 * Without a C++ runtime behind us (a C program that dlopened one privately) the forms are made of
 * malloc and free: the program's first ones, which an allocator before the agent may be.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include "bloom_filter.h"
#include "next_allocator.h"
#include "thread_state.h"
#include "tracker.h"

#define EXPORT	    __attribute__((visibility("default")))
#define SLOW	    static __attribute__((noinline))
#define likely(x)   __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)

enum new_form { NEW, NEW_ARRAY, NEW_NOTHROW, NEW_ARRAY_NOTHROW };
enum { ALIGNED_FORMS = 4 }; /* the same four again, aligned */

typedef void *(*new_function)(size_t size);
typedef void *(*new_nothrow_function)(size_t size, const void *nothrow);
typedef void *(*new_aligned_function)(size_t size, size_t alignment);
typedef void *(*new_aligned_nothrow_function)(size_t size, size_t alignment, const void *nothrow);

SLOW void count_here(void *block, size_t size, const struct walk_regs *caller)
{
	uint64_t interval_bytes;

	if (size <= PTRDIFF_MAX && tracker_decide(size, &interval_bytes))
		tracker_birth(block, size, interval_bytes, caller);
}

/* After the next form returned `block`: counts it unless an inner hook has. */
static inline void settle(void *block, size_t size, uint64_t countdown_before,
	uint16_t decisions_before, const struct walk_regs *caller)
{
	if (likely(thread_state.countdown != countdown_before) ||
		thread_state.decisions != decisions_before || block == NULL)
		return;
	if (size < countdown_before)
		thread_state.countdown = countdown_before - size;
	else
		count_here(block, size, caller);
}

/* Memory ran out: the exception must come from a C++ runtime, if one is loaded at all. */
SLOW void *throw_from_runtime(size_t size)
{
	void *runtime = dlopen("libstdc++.so.6", RTLD_NOLOAD | RTLD_LAZY);
	new_function throwing =
		runtime ? (new_function)dlsym(runtime, next_allocator_new_names[NEW]) : NULL;

	return throwing ? throwing(size) : NULL;
}

SLOW void *without_runtime(size_t size, size_t alignment, bool nothrow)
{
	void *block = NULL;

	if (size == 0)
		size = 1;
	if (alignment == 0)
		block = malloc(size);
	else if (posix_memalign(&block, alignment < sizeof(void *) ? sizeof(void *) : alignment,
			 size) != 0)
		block = NULL;
	return block || nothrow ? block : throw_from_runtime(size);
}

#define NEW_BODY(form, alignment, nothrow, type, ...)                                              \
	{                                                                                          \
		struct walk_regs caller = TRACKER_CALLER();                                        \
		uint64_t before = thread_state.countdown;                                          \
		uint16_t decisions = thread_state.decisions;                                       \
		type next = (type)next_allocator.new_form[form];                                   \
		if (unlikely(!next))                                                               \
			return without_runtime(size, alignment, nothrow);                          \
		void *block = next(__VA_ARGS__);                                                   \
		settle(block, size, before, decisions, &caller);                                   \
		return block;                                                                      \
	}

/* clang-format off */
EXPORT void *_Znwm(size_t size)
	NEW_BODY(NEW, 0, false, new_function, size)
EXPORT void *_Znam(size_t size)
	NEW_BODY(NEW_ARRAY, 0, false, new_function, size)
EXPORT void *_ZnwmRKSt9nothrow_t(size_t size, const void *tag)
	NEW_BODY(NEW_NOTHROW, 0, true, new_nothrow_function, size, tag)
EXPORT void *_ZnamRKSt9nothrow_t(size_t size, const void *tag)
	NEW_BODY(NEW_ARRAY_NOTHROW, 0, true, new_nothrow_function, size, tag)
EXPORT void *_ZnwmSt11align_val_t(size_t size, size_t alignment)
	NEW_BODY(ALIGNED_FORMS + NEW, alignment, false, new_aligned_function, size, alignment)
EXPORT void *_ZnamSt11align_val_t(size_t size, size_t alignment)
	NEW_BODY(ALIGNED_FORMS + NEW_ARRAY, alignment, false, new_aligned_function, size, alignment)
EXPORT void *_ZnwmSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag)
	NEW_BODY(ALIGNED_FORMS + NEW_NOTHROW, alignment, true, new_aligned_nothrow_function, size, alignment, tag)
EXPORT void *_ZnamSt11align_val_tRKSt9nothrow_t(size_t size, size_t alignment, const void *tag)
	NEW_BODY(ALIGNED_FORMS + NEW_ARRAY_NOTHROW, alignment, true, new_aligned_nothrow_function, size, alignment, tag)
	/* clang-format on */

	/* Removes a sampled block before the next form frees it. True: it was the bootstrap heap's.
	 */
	static inline bool forget(void *address)
{
	if (likely(!bloom_filter_first((uintptr_t)address)))
		return false;
	if (next_allocator_is_bootstrap(address, NULL))
		return true;
	tracker_death(address);
	return false;
}

#define DELETE(name, index, parameters, type, ...)                                                 \
	EXPORT void name parameters                                                                \
	{                                                                                          \
		type next = (type)next_allocator.delete_form[index];                               \
		if (unlikely(!next))                                                               \
			free(address);                                                             \
		else if (likely(!forget(address)))                                                 \
			next(__VA_ARGS__);                                                         \
	}

typedef void (*delete1)(void *);
typedef void (*delete2)(void *, size_t);
typedef void (*delete3)(void *, size_t, size_t);
typedef void (*delete_tag)(void *, const void *);
typedef void (*delete_aligned_tag)(void *, size_t, const void *);

/* clang-format off */
DELETE(_ZdlPv, 0, (void *address), delete1, address)
DELETE(_ZdaPv, 1, (void *address), delete1, address)
DELETE(_ZdlPvm, 2, (void *address, size_t size), delete2, address, size)
DELETE(_ZdaPvm, 3, (void *address, size_t size), delete2, address, size)
DELETE(_ZdlPvRKSt9nothrow_t, 4, (void *address, const void *tag), delete_tag, address, tag)
DELETE(_ZdaPvRKSt9nothrow_t, 5, (void *address, const void *tag), delete_tag, address, tag)
DELETE(_ZdlPvSt11align_val_t, 6, (void *address, size_t alignment), delete2, address, alignment)
DELETE(_ZdaPvSt11align_val_t, 7, (void *address, size_t alignment), delete2, address, alignment)
DELETE(_ZdlPvmSt11align_val_t, 8, (void *address, size_t size, size_t alignment), delete3, address, size, alignment)
DELETE(_ZdaPvmSt11align_val_t, 9, (void *address, size_t size, size_t alignment), delete3, address, size, alignment)
DELETE(_ZdlPvSt11align_val_tRKSt9nothrow_t, 10, (void *address, size_t alignment, const void *tag), delete_aligned_tag, address, alignment, tag)
DELETE(_ZdaPvSt11align_val_tRKSt9nothrow_t, 11, (void *address, size_t alignment, const void *tag), delete_aligned_tag, address, alignment, tag)
/* clang-format on */
