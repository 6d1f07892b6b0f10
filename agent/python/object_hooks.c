/*
 * Sampled by the thread's countdown and entered in the map like the blocks of malloc
 * (platform/linux/interpose_malloc.c), under the address that the interpreter gets.
 *
 * direct: a size above the limit is malloc's, whose hooks count it, and arenas are mapped, which
 * nobody counts; so a block is counted once although nothing is hidden, and the fast paths jump.
 * Only a realloc does not know who serves it, for a block of malloc's stays there when it shrinks: if
 * the countdown is unchanged afterwards, no hook of malloc has counted.
 *
 * covering: the countdown is put out of reach while the inner function runs. Whatever happens then
 * is not on the line on which sample points fall: the process has no memory, so it may go on
 * from where it was. Should a thread leave the inner function for good (siglongjmp), it samples
 * again after SILENT_BYTES. Should the inner function come to the end of even these (tracemalloc
 * enlarging its table), a slow path has counted on from there, and its countdown stands.
 */
#include "object_hooks.h"
#include <stdatomic.h>
#include <stdbool.h>
#include "bloom_filter.h"
#include "lifecycle.h"
#include "thread_state.h"
#include "tracker.h"

#define SILENT_BYTES (UINT64_C(16) << 20)
#define SLOW	     static __attribute__((noinline))
#define INLINE	     static inline __attribute__((always_inline))
#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)

/* Written before the tables that lead here. */
static struct object_allocator direct[OBJECT_DOMAINS];
static struct object_allocator covered[OBJECT_DOMAINS];
static size_t direct_limit;
static _Atomic uint32_t decisions;

static bool decide(size_t size, uint64_t *interval_bytes)
{
	/* relaxed: a statistic. */
	atomic_fetch_add_explicit(&decisions, 1, memory_order_relaxed);
	return tracker_decide(size, interval_bytes);
}

uint32_t object_hooks_decisions(void)
{
	/* relaxed: a statistic. */
	return atomic_load_explicit(&decisions, memory_order_relaxed);
}

static void birth(void *block, size_t size, uint64_t interval_bytes, const struct walk_regs *caller)
{
	struct segment *segment = lifecycle_segment();

	if (tracker_birth(block, size, interval_bytes, caller))
		segment_count(segment, &segment->header->counters.objects_sampled, 1);
}

/* Nothing is to be decided: counted, or not ours to count. */
INLINE bool pass_direct(size_t size)
{
	return unlikely(size - 1 >= direct_limit) || likely(thread_state_pass(size));
}

SLOW void *slow_malloc(void *context, size_t size, const struct object_allocator *next)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;
	bool sampled = decide(size, &interval_bytes);
	void *block = next->malloc(context, size);

	if (sampled && block)
		birth(block, size, interval_bytes, &caller);
	return block;
}

INLINE void *direct_malloc(void *context, size_t size, const struct object_allocator *next)
{
	if (likely(pass_direct(size)))
		return next->malloc(context, size);
	return slow_malloc(context, size, next);
}

SLOW void *slow_calloc(
	void *context, size_t count, size_t size, const struct object_allocator *next)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;
	bool sampled = decide(count * size, &interval_bytes);
	void *block = next->calloc(context, count, size);

	if (sampled && block)
		birth(block, count * size, interval_bytes, &caller);
	return block;
}

INLINE void *direct_calloc(
	void *context, size_t count, size_t size, const struct object_allocator *next)
{
	size_t bytes;

	if (unlikely(__builtin_mul_overflow(count, size, &bytes)) || likely(pass_direct(bytes)))
		return next->calloc(context, count, size);
	return slow_calloc(context, count, size, next);
}

SLOW void *late_birth(void *block, size_t size)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;

	if (decide(size, &interval_bytes))
		birth(block, size, interval_bytes, &caller);
	return block;
}

/* The old block is gone if there is a new one: a size of 0 is no exception here. */
SLOW void *tracked_realloc(
	void *context, void *address, size_t size, const struct object_allocator *next)
{
	struct wire_slot *slot = tracker_suspend(address);
	void *block = next->realloc(context, address, size);

	if (slot && block)
		tracker_replaced(slot, address);
	else if (slot)
		tracker_resume(slot);
	return block;
}

INLINE void *any_realloc(
	void *context, void *address, size_t size, const struct object_allocator *next)
{
	if (unlikely(bloom_filter_first((uintptr_t)address)))
		return tracked_realloc(context, address, size, next);
	return next->realloc(context, address, size);
}

