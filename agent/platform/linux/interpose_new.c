/*
 * operator new and delete in all forms. Each exported one jumps to what stands in a table, which
 * is the agent's own at first. libstdc++'s forms call malloc and free through the PLT, that is, our
 * hooks, which then count: tried with one block while setting up, after which the table leads to
 * them. jemalloc's and tcmalloc's do not. Where it has not been tried the countdown tells: if the
 * next function left it unchanged and it was not drawn anew either, nobody has counted. Exceptions
 * pass through: nothing is held across the call.
 *
 * Without a C++ runtime behind us (a C program that dlopened one privately) the forms are made of
 * malloc and free: the program's first ones, which an allocator before the agent may be.
 */
#define _GNU_SOURCE
#include "interpose_new.h"
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
	uint8_t decisions_before, const struct walk_regs *caller)
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
		uint8_t decisions = thread_state.decisions;                                        \
		type next = (type)next_allocator.new_form[form];                                   \
		if (unlikely(!next))                                                               \
			return without_runtime(size, alignment, nothrow);                          \
		void *block = next(__VA_ARGS__);                                                   \
		settle(block, size, before, decisions, &caller);                                   \
		return block;                                                                      \
	}

/* clang-format off */
#define NEW_FORM(name, index, parameters, alignment, nothrow, type, ...)                           \
	SLOW void *count##name parameters NEW_BODY(index, alignment, nothrow, type, __VA_ARGS__)   \
	static void *entry##name = count##name;                                                    \
	EXPORT void *name parameters { return ((type)entry##name)(__VA_ARGS__); }

NEW_FORM(_Znwm, NEW, (size_t size), 0, false, new_function, size)
NEW_FORM(_Znam, NEW_ARRAY, (size_t size), 0, false, new_function, size)
NEW_FORM(_ZnwmRKSt9nothrow_t, NEW_NOTHROW, (size_t size, const void *tag), 0, true, new_nothrow_function, size, tag)
NEW_FORM(_ZnamRKSt9nothrow_t, NEW_ARRAY_NOTHROW, (size_t size, const void *tag), 0, true, new_nothrow_function, size, tag)
NEW_FORM(_ZnwmSt11align_val_t, ALIGNED_FORMS + NEW, (size_t size, size_t alignment), alignment, false, new_aligned_function, size, alignment)
NEW_FORM(_ZnamSt11align_val_t, ALIGNED_FORMS + NEW_ARRAY, (size_t size, size_t alignment), alignment, false, new_aligned_function, size, alignment)
NEW_FORM(_ZnwmSt11align_val_tRKSt9nothrow_t, ALIGNED_FORMS + NEW_NOTHROW, (size_t size, size_t alignment, const void *tag), alignment, true, new_aligned_nothrow_function, size, alignment, tag)
NEW_FORM(_ZnamSt11align_val_tRKSt9nothrow_t, ALIGNED_FORMS + NEW_ARRAY_NOTHROW, (size_t size, size_t alignment, const void *tag), alignment, true, new_aligned_nothrow_function, size, alignment, tag)
/* clang-format on */

/* Removes a sampled block before the next form frees it. True: it was the bootstrap heap's. */
static inline bool forget(void *address)
{
	if (likely(!bloom_filter_first((uintptr_t)address)))
		return false;
	if (next_allocator_is_bootstrap(address))
		return true;
	tracker_death(address);
	return false;
}

#define DELETE(name, index, parameters, type, ...)                                                 \
	SLOW void forget##name parameters                                                          \
	{                                                                                          \
		type next = (type)next_allocator.delete_form[index];                               \
		if (unlikely(!next))                                                               \
			free(address);                                                             \
		else if (likely(!forget(address)))                                                 \
			next(__VA_ARGS__);                                                         \
	}                                                                                          \
	static void *entry##name = forget##name;                                                   \
	EXPORT void name parameters                                                                \
	{                                                                                          \
		((type)entry##name)(__VA_ARGS__);                                                  \
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

static void **const new_entries[NEXT_ALLOCATOR_NEW_FORMS] = {
	&entry_Znwm,
	&entry_Znam,
	&entry_ZnwmRKSt9nothrow_t,
	&entry_ZnamRKSt9nothrow_t,
	&entry_ZnwmSt11align_val_t,
	&entry_ZnamSt11align_val_t,
	&entry_ZnwmSt11align_val_tRKSt9nothrow_t,
	&entry_ZnamSt11align_val_tRKSt9nothrow_t,
};

static void **const delete_entries[NEXT_ALLOCATOR_DELETE_FORMS] = {
	&entry_ZdlPv,
	&entry_ZdaPv,
	&entry_ZdlPvm,
	&entry_ZdaPvm,
	&entry_ZdlPvRKSt9nothrow_t,
	&entry_ZdaPvRKSt9nothrow_t,
	&entry_ZdlPvSt11align_val_t,
	&entry_ZdaPvSt11align_val_t,
	&entry_ZdlPvmSt11align_val_t,
	&entry_ZdaPvmSt11align_val_t,
	&entry_ZdlPvSt11align_val_tRKSt9nothrow_t,
	&entry_ZdaPvSt11align_val_tRKSt9nothrow_t,
};

/* While setting up, a malloc of ours reaches the countdown, which is 0, and a free of an address
 * that is in the filter but not in the map is counted as such. The form that throws nothing. */
static bool ends_in_ours(new_nothrow_function make, delete1 drop)
{
	struct thread_state *thread = &thread_state;
	uint8_t decisions = thread->decisions;
	uint16_t positives = thread->filter_positives;
	uintptr_t address = (uintptr_t)make(1, ""); /* any address: it has no members */

	if (address == 0 || thread->decisions == decisions)
		return false;
	bloom_filter_add(address);
	drop((void *)address);
	bloom_filter_remove(address);
	bool dropped = thread->filter_positives != positives;
	thread->filter_positives = thread->filter_false = 0;
	return dropped;
}

static void lead_to(void *const *forms, void **const *entries, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (forms[i] && next_allocator_is_cxx_runtimes(forms[i]))
			*entries[i] = forms[i];
}

/* Only the forms of the C++ runtime itself, which need no constructor to have run before. Anybody else's may, and
 * are left to the countdown. One form tells of all. */
void interpose_new_try(void)
{
	void *make = next_allocator.new_form[NEW_NOTHROW], *drop = next_allocator.delete_form[0];

	if (!make || !drop || !next_allocator_is_cxx_runtimes(make) ||
		!next_allocator_is_cxx_runtimes(drop) ||
		!ends_in_ours((new_nothrow_function)make, (delete1)drop))
		return;
	lead_to(next_allocator.new_form, new_entries, NEXT_ALLOCATOR_NEW_FORMS);
	lead_to(next_allocator.delete_form, delete_entries, NEXT_ALLOCATOR_DELETE_FORMS);
}
