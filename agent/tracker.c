/*
 * Order matters: a block enters the map after the real malloc and before the program gets it, and
 * leaves it before the real free. Otherwise another thread could be given the same address in
 * between.
 */
#include "tracker.h"
#include "announce.h"
#include "audit.h"
#include "bloom_filter.h"
#include "fork_word.h"
#include "lifecycle.h"
#include "python/allocators.h"
#include "python/mixed_stack.h"
#include "python/runtime.h"
#include "record_encode.h"
#include "reentry_guard.h"
#include "sampler.h"
#include "scratch_pool.h"

#define FILTER_COUNT_MAX 0x8000u /* passes of the filter that a thread keeps to itself */

static struct wire_counters *counters(void)
{
	return &lifecycle_segment()->header->counters;
}

static void count(_Atomic uint64_t *counter, uint64_t add)
{
	segment_count(lifecycle_segment(), counter, add);
}

static void lose(enum wire_loss reason, uint64_t bytes)
{
	segment_count_loss(lifecycle_segment(), reason, bytes);
}

/* What a thread was before a fork, it is not in the child: its id, its seed, its sample point. */
static void enter_generation(struct thread_state *thread, uint16_t generation)
{
	if (thread->generation != 0) {
		thread->tid = 0;
		thread->filter_positives = thread->filter_false = 0;
	}
	thread->generation = generation;
	sampler_enter(thread);
}

/* Every slow path looks after this first. False: a child that another of its threads is making a
 * process of its own; nothing but the map may be touched. */
static bool settled(void)
{
	if (fork_word_is_child() && !lifecycle_settle())
		return false;
	uint16_t generation = (uint16_t)fork_word_generation();
	if (thread_state.generation != generation)
		enter_generation(&thread_state, generation);
	return true;
}

/* Slow paths take a turn each in telling the map again. */
static void take_turn(void)
{
	struct resync_parts parts = {
		.segment = lifecycle_segment(),
		.map = &lifecycle.map,
		.stacks = &lifecycle.stacks,
	};

	if (resync_is_due(&lifecycle.resync, parts.segment))
		resync_turn(&lifecycle.resync, &parts);
}

/* What is in use, where that is so much that less should be sampled; else 0. */
static uint64_t crowd(void)
{
	/* relaxed: a statistic. */
	uint64_t used = atomic_load_explicit(&lifecycle.map.used_slots, memory_order_relaxed);

	return heap_map_crowded(&lifecycle.map) || stack_store_crowded(&lifecycle.stacks)
		       ? used + stack_store_blocks_in_use(&lifecycle.stacks)
		       : 0;
}

static bool cross(struct thread_state *thread, size_t size, uint64_t *interval_bytes)
{
	if (!reentry_guard_enter(thread)) {
		lose(WIRE_LOSS_REENTRY, 0);
		return false;
	}
	bool sampled = sampler_cross(thread, size, interval_bytes);
	reentry_guard_leave(thread);
	return sampled;
}

bool tracker_decide(size_t size, uint64_t *interval_bytes)
{
	struct thread_state *thread = &thread_state;
	enum lifecycle_state state = lifecycle_enter();

	thread->decisions++;
	if (state == LIFECYCLE_STARTING)
		return false;
	if (state == LIFECYCLE_INERT) {
		sampler_skip(thread, INT64_MAX);
		return false;
	}
	bool here = settled();
	state = lifecycle_enter(); /* by now */
	if (!here || state == LIFECYCLE_TRACKING || !lifecycle_listen())
		sampler_skip(thread, sampler_tick());
	else if (cross(thread, size, interval_bytes))
		return true;
	if (fork_word_is_child())
		return false;
	count(&counters()->services, 1);
	sampler_look(lifecycle_now_ns(), crowd());
	take_turn();
	allocators_look();
	return false;
}

/* The stack goes with the last that refers to it. */
static void retire(struct wire_slot *slot, uint64_t now_ns)
{
	uint32_t stack = heap_map_stack_ref(slot);

	announce_death(lifecycle_segment(), &lifecycle.map, slot, now_ns);
	stack_store_release(&lifecycle.stacks, stack);
}