INLINE void *direct_realloc(
	void *context, void *address, size_t size, const struct object_allocator *next)
{
	uint64_t countdown = thread_state.countdown;
	uint8_t decided = thread_state.decisions;
	void *block = any_realloc(context, address, size, next);

	if (block == NULL || thread_state.countdown != countdown ||
		thread_state.decisions != decided || likely(pass_direct(size)))
		return block;
	return late_birth(block, size);
}

SLOW void slow_free(void *context, void *address, const struct object_allocator *next)
{
	tracker_death(address);
	next->free(context, address);
}

INLINE void any_free(void *context, void *address, const struct object_allocator *next)
{
	if (unlikely(bloom_filter_first((uintptr_t)address)))
		slow_free(context, address, next);
	else
		next->free(context, address);
}

struct silence {
	uint64_t countdown;
	uint8_t decisions;
};

static struct silence silence_begin(size_t size)
{
	struct silence before = {thread_state.countdown, thread_state.decisions};

	thread_state.countdown = SILENT_BYTES + size;
	return before;
}

static void silence_end(const struct silence *before)
{
	if (thread_state.decisions == before->decisions)
		thread_state.countdown = before->countdown;
}

/* A block of the covered allocator: counted when it is there. */
INLINE void *settle(void *block, size_t size)
{
	if (block == NULL || size > PTRDIFF_MAX || likely(thread_state_pass(size)))
		return block;
	return late_birth(block, size);
}

INLINE void *covering_malloc(void *context, size_t size, const struct object_allocator *next)
{
	struct silence silence = silence_begin(size);
	void *block = next->malloc(context, size);

	silence_end(&silence);
	return settle(block, size);
}

INLINE void *covering_calloc(
	void *context, size_t count, size_t size, const struct object_allocator *next)
{
	struct silence silence = silence_begin(count * size);
	void *block = next->calloc(context, count, size);

	silence_end(&silence);
	return settle(block, count * size);
}

INLINE void *covering_realloc(
	void *context, void *address, size_t size, const struct object_allocator *next)
{
	struct silence silence = silence_begin(size);
	void *block = any_realloc(context, address, size, next);

	silence_end(&silence);
	return settle(block, size);
}

/* The functions of one table: all that differs is where they go on. */
#define TABLE(name, kind, next)                                                                    \
	static void *name##_malloc(void *context, size_t size)                                     \
	{                                                                                          \
		return kind##_malloc(context, size, next);                                         \
	}                                                                                          \
	static void *name##_calloc(void *context, size_t count, size_t size)                       \
	{                                                                                          \
		return kind##_calloc(context, count, size, next);                                  \
	}                                                                                          \
	static void *name##_realloc(void *context, void *address, size_t size)                     \
	{                                                                                          \
		return kind##_realloc(context, address, size, next);                               \
	}                                                                                          \
	static void name##_free(void *context, void *address)                                      \
	{                                                                                          \
		any_free(context, address, next);                                                  \
	}                                                                                          \
	static const struct object_allocator name##_table = {                                      \
		NULL, name##_malloc, name##_calloc, name##_realloc, name##_free}

TABLE(direct_mem, direct, &direct[OBJECT_DOMAIN_MEM]);
TABLE(direct_obj, direct, &direct[OBJECT_DOMAIN_OBJ]);
TABLE(covering_mem, covering, &covered[OBJECT_DOMAIN_MEM]);
TABLE(covering_obj, covering, &covered[OBJECT_DOMAIN_OBJ]);

static void take_over(const struct object_allocator *now, struct object_allocator *kept,
	const struct object_allocator *mem, const struct object_allocator *obj,
	struct object_allocator *out)
{
	kept[OBJECT_DOMAIN_MEM] = now[OBJECT_DOMAIN_MEM];
	kept[OBJECT_DOMAIN_OBJ] = now[OBJECT_DOMAIN_OBJ];
	out[OBJECT_DOMAIN_MEM] = *mem;
	out[OBJECT_DOMAIN_OBJ] = *obj;
	out[OBJECT_DOMAIN_MEM].context = now[OBJECT_DOMAIN_MEM].context;
	out[OBJECT_DOMAIN_OBJ].context = now[OBJECT_DOMAIN_OBJ].context;
}

void object_hooks_direct(
	size_t limit, const struct object_allocator *now, struct object_allocator *out)
{
	direct_limit = limit;
	take_over(now, direct, &direct_mem_table, &direct_obj_table, out);
}

void object_hooks_covering(const struct object_allocator *now, struct object_allocator *out)
{
	take_over(now, covered, &covering_mem_table, &covering_obj_table, out);
}
