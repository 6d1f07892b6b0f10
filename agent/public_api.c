/*
 * The agent's side of include/spprof/spprof.h. What cannot be done is said by a result; nothing
 * here fails the program.
 */
#include "spprof/spprof.h"
#include "fork_word.h"
#include "lifecycle.h"
#include "mark_ring.h"
#include "sampler.h"

#define EXPORT __attribute__((visibility("default")))

static int usable(void)
{
	enum lifecycle_state state = lifecycle_enter();

	if (state == LIFECYCLE_STARTING || state == LIFECYCLE_INERT)
		return SPPROF_ERROR_INERT;
	return SPPROF_OK;
}

/* SHUT_DOWN is never left. */
static int change(enum lifecycle_stop to)
{
	/* relaxed throughout: the word stands for itself. */
	uint32_t now = atomic_load_explicit(&lifecycle.stopped, memory_order_relaxed);
	int error = usable();

	while (error == SPPROF_OK && now != to) {
		if (now == LIFECYCLE_SHUT_DOWN)
			return SPPROF_ERROR_SHUT_DOWN;
		if (atomic_compare_exchange_weak_explicit(&lifecycle.stopped, &now, to,
			    memory_order_relaxed, memory_order_relaxed))
			break;
	}
	return error;
}

/* Others hear of it at their next tick; who said it may expect that it holds from here on. */
static int heard(int error)
{
	if (error == SPPROF_OK)
		sampler_restart(&thread_state);
	return error;
}

EXPORT int spprof_agent_start(void)
{
	return heard(change(LIFECYCLE_RUNNING));
}

EXPORT int spprof_agent_stop(void)
{
	return change(LIFECYCLE_STOPPED);
}

EXPORT int spprof_agent_shutdown(void)
{
	return change(LIFECYCLE_SHUT_DOWN);
}

EXPORT int spprof_agent_set_interval(uint64_t interval_bytes)
{
	int error = usable();

	if (interval_bytes > SAMPLER_MAX_INTERVAL)
		return SPPROF_ERROR_INVALID;
	if (error == SPPROF_OK)
		sampler_set_interval(interval_bytes);
	return heard(error);
}

static uint32_t state_now(const struct wire_control *control)
{
	/* relaxed throughout: as in lifecycle_listen. */
	uint32_t stopped = atomic_load_explicit(&lifecycle.stopped, memory_order_relaxed);

	if (fork_word_is_child() || lifecycle_enter() == LIFECYCLE_TRACKING)
		return SPPROF_STATE_UNATTACHED;
	if (stopped == LIFECYCLE_SHUT_DOWN)
		return SPPROF_STATE_SHUT_DOWN;
	if (stopped == LIFECYCLE_STOPPED ||
		(atomic_load_explicit(&control->flags, memory_order_relaxed) & WIRE_CONTROL_STOP))
		return SPPROF_STATE_STOPPED;
	return SPPROF_STATE_SAMPLING;
}

static uint64_t read_counter(const _Atomic uint64_t *counter)
{
	/* relaxed: a statistic. */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void fill(struct spprof_stats *out)
{
	const struct wire_header *header = lifecycle_segment()->header;
	const struct wire_counters *c = &header->counters;

	*out = (struct spprof_stats){
		.state = state_now(&header->control),
		.interval_bytes = sampler_interval(),
		.samples = read_counter(&c->samples),
		.live_samples = read_counter(&lifecycle.map.used_slots),
		.freed_samples = read_counter(&c->sampled_deaths),
		.unique_stacks = stack_store_stacks_in_use(&lifecycle.stacks),
		.map_slots = lifecycle.map.capacity,
		.map_collisions = read_counter(&lifecycle.map.collisions),
	};
	for (unsigned i = 0; i < WIRE_LOSS_KINDS; i++) {
		out->lost_samples += read_counter(&c->loss_count[i]);
		out->lost_bytes += read_counter(&c->loss_bytes[i]);
	}
}

/* `size` is that of the struct the program was compiled with: fields are only ever added at its
 * end. */
EXPORT int spprof_agent_stats(struct spprof_stats *out, size_t size)
{
	struct spprof_stats stats;
	int error = usable();

	if (error != SPPROF_OK)
		return error;
	fill(&stats);
	__builtin_memcpy(out, &stats, size < sizeof stats ? size : sizeof stats);
	return SPPROF_OK;
}

/* Without a name nothing is written: one load. A forked child's first call makes it a process of its own, for its
 * marks are none of its parent's. */
EXPORT uint64_t spprof_agent_mark(const char *name)
{
	if (usable() != SPPROF_OK || (fork_word_is_child() && !lifecycle_settle()))
		return 0;
	/* relaxed: a thread's own ids are drawn in its order, and it knows of others' by whatever made it
	 * wait for them. */
	uint64_t next = atomic_load_explicit(&lifecycle.map.next_id, memory_order_relaxed) + 1;
	if (!name)
		return next;
	return mark_ring_add(lifecycle_segment(), name, next, lifecycle_now_ns()) ? next : 0;
}
