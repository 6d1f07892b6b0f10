/*
 * Sampled by the thread's countdown and entered in the map like the blocks of malloc
 * (platform/linux/interpose_malloc.c), under the address that the interpreter gets.
 *
 * direct: pymalloc serves up to SMALL bytes from arenas, in every version, and passes on to malloc
 * what is larger, and whatever is not from an arena when it is freed or resized. So a small block
 * that is sampled is asked for as one of SMALL + 1 bytes and shrunk at once: pymalloc has counted it as
 * malloc's, which it is. Whether our malloc served it is seen by the countdown; if not, nobody would
 * hear of its end, and it is not a sample. Larger ones are left to the hooks of malloc. That they run
 * the countdown down here as well changes nothing: the process that it stands for has no memory, so
 * bytes may be left out of it, with the points that fall on them, wherever the choice does not
 * depend on where those are. Arenas are mapped, which nobody counts.
 *
 * covering: the countdown is put out of reach while the inner function runs. Whatever happens then
 * is left out, too, and the countdown goes on from where it was. Should a thread leave the inner function for good (siglongjmp), it samples
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

#define SMALL	     512u
#define SILENT_BYTES (UINT64_C(16) << 20)
#define SLOW	     static __attribute__((noinline))
#define INLINE	     static inline __attribute__((always_inline))
#define likely(x)    __builtin_expect(!!(x), 1)
#define unlikely(x)  __builtin_expect(!!(x), 0)

/* Written before the tables that lead here. */
static struct object_allocator direct[OBJECT_DOMAINS];
static struct object_allocator covered[OBJECT_DOMAINS];
static void *(*direct_raw_realloc)(void *address, size_t size);
static _Atomic uint32_t decisions;

/* After pass(size) has failed. A handler may have taken from the countdown what was not there. */
static bool decide(size_t size, uint64_t *interval_bytes)
{
	int64_t countdown = (int64_t)(thread_state.countdown + size);

	thread_state.countdown = countdown > 0 ? (uint64_t)countdown : 0;
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

/* Runs the countdown down in any case; decide() gives back what it could not. One instruction where it can
 * be: this is on the way of every object. Signed, which no size here and no countdown exceeds: left below 0 by
 * a signal handler that jumped away, it is found so by the next object. */
INLINE bool pass(size_t size)
{
#if defined(__x86_64__)
	bool reached;

	__asm__("sub %[size], %[countdown]"
		: [countdown] "+m"(thread_state.countdown), "=@ccle"(reached)
		: [size] "r"(size));
	return likely(!reached);
#else
	thread_state.countdown -= size;
	return likely((int64_t)thread_state.countdown > 0);
#endif
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

static bool is_untouched(const struct silence *before)
{
	return thread_state.countdown == before->countdown &&
	       thread_state.decisions == before->decisions;
}

/* Whether our malloc was called meanwhile. */
static bool silence_broken(size_t size)
{
	return thread_state.countdown != SILENT_BYTES + size;
}

static void silence_end(const struct silence *before)
{
	if (thread_state.decisions == before->decisions)
		thread_state.countdown = before->countdown;
}

static bool decide_small(size_t size, uint64_t *interval_bytes)
{
	return decide(size, interval_bytes) && size - 1 < SMALL;
}

/* `block` was asked for with SMALL + 1 bytes in silence. NULL: malloc has none, but an arena may have. */
static void *settle_direct(void *block, size_t size, uint64_t interval_bytes,
	const struct silence *silence, const struct walk_regs *caller)
{
	bool from_malloc = block && silence_broken(SMALL + 1);
	void *shrunk = from_malloc ? direct_raw_realloc(block, size) : NULL;

	silence_end(silence);
	if (shrunk)
		block = shrunk;
	if (from_malloc)
		birth(block, size, interval_bytes, caller);
	return block;
}

SLOW void *slow_malloc(void *context, size_t size, const struct object_allocator *next)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;

	if (!decide_small(size, &interval_bytes))
		return next->malloc(context, size);
	struct silence silence = silence_begin(SMALL + 1);
	void *block = next->malloc(context, SMALL + 1);
	block = settle_direct(block, size, interval_bytes, &silence, &caller);
	return block ? block : next->malloc(context, size);
}

/* The point that falls on a large one is left out. Who calls this ends in a jump, so that the hooks of malloc do not find
 * it among their callers: clang makes none in a function that has shown a variable to others. */
SLOW void pass_over(size_t size)
{
	uint64_t interval_bytes;

	decide(size, &interval_bytes);
}

SLOW void *large_malloc(void *context, size_t size, const struct object_allocator *next)
{
	pass_over(size);
	return next->malloc(context, size);
}

INLINE void *direct_malloc(void *context, size_t size, const struct object_allocator *next)
{
	if (likely(pass(size)))
		return next->malloc(context, size);
	if (likely(size <= SMALL))
		return slow_malloc(context, size, next);
	return large_malloc(context, size, next);
}

SLOW void *slow_calloc(
	void *context, size_t count, size_t size, const struct object_allocator *next)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;

	if (!decide_small(count * size, &interval_bytes))
		return next->calloc(context, count, size);
	struct silence silence = silence_begin(SMALL + 1);
	void *block = next->calloc(context, 1, SMALL + 1);
	block = settle_direct(block, count * size, interval_bytes, &silence, &caller);
	return block ? block : next->calloc(context, count, size);
}

SLOW void *large_calloc(
	void *context, size_t count, size_t size, const struct object_allocator *next)
{
	pass_over(count * size);
	return next->calloc(context, count, size);
}

