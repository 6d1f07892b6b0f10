/* A window is made of what lives alone: a dead sample leaves nothing but its share of its stack's sums. */
#include "server/snapshot_scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/estimate.h"
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "server/wall_clock.h"

bool snapshot_scope_is_window(const struct snapshot_scope *scope)
{
	return scope->since_id > 0 || scope->until_id > 0 || scope->thread > 0;
}

static bool has(const struct snapshot_scope *scope, const struct heap_birth *entry)
{
	return entry->id >= scope->since_id &&
	       (scope->until_id == 0 || entry->id < scope->until_id) &&
	       (scope->thread == 0 || entry->tid == scope->thread);
}

struct summing {
	const struct snapshot_scope *scope;
	struct estimate_sum *live;
	uint32_t stacks;
};

static void add_to_sum(const struct heap_birth *entry, void *data)
{
	const struct summing *summing = data;
	if (has(summing->scope, entry))
		estimate_add(&summing->live[entry->stack < summing->stacks ? entry->stack : 0],
			entry->size_bytes, entry->interval_bytes);
}

void snapshot_scope_sums(const struct snapshot_scope *scope, const struct heap_model *heap,
	struct estimate_sum *live, struct estimate_sum *cumulative, uint32_t stacks)
{
	if (!snapshot_scope_is_window(scope)) {
		heap_model_sums(heap, live, cumulative, stacks);
		return;
	}
	struct summing summing = {scope, live, stacks};
	memset(live, 0, stacks * sizeof *live);
	heap_model_each_live(heap, add_to_sum, &summing);
	memcpy(cumulative, live, stacks * sizeof *live);
}

struct listing {
	const struct snapshot_scope *scope;
	const uint32_t *sites;
	uint32_t stacks;
	struct snapshot *snapshot;
	uint64_t monotonic_ns, unix_ns; /* now */
};

/* As wall_clock_unix_of_monotonic, with the clocks read once. */
static uint64_t unix_time(const struct listing *listing, uint64_t time_ns)
{
	uint64_t now = listing->monotonic_ns;
	return listing->unix_ns - (time_ns == 0 || time_ns > now ? 0 : now - time_ns);
}

static void add_to_list(const struct heap_birth *entry, void *data)
{
	const struct listing *listing = data;
	struct snapshot *snapshot = listing->snapshot;
	if (!has(listing->scope, entry))
		return;
	snapshot->samples[snapshot->sample_count++] = (struct snapshot_sample){
		.id = entry->id,
		.address = entry->address,
		.size_bytes = entry->size_bytes,
		.interval_bytes = entry->interval_bytes,
		.time_unix_ns = unix_time(listing, entry->time_ns),
		.thread = entry->tid,
		.site = listing->sites[entry->stack < listing->stacks ? entry->stack : 0],
	};
}

void snapshot_scope_list(const struct snapshot_scope *scope, const struct heap_model *heap,
	const uint32_t *sites, uint32_t stacks, struct snapshot *snapshot)
{
	struct listing listing = {
		scope, sites, stacks, snapshot, wall_clock_monotonic_ns(), wall_clock_unix_ns()};
	struct heap_totals totals;
	if (!scope->samples)
		return;
	heap_model_totals(heap, &totals);
	snapshot->samples = alloc_zeroed(totals.live + 1, sizeof *snapshot->samples);
	heap_model_each_live(heap, add_to_list, &listing);
}