static void remove_stale(uintptr_t address)
{
	struct wire_slot *slot;

	/* Freed behind our back (__libc_free, sdallocx): the program cannot own the address twice.
	 */
	while ((slot = heap_map_take(&lifecycle.map, address))) {
		bloom_filter_remove(address);
		count(&counters()->missed_frees, 1);
		retire(slot, 0);
	}
}

/* Before the birth is told: whoever reads the map by itself must look where it is. */
static void publish_levels(void)
{
	_Atomic uint32_t *published = &lifecycle_segment()->header->map_levels;
	uint32_t levels = heap_map_levels_in_use(&lifecycle.map);

	/* relaxed: ordered before the birth's head by RING-1. */
	if (atomic_load_explicit(published, memory_order_relaxed) != levels)
		atomic_store_explicit(published, levels, memory_order_relaxed);
}

static struct wire_slot *insert(struct heap_map_entry *entry)
{
	if (bloom_filter_contains(entry->address))
		remove_stale(entry->address);
	/* Before the slot is FINAL: a false negative would corrupt the map for good. */
	bloom_filter_add(entry->address);
	struct wire_slot *slot = heap_map_insert(&lifecycle.map, entry);
	if (!slot)
		bloom_filter_remove(entry->address);
	publish_levels();
	return slot;
}

/* Counted per thread, for a program that frees one address over and over passes the filter each
 * time, and threads must not meet on a counter then. */
static void flush_filter_counts(struct thread_state *thread)
{
	count(&counters()->filter_positives, thread->filter_positives);
	count(&counters()->filter_false, thread->filter_false);
	thread->filter_positives = 0;
	thread->filter_false = 0;
}

static void gauge(_Atomic uint64_t *counter, uint64_t value)
{
	/* relaxed: a statistic. */
	atomic_store_explicit(counter, value, memory_order_relaxed);
}

static void update_gauges(void)
{
	struct wire_counters *c = counters();
	const struct heap_map *map = &lifecycle.map;

	gauge(&c->interval_bytes, sampler_interval());
	gauge(&c->map_slots, map->capacity);
	gauge(&c->filter_cells_used, bloom_filter_cells_used());
	gauge(&c->filter_saturated, bloom_filter_saturated());
	gauge(&c->rule_misses, walk_misses());
	gauge(&c->stacks, stack_store_stacks_in_use(&lifecycle.stacks));
	gauge(&c->stack_blocks, stack_store_blocks_in_use(&lifecycle.stacks));
	/* relaxed: a statistic. */
	gauge(&c->map_collisions, atomic_load_explicit(&map->collisions, memory_order_relaxed));
}

static uint32_t keep_stack(const struct stack_view *view, struct scratch *scratch)
{
	uint32_t stack = stack_store_intern(&lifecycle.stacks, view, scratch->code);

	if (stack == 0)
		count(&counters()->stacks_not_kept, 1);
	return stack;
}

/* Audits are of the walk: frames that an interpreter told of are not in them. */
static void audit(const struct wire_birth *birth, const struct walk_result *walk,
	struct stack_view *view, const struct walk_regs *caller)
{
	view->frame_count = (uint16_t)walk->frame_count;
	view->stop = walk->stop;
	audit_tell(lifecycle_segment(), birth, view, caller);
}

static bool capture(struct scratch *scratch, const struct walk_regs *caller)
{
	struct heap_map_entry *entry = &scratch->entry;
	struct wire_birth *birth = &scratch->birth;
	struct walk_result walk;
	struct stack_view view = {.frames = birth->frames, .module_epoch = walk_epoch()};
	const uint64_t *walked = birth->frames;

	/* The walk is called from here, where there is the most of the stack left for it. */
	if (__builtin_expect(runtime_current() != NULL, 0)) {
		struct mixed_stack *mixed = scratch_pool_mixed(scratch);

		walk_with_places(
			&scratch->memo, caller, mixed->native, mixed->sp, WIRE_MAX_FRAMES, &walk);
		view.frame_count = (uint16_t)mixed_stack_take(mixed, runtime_current(),
			lifecycle_segment(), &walk, birth->frames, &view.stop);
		walked = mixed->native;
	} else {
		walk_with_memo(&scratch->memo, caller, birth->frames, WIRE_MAX_FRAMES, &walk);
		view.frame_count = (uint16_t)walk.frame_count;
		view.stop = walk.stop;
	}
	view.guessed = walk.guessed;
	entry->stack_ref = keep_stack(&view, scratch);
	struct wire_slot *slot = insert(entry);
	if (!slot) {
		stack_store_release(&lifecycle.stacks, entry->stack_ref);
		lose(WIRE_LOSS_MAP_FULL, sampler_weight(entry->size_bytes, entry->interval_bytes));
		return false;
	}
	record_encode_birth(birth, entry, &view, 0);
	announce_birth(lifecycle_segment(), &lifecycle.map, slot, birth);
	if (audit_is_due(&scratch->since_audit)) {
		view.frames = walked;
		audit(birth, &walk, &view, caller);
	}
	count(&counters()->samples, 1);
	update_gauges();
	return true;
}