/* The interpreter has made sure that the product is a size. */
INLINE void *direct_calloc(
	void *context, size_t count, size_t size, const struct object_allocator *next)
{
	if (likely(pass(count * size)))
		return next->calloc(context, count, size);
	if (likely(count * size <= SMALL))
		return slow_calloc(context, count, size, next);
	return large_calloc(context, count, size, next);
}

/* A block of malloc's stays there when it shrinks: its hooks have counted then, and the point that fell
 * here is left out. One from an arena moves once more. */
SLOW void *slow_realloc(
	void *context, void *address, size_t size, const struct object_allocator *next)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;
	bool sampled = decide_small(size, &interval_bytes);
	struct silence silence = {thread_state.countdown, thread_state.decisions};
	void *block = next->realloc(context, address, size);

	if (!sampled || !block || !is_untouched(&silence))
		return block;
	silence = silence_begin(SMALL + 1);
	void *moved = next->realloc(context, block, SMALL + 1);
	moved = settle_direct(moved, size, interval_bytes, &silence, &caller);
	return moved ? moved : block;
}

SLOW void *large_realloc(
	void *context, void *address, size_t size, const struct object_allocator *next)
{
	pass_over(size);
	return next->realloc(context, address, size);
}

INLINE void *direct_realloc(
	void *context, void *address, size_t size, const struct object_allocator *next)
{
	if (likely(pass(size)))
		return next->realloc(context, address, size);
	if (likely(size <= SMALL))
		return slow_realloc(context, address, size, next);
	return large_realloc(context, address, size, next);
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

SLOW void *late_birth(void *block, size_t size)
{
	struct walk_regs caller = TRACKER_CALLER();
	uint64_t interval_bytes;

	if (decide(size, &interval_bytes))
		birth(block, size, interval_bytes, &caller);
	return block;
}

/* A block of the covered allocator: counted when it is there. */
INLINE void *settle(void *block, size_t size)
{
	if (block == NULL || likely(pass(size)))
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
	void *block = unlikely(bloom_filter_first((uintptr_t)address))
			      ? tracked_realloc(context, address, size, next)
			      : next->realloc(context, address, size);

	silence_end(&silence);
	return settle(block, size);
}

SLOW void slow_free(void *context, void *address, const struct object_allocator *next)
{
	tracker_death(address);
	next->free(context, address);
}

INLINE void covering_free(void *context, void *address, const struct object_allocator *next)
{
	if (unlikely(bloom_filter_first((uintptr_t)address)))
		slow_free(context, address, next);
	else
		next->free(context, address);
}

/* The functions of one table: all that differs is where they go on. */
#define FUNCTIONS(kind, domain, next)                                                              \
	static void *kind##_##domain##_malloc(void *context, size_t size)                          \
	{                                                                                          \
		return kind##_malloc(context, size, next);                                         \
	}                                                                                          \
	static void *kind##_##domain##_calloc(void *context, size_t count, size_t size)            \
	{                                                                                          \
		return kind##_calloc(context, count, size, next);                                  \
	}                                                                                          \
	static void *kind##_##domain##_realloc(void *context, void *address, size_t size)          \
	{                                                                                          \
		return kind##_realloc(context, address, size, next);                               \
	}

FUNCTIONS(direct, mem, &direct[OBJECT_DOMAIN_MEM])
FUNCTIONS(direct, obj, &direct[OBJECT_DOMAIN_OBJ])
FUNCTIONS(covering, mem, &covered[OBJECT_DOMAIN_MEM])
FUNCTIONS(covering, obj, &covered[OBJECT_DOMAIN_OBJ])

static void covering_mem_free(void *context, void *address)
{
	covering_free(context, address, &covered[OBJECT_DOMAIN_MEM]);
}

static void covering_obj_free(void *context, void *address)
{
	covering_free(context, address, &covered[OBJECT_DOMAIN_OBJ]);
}

static void replace(struct object_allocator *table, void *(*malloc)(void *, size_t),
	void *(*calloc)(void *, size_t, size_t), void *(*realloc)(void *, void *, size_t))
{
	table->malloc = malloc;
	table->calloc = calloc;
	table->realloc = realloc;
}

static void copy(const struct object_allocator *from, struct object_allocator *to)
{
	to[OBJECT_DOMAIN_MEM] = from[OBJECT_DOMAIN_MEM];
	to[OBJECT_DOMAIN_OBJ] = from[OBJECT_DOMAIN_OBJ];
}

void object_hooks_direct(const struct object_allocator *now,
	void *(*raw_realloc)(void *address, size_t size), struct object_allocator *out)
{
	struct object_allocator *mem = &out[OBJECT_DOMAIN_MEM], *obj = &out[OBJECT_DOMAIN_OBJ];

	direct_raw_realloc = raw_realloc;
	copy(now, direct);
	copy(now, out);
	replace(mem, direct_mem_malloc, direct_mem_calloc, direct_mem_realloc);
	replace(obj, direct_obj_malloc, direct_obj_calloc, direct_obj_realloc);
}

void object_hooks_covering(const struct object_allocator *now, struct object_allocator *out)
{
	struct object_allocator *mem = &out[OBJECT_DOMAIN_MEM], *obj = &out[OBJECT_DOMAIN_OBJ];

	copy(now, covered);
	copy(now, out);
	replace(mem, covering_mem_malloc, covering_mem_calloc, covering_mem_realloc);
	replace(obj, covering_obj_malloc, covering_obj_calloc, covering_obj_realloc);
	mem->free = covering_mem_free;
	obj->free = covering_obj_free;
}
