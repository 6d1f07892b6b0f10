/*
 * Order within one record: lease, copy, head, dirty, unlease. The head that a lease begins with is
 * the shared one, but geometry comes from private memory, and a distance that makes no sense counts
 * as full.
 */
#include "ring_producer.h"
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include "fork_word.h"
#include "lease.h"

static bool has_room(
	const struct segment *segment, const struct wire_ring *ring, uint64_t head, uint32_t bytes)
{
	/* [RING-2] acquire: the daemon's copy of what we overwrite is done; pairs with release in
	 * segment_map_store_tail. */
	uint64_t used = head - atomic_load_explicit(&ring->tail, memory_order_acquire);

	return head % 8 == 0 && used <= segment->ring_size && segment->ring_size - used >= bytes;
}

static bool try_ring(struct segment *segment, uint32_t index, uint32_t tid, uint32_t bytes,
	struct ring_lease *lease, bool *full)
{
	struct wire_ring *ring = &segment->rings[index];
	uint32_t generation = fork_word_generation();

	/* A child has no business in its parent's rings; what a hook does there that a forking signal
	 * handler interrupted ends here. */
	if (fork_word_is_child())
		return false;
	uint64_t word = lease_try(&ring->lease, tid, index + 1);

	if (word == 0)
		return false;
	/* relaxed: written by lease holders only, and the lease orders them. */
	uint64_t head = atomic_load_explicit(&ring->head, memory_order_relaxed);
	if (!has_room(segment, ring, head, bytes)) {
		*full = true;
		lease_release(&ring->lease, word);
		return false;
	}
	*lease = (struct ring_lease){
		.ring = ring,
		.data = segment->data + (size_t)index * segment->ring_size,
		.word = word,
		.head = head,
		.index = index,
		.generation = generation,
	};
	return true;
}

enum ring_producer_result ring_producer_lease(
	struct segment *segment, uint32_t tid, uint32_t bytes, struct ring_lease *lease)
{
	bool full = false;

	/* Lowest first: rings that were never needed stay untouched memory. */
	for (uint32_t i = 0; i < segment->ring_count; i++)
		if (try_ring(segment, i, tid, bytes, lease, &full))
			return RING_PRODUCER_OK;
	return full ? RING_PRODUCER_FULL : RING_PRODUCER_TAKEN;
}

static void copy_in(const struct segment *segment, const struct ring_lease *lease,
	const void *record, uint32_t bytes)
{
	uint32_t at = lease->head & (segment->ring_size - 1);
	uint32_t first = segment->ring_size - at < bytes ? segment->ring_size - at : bytes;

	memcpy(lease->data + at, record, first);
	memcpy(lease->data, (const char *)record + first, bytes - first);
}

void ring_producer_put(
	struct segment *segment, struct ring_lease *lease, const void *bytes, uint32_t size)
{
	if (!fork_word_is(lease->generation))
		return;
	copy_in(segment, lease, bytes, size);
	lease->head += size;
}

void ring_producer_publish(struct ring_lease *lease)
{
	/* A fork from a signal handler may have made us a child since: its parent finishes this
	 * record. */
	if (!fork_word_is(lease->generation))
		return;
	/* [RING-1] release: the record's bytes are visible before the head that covers them; pairs
	 * with RING-1 in ring_consumer.c. */
	atomic_store_explicit(&lease->ring->head, lease->head, memory_order_release);
}

void ring_producer_write(
	struct segment *segment, struct ring_lease *lease, const void *record, uint32_t bytes)
{
	ring_producer_put(segment, lease, record, bytes);
	ring_producer_publish(lease);
}

void ring_producer_release(struct segment *segment, struct ring_lease *lease)
{
	/* In a child the lease's word is its parent's, and so is what was leased. */
	if (!fork_word_is(lease->generation))
		return;
	/* [DIRTY-1] seq_cst: the head is visible to the daemon that takes this bit; pairs with the
	 * exchange in segment_map_take_dirty. */
	atomic_fetch_or_explicit(
		&segment->header->dirty, UINT64_C(1) << lease->index, memory_order_seq_cst);
	lease_release(&lease->ring->lease, lease->word);
}

void ring_producer_reap(struct segment *segment, uint64_t now_ns)
{
	static _Atomic uint64_t last_ns;

	lease_reap(&segment->rings->lease, segment->ring_count, sizeof *segment->rings, &last_ns,
		now_ns);
}
