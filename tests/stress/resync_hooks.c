#include "config.h"
#include "stress/resync_hooks.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "announce.h"
#include "bloom_filter.h"
#include "record_encode.h"
#include "scratch_pool.h"
#include "thread_state.h"

#define DEATH_NS 2 /* when blocks die: nobody looks at it */

void hooks_must(const struct hooks *hooks, bool fine, const char *what)
{
	if (fine)
		return;
	printf("Bail out! seed %llu: %s\n", (unsigned long long)hooks->seed, what);
	fflush(stdout);
	abort();
}

void hooks_turn(struct hooks *hooks)
{
	const struct resync_parts parts = {&hooks->segment, &hooks->map, &hooks->stacks};

	if (resync_is_due(&hooks->resync, &hooks->segment))
		resync_turn(&hooks->resync, &parts);
}

void hooks_publish_levels(struct hooks *hooks)
{
	atomic_store_explicit(&hooks->segment.header->map_levels,
		heap_map_levels_in_use(&hooks->map), memory_order_relaxed);
}

static void capture(struct hooks *hooks, struct scratch *scratch, struct heap_map_entry *entry,
	const struct stack_view *stack)
{
	struct wire_counters *counters = &hooks->segment.header->counters;
	struct wire_birth *birth = &scratch->birth;

	memcpy(birth->frames, stack->frames, stack->frame_count * sizeof stack->frames[0]);
	entry->stack_ref = stack_store_intern(&hooks->stacks, stack, scratch->code);
	if (entry->stack_ref == 0)
		segment_count(&hooks->segment, &counters->stacks_not_kept, 1);
	hooks_must(hooks,
		!bloom_filter_contains(entry->address) ||
			!heap_map_take(&hooks->map, entry->address),
		"no block is born where one lives");
	bloom_filter_add(entry->address);
	struct wire_slot *slot = heap_map_insert(&hooks->map, entry);
	hooks_must(hooks, slot, "the map has room");
	hooks_publish_levels(hooks);
	record_encode_birth(birth, entry, stack, 0);
	announce_birth(&hooks->segment, &hooks->map, slot, birth);
	segment_count(&hooks->segment, &counters->samples, 1);
}

void hooks_birth(struct hooks *hooks, struct heap_map_entry *entry, const struct stack_view *stack)
{
	uint64_t word;

	entry->tid = thread_state_tid();
	struct scratch *scratch = scratch_pool_lease(entry->tid, &word);
	hooks_must(hooks, scratch, "there is a scratch buffer");
	capture(hooks, scratch, entry, stack);
	scratch_pool_release(scratch, word);
	hooks_turn(hooks);
}

struct wire_slot *hooks_take(struct hooks *hooks, uintptr_t address)
{
	hooks_must(hooks, bloom_filter_contains(address), "the filter knows what lives");
	struct wire_slot *slot = heap_map_take(&hooks->map, address);
	hooks_must(hooks, slot, "the map knows what lives");
	bloom_filter_remove(address);
	return slot;
}

void hooks_retire(struct hooks *hooks, struct wire_slot *slot)
{
	uint32_t stack = heap_map_stack_ref(slot);

	announce_death(&hooks->segment, &hooks->map, slot, DEATH_NS);
	stack_store_release(&hooks->stacks, stack);
}

void hooks_death(struct hooks *hooks, uintptr_t address)
{
	hooks_retire(hooks, hooks_take(hooks, address));
	hooks_turn(hooks);
}

void hooks_replaced(struct hooks *hooks, struct wire_slot *slot, uintptr_t address)
{
	heap_map_take_suspended(&hooks->map, slot);
	bloom_filter_remove(address);
	hooks_retire(hooks, slot);
}