bool tracker_birth(
	void *address, size_t size, uint64_t interval_bytes, const struct walk_regs *caller)
{
	struct thread_state *thread = &thread_state;
	bool kept = false;
	uint64_t word;

	if (!reentry_guard_enter(thread)) {
		lose(WIRE_LOSS_REENTRY, sampler_weight(size, interval_bytes));
		return false;
	}
	uint64_t now_ns = lifecycle_now_ns();
	uint32_t tid = thread_state_tid();
	struct scratch *scratch = scratch_pool_lease(tid, &word);
	if (scratch) {
		scratch->entry = (struct heap_map_entry){
			.address = (uintptr_t)address,
			.size_bytes = size,
			.interval_bytes = interval_bytes,
			.birth_ns = now_ns,
			.tid = tid,
		};
		kept = capture(scratch, caller);
		scratch_pool_release(scratch, word);
	} else {
		lose(WIRE_LOSS_NO_SCRATCH, sampler_weight(size, interval_bytes));
		scratch_pool_reap(now_ns);
	}
	flush_filter_counts(thread);
	sampler_brake(
		now_ns, heap_map_crowded(&lifecycle.map) || stack_store_crowded(&lifecycle.stacks));
	take_turn();
	reentry_guard_leave(thread);
	allocators_look();
	return kept;
}

/* While another thread settles the child there is nobody to tell, and BUSY and LIMBO would be taken
 * for the parent's. A realloc that fails then is of a block that is tracked no more. */
static void forget(uintptr_t address)
{
	struct heap_map_forgotten forgotten;

	if (!heap_map_forget(&lifecycle.map, address, &forgotten))
		return;
	bloom_filter_remove(address);
	stack_store_release(&lifecycle.stacks, forgotten.stack_ref);
	/* The child has been settled meanwhile, and has told of the block. */
	if (forgotten.announced && !fork_word_is_child())
		announce_forgotten(lifecycle_segment(), forgotten.id, lifecycle_now_ns());
}

static bool in_filter(uintptr_t address)
{
	struct thread_state *thread = &thread_state;

	if (!bloom_filter_contains(address))
		return false;
	if (++thread->filter_positives >= FILTER_COUNT_MAX && settled())
		flush_filter_counts(thread);
	return true;
}

void tracker_death(void *address)
{
	if (!in_filter((uintptr_t)address))
		return;
	if (!settled()) {
		forget((uintptr_t)address);
		return;
	}
	struct wire_slot *slot = heap_map_take(&lifecycle.map, (uintptr_t)address);
	if (!slot) {
		thread_state.filter_false++;
		return;
	}
	bloom_filter_remove((uintptr_t)address);
	retire(slot, lifecycle_now_ns());
	take_turn();
}

struct wire_slot *tracker_suspend(void *address)
{
	if (!in_filter((uintptr_t)address))
		return NULL;
	if (!settled()) {
		forget((uintptr_t)address);
		return NULL;
	}
	struct wire_slot *slot = heap_map_suspend(&lifecycle.map, (uintptr_t)address);
	if (!slot)
		thread_state.filter_false++;
	return slot;
}

void tracker_resume(struct wire_slot *slot)
{
	heap_map_resume(&lifecycle.map, slot);
}

void tracker_replaced(struct wire_slot *slot, void *address)
{
	heap_map_take_suspended(&lifecycle.map, slot);
	bloom_filter_remove((uintptr_t)address);
	retire(slot, lifecycle_now_ns());
}
