/* A dead sample leaves nothing in the model but its share of its stack's sums; windows know of it by the death log. */
#include "server/snapshot_scope.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "model/death_log.h"
#include "model/estimate.h"
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "server/family_ledger.h"
#include "server/session.h"
#include "server/wall_clock.h"

static bool is_window(const struct snapshot_scope *scope)
{
	return scope->since_id > 0 || scope->until_id > 0 || scope->thread > 0;
}

struct snapshot_window snapshot_scope_window(
	const struct snapshot_scope *scope, const struct heap_model *heap)
{
	const struct death_log *log = heap_model_death_log(heap);
	return (struct snapshot_window){
		.set = is_window(scope),
		.since_id = scope->since_id,
		.until_id = scope->until_id,
		.thread = scope->thread,
		.complete = log != NULL && death_log_covers(log, scope->since_id),
	};
}

bool snapshot_scope_has(const struct snapshot_scope *scope, const struct heap_birth *entry)
{
	return !scope->nothing && entry->id >= scope->since_id &&
	       (scope->until_id == 0 || entry->id < scope->until_id) &&
	       (scope->thread == 0 || entry->tid == scope->thread);
}

struct summing {
	const struct snapshot_scope *scope;
	struct estimate_sum *sums;
	uint32_t stacks;
};

static void add_to_sum(const struct heap_birth *entry, void *data)
{
	const struct summing *summing = data;
	if (snapshot_scope_has(summing->scope, entry))
		estimate_add(&summing->sums[entry->stack < summing->stacks ? entry->stack : 0],
			entry->size_bytes, entry->interval_bytes);
}

static void add_dead_to_sum(const struct heap_birth *entry, uint64_t time_ns, void *data)
{
	(void)time_ns;
	add_to_sum(entry, data);
}

void snapshot_scope_sums(const struct snapshot_scope *scope, const struct heap_model *heap,
	struct estimate_sum *live, struct estimate_sum *cumulative, uint32_t stacks)
{
	if (scope->nothing) {
		memset(live, 0, stacks * sizeof *live);
		memset(cumulative, 0, stacks * sizeof *cumulative);
		return;
	}
	if (scope->ledger != NULL) {
		heap_model_sums_of(
			heap, family_ledger_counts, scope->ledger, live, cumulative, stacks);
		return;
	}
	if (!is_window(scope)) {
		heap_model_sums(heap, live, cumulative, stacks);
		return;
	}
	struct summing summing = {scope, live, stacks};
	memset(live, 0, stacks * sizeof *live);
	heap_model_each_live(heap, add_to_sum, &summing);
	memcpy(cumulative, live, stacks * sizeof *live);
	summing.sums = cumulative;
	if (heap_model_death_log(heap) != NULL)
		death_log_each(heap_model_death_log(heap), add_dead_to_sum, &summing);
}

struct inheritance {
	const struct session *session;
	const struct snapshot_scope *scope;
	struct estimate_sum sum;
};

static void add_inherited(const struct heap_birth *entry, void *data)
{
	struct inheritance *inheritance = data;
	if (snapshot_scope_has(inheritance->scope, entry) &&
		family_ledger_is_inherited(inheritance->session, entry))
		estimate_add(&inheritance->sum, entry->size_bytes, entry->interval_bytes);
}

struct estimate_sum snapshot_scope_inherited(
	const struct snapshot_scope *scope, const struct session *session)
{
	struct inheritance inheritance = {.session = session, .scope = scope};
	if ((session_segment(session)->flags & WIRE_FLAG_FORKED) && !scope->nothing)
		heap_model_each_live(session_heap(session), add_inherited, &inheritance);
	return inheritance.sum;
}

struct listing {
	const struct snapshot_scope *scope;
	const uint32_t *sites;
	uint32_t stacks;
	uint32_t room;
	struct snapshot *snapshot;
	uint64_t monotonic_ns, unix_ns; /* now */
};

/* As wall_clock_unix_of_monotonic, with the clocks read once. */
static uint64_t unix_time(const struct listing *listing, uint64_t time_ns)
{
	uint64_t now = listing->monotonic_ns;
	return listing->unix_ns - (time_ns == 0 || time_ns > now ? 0 : now - time_ns);
}

static struct snapshot_sample *add(struct listing *listing, const struct heap_birth *entry)
{
	struct snapshot *snapshot = listing->snapshot;
	if (snapshot->sample_count == listing->room) {
		listing->room *= 2;
		snapshot->samples =
			alloc_resize(snapshot->samples, listing->room, sizeof *snapshot->samples);
	}
	struct snapshot_sample *sample = &snapshot->samples[snapshot->sample_count++];
	*sample = (struct snapshot_sample){
		.id = entry->id,
		.address = entry->address,
		.size_bytes = entry->size_bytes,
		.interval_bytes = entry->interval_bytes,
		.time_unix_ns = unix_time(listing, entry->time_ns),
		.thread = entry->tid,
		.site = listing->sites[entry->stack < listing->stacks ? entry->stack : 0],
	};
	return sample;
}

static void add_live(const struct heap_birth *entry, void *data)
{
	struct listing *listing = data;
	struct family_ledger *ledger = listing->scope->ledger;
	if (snapshot_scope_has(listing->scope, entry) &&
		(ledger == NULL || family_ledger_has_counted(entry, ledger)))
		add(listing, entry);
}

/* Of one whose death was noticed later the moment of that is taken: by now. */
static void add_dead(const struct heap_birth *entry, uint64_t time_ns, void *data)
{
	struct listing *listing = data;
	if (snapshot_scope_has(listing->scope, entry))
		add(listing, entry)->freed_unix_ns = unix_time(listing, time_ns);
}

void snapshot_scope_list(const struct snapshot_scope *scope, const struct heap_model *heap,
	const uint32_t *sites, uint32_t stacks, struct snapshot *snapshot)
{
	struct listing listing = {scope, sites, stacks, 64, snapshot, wall_clock_monotonic_ns(),
		wall_clock_unix_ns()};
	if (!scope->samples)
		return;
	snapshot->samples = alloc_zeroed(listing.room, sizeof *snapshot->samples);
	heap_model_each_live(heap, add_live, &listing);
	if (is_window(scope) && heap_model_death_log(heap) != NULL)
		death_log_each(heap_model_death_log(heap), add_dead, &listing);
}
