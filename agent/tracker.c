/*
 * Order matters: a block enters the map after the real malloc and before the program gets it, and
 * leaves it before the real free. Otherwise another thread could be given the same address in
 * between.
 */
#include "tracker.h"
#include "announce.h"
#include "bloom_filter.h"
#include "fork_word.h"
#include "lifecycle.h"
#include "reentry_guard.h"
#include "sampler.h"
#include "scratch_pool.h"

static struct wire_counters *counters(void)
{
	return &lifecycle.segment.header->counters;
}

static void count(_Atomic uint64_t *counter)
{
	segment_count(&lifecycle.segment, counter, 1);
}

static void lose(enum wire_loss reason, uint64_t bytes)
{
	segment_count_loss(&lifecycle.segment, reason, bytes);
}

static bool may_sample(enum lifecycle_state state)
{
	return state == LIFECYCLE_SAMPLING && !fork_word_is_child();
}

bool tracker_decide(size_t size, uint64_t *interval_bytes)
{
	struct thread_state *thread = &thread_state;
	enum lifecycle_state state = lifecycle_enter();

	thread->decisions++;
	if (state == LIFECYCLE_STARTING)
		return false;
	if (!may_sample(state)) {
		sampler_skip(thread, state == LIFECYCLE_INERT ? INT64_MAX : SAMPLER_TICK);
		return false;
	}
	if (!reentry_guard_enter(thread)) {
		lose(WIRE_LOSS_REENTRY, 0);
		return false;
	}
	bool sampled = sampler_cross(thread, size, interval_bytes);
	reentry_guard_leave(thread);
	if (!sampled)
		count(&counters()->services);
	return sampled;
}

static void remove_stale(uintptr_t address)
{
	struct wire_slot *slot;

	/* Freed behind our back (__libc_free, sdallocx): the program cannot own the address twice.
	 */
	while ((slot = heap_map_take(&lifecycle.map, address))) {
		bloom_filter_remove(address);
		count(&counters()->missed_frees);
		announce_death(&lifecycle.segment, &lifecycle.map, slot, 0);
	}
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
	return slot;
}

static void encode(struct wire_birth *birth, const struct heap_map_entry *entry,
	const struct walk_result *walk)
{
	birth->record = (struct wire_record){
		.size = (uint32_t)(sizeof *birth + walk->frame_count * sizeof birth->frames[0]),
		.type = WIRE_BIRTH,
	};
	birth->id = entry->id;
	birth->size_bytes = entry->size_bytes;
	birth->interval_bytes = entry->interval_bytes;
	birth->time_ns = entry->birth_ns;
	birth->address = entry->address;
	birth->tid = entry->tid;
	birth->epoch = 0;
	birth->frame_count = (uint16_t)walk->frame_count;
	birth->stop = walk->stop;
	birth->guessed = walk->guessed;
}

/* Counted per thread, for a program that frees one address over and over passes the filter each
 * time, and threads must not meet on a counter then. */
static void flush_filter_counts(struct thread_state *thread)
{
	segment_count(&lifecycle.segment, &counters()->filter_positives, thread->filter_positives);
	segment_count(&lifecycle.segment, &counters()->filter_false, thread->filter_false);
	thread->filter_positives = 0;
	thread->filter_false = 0;
}

static void update_gauges(void)
{
	/* relaxed throughout: statistics. */
	atomic_store_explicit(
		&counters()->filter_saturated, bloom_filter_saturated(), memory_order_relaxed);
	atomic_store_explicit(
		&counters()->interval_bytes, sampler_interval(), memory_order_relaxed);
	atomic_store_explicit(&counters()->map_slots, lifecycle.map.capacity, memory_order_relaxed);
	atomic_store_explicit(
		&counters()->filter_cells_used, bloom_filter_cells_used(), memory_order_relaxed);
	atomic_store_explicit(&counters()->rule_misses, walk_misses(), memory_order_relaxed);
	atomic_store_explicit(&counters()->map_collisions,
		atomic_load_explicit(&lifecycle.map.collisions, memory_order_relaxed),
		memory_order_relaxed);
}

static void capture(
	struct wire_birth *birth, struct heap_map_entry *entry, const struct walk_regs *caller)
{
	struct walk_result walk;

	birth->module_epoch = walk_epoch();
	walk_stack(caller, birth->frames, WIRE_MAX_FRAMES, &walk);
	struct wire_slot *slot = insert(entry);
	if (!slot) {
		lose(WIRE_LOSS_MAP_FULL, sampler_weight(entry->size_bytes, entry->interval_bytes));
		return;
	}
	encode(birth, entry, &walk);
	announce_birth(&lifecycle.segment, &lifecycle.map, slot, birth);
	count(&counters()->samples);
	update_gauges();
}

void tracker_birth(
	void *address, size_t size, uint64_t interval_bytes, const struct walk_regs *caller)
{
	struct thread_state *thread = &thread_state;
	uint64_t word;

	if (!reentry_guard_enter(thread)) {
		lose(WIRE_LOSS_REENTRY, sampler_weight(size, interval_bytes));
		return;
	}
	struct heap_map_entry entry = {
		.address = (uintptr_t)address,
		.size_bytes = size,
		.interval_bytes = interval_bytes,
		.birth_ns = lifecycle_now_ns(),
		.tid = thread_state_tid(),
	};
	struct scratch *scratch = scratch_pool_lease(entry.tid, &word);
	if (scratch) {
		capture(&scratch->birth, &entry, caller);
		scratch_pool_release(scratch, word);
	} else {
		lose(WIRE_LOSS_NO_SCRATCH, sampler_weight(size, interval_bytes));
		scratch_pool_reap(entry.birth_ns);
	}
	flush_filter_counts(thread);
	sampler_brake(entry.birth_ns, heap_map_crowded(&lifecycle.map));
	reentry_guard_leave(thread);
}

/* A forked child's entries die silently: their ids are its parent's. */
static void bury(struct wire_slot *slot, uintptr_t address)
{
	bloom_filter_remove(address);
	if (fork_word_is_child())
		heap_map_bury(&lifecycle.map, slot);
	else
		announce_death(&lifecycle.segment, &lifecycle.map, slot, lifecycle_now_ns());
}

static bool in_filter(uintptr_t address)
{
	if (!bloom_filter_contains(address))
		return false;
	thread_state.filter_positives++;
	return true;
}

void tracker_death(void *address)
{
	if (!in_filter((uintptr_t)address))
		return;
	struct wire_slot *slot = heap_map_take(&lifecycle.map, (uintptr_t)address);
	if (slot)
		bury(slot, (uintptr_t)address);
	else
		thread_state.filter_false++;
}

struct wire_slot *tracker_suspend(void *address)
{
	if (!in_filter((uintptr_t)address))
		return NULL;
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
	bury(slot, (uintptr_t)address);
}
