/*
 * Invariant: at quiescence and without counted losses, the ids announced less the ids whose DEATH
 * was written are exactly the announced FINAL slots; the header's live count and digest say so too.
 */
#include "announce.h"
#include "fork_word.h"
#include "ring_producer.h"
#include "sampler.h"
#include "spprof/wire/record.h"
#include "thread_state.h"

static void digest_add(struct segment *segment, uint64_t id)
{
	/* relaxed: the daemon compares only when the rings are empty. */
	atomic_fetch_add_explicit(&segment->header->live_count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&segment->header->digest, wire_digest(id), memory_order_relaxed);
}

static void digest_remove(struct segment *segment, uint64_t id)
{
	/* relaxed: as above. */
	atomic_fetch_sub_explicit(&segment->header->live_count, 1, memory_order_relaxed);
	atomic_fetch_sub_explicit(&segment->header->digest, wire_digest(id), memory_order_relaxed);
}

static void write_death(struct segment *segment, struct ring_lease *lease, uint64_t id,
	uint64_t now_ns, uint32_t epoch)
{
	struct wire_death death = {
		.record = {.size = sizeof death, .type = WIRE_DEATH},
		.id = id,
		.time_ns = now_ns,
		.tid = thread_state_tid(),
		.epoch = epoch,
	};

	ring_producer_write(segment, lease, &death, sizeof death);
}

static bool lease_ring(struct segment *segment, uint32_t bytes, uint64_t now_ns,
	enum wire_loss full, enum wire_loss taken, uint64_t weight, struct ring_lease *lease)
{
	enum ring_producer_result result =
		ring_producer_lease(segment, thread_state_tid(), bytes, lease);

	if (result == RING_PRODUCER_OK)
		return true;
	segment_count_loss(segment, result == RING_PRODUCER_FULL ? full : taken, weight);
	if (result == RING_PRODUCER_TAKEN)
		ring_producer_reap(segment, now_ns);
	return false;
}

/* Room for the DEATH as well: what is announced in a lease can be taken back in it. */
uint32_t announce_room(const struct wire_birth *birth)
{
	return birth->record.size + (uint32_t)sizeof(struct wire_death);
}

void announce_in_lease(struct segment *segment, const struct heap_map *map, struct wire_slot *slot,
	const struct wire_birth *birth, struct ring_lease *lease)
{
	ring_producer_write(segment, lease, birth, birth->record.size);
	switch (heap_map_mark_announced(map, slot, birth->id)) {
	case HEAP_MAP_MARKED:
		/* Not again in a child that a signal handler has forked since: the segment is its
		 * parent's, who counts it. */
		if (fork_word_is(lease->generation))
			digest_add(segment, birth->id);
		break;
	case HEAP_MAP_GONE:
		write_death(segment, lease, birth->id, 0, birth->epoch);
		break;
	case HEAP_MAP_KNOWN:
		break;
	}
}

void announce_birth(struct segment *segment, const struct heap_map *map, struct wire_slot *slot,
	const struct wire_birth *birth)
{
	uint64_t weight = sampler_weight(birth->size_bytes, birth->interval_bytes);
	struct ring_lease lease;

	if (!lease_ring(segment, announce_room(birth), birth->time_ns, WIRE_LOSS_BIRTH_RING_FULL,
		    WIRE_LOSS_BIRTH_NO_RING, weight, &lease))
		return;
	announce_in_lease(segment, map, slot, birth, &lease);
	ring_producer_release(segment, &lease);
}

static void tell_death(struct segment *segment, uint64_t id, uint64_t weight, uint64_t now_ns)
{
	struct ring_lease lease;

	digest_remove(segment, id);
	if (!lease_ring(segment, sizeof(struct wire_death), now_ns, WIRE_LOSS_DEATH_UNWRITTEN,
		    WIRE_LOSS_DEATH_UNWRITTEN, weight, &lease))
		return;
	write_death(segment, &lease, id, now_ns, 0);
	ring_producer_release(segment, &lease);
}

void announce_death(
	struct segment *segment, struct heap_map *map, struct wire_slot *slot, uint64_t now_ns)
{
	uint32_t generation = fork_word_generation();
	bool announced;

	uint64_t id = heap_map_retire(map, slot, &announced);
	/* relaxed: the slot is ours. */
	uint64_t size = atomic_load_explicit(&slot->size_bytes, memory_order_relaxed);
	uint64_t interval = atomic_load_explicit(&slot->interval_bytes, memory_order_relaxed);

	heap_map_bury(map, slot);
	segment_count(segment, &segment->header->counters.sampled_deaths, 1);
	if (!announced)
		segment_count(segment, &segment->header->counters.unannounced_dead, 1);
	else if (fork_word_is(generation)) /* as in announce_in_lease */
		tell_death(segment, id, sampler_weight(size, interval), now_ns);
}

void announce_forgotten(struct segment *segment, uint64_t id, uint64_t now_ns)
{
	segment_count(segment, &segment->header->counters.sampled_deaths, 1);
	tell_death(segment, id, 0, now_ns);
}
