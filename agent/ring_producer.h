/*
 * Writing to the segment's rings. A thread leases a ring for one record, so that each ring has a
 * single producer at any time and memory follows cores, not threads. Nothing waits: no room or no
 * ring is counted by the caller. Any thread; synchronisation in include/spprof/wire/ring.h, and
 *
 *   field  writer             reader        order
 *   dirty  after each record  daemon        [DIRTY-1] the head is visible to whoever takes the bit
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "segment.h"

struct ring_lease {
	struct wire_ring *ring;
	uint8_t *data;
	uint64_t word; /* the lease's signature */
	uint64_t head; /* private: the shared one only follows */
	uint32_t index;
	uint32_t
		generation; /* of forks: in a child that was made since, the ring is its parent's */
};

enum ring_producer_result {
	RING_PRODUCER_OK,
	RING_PRODUCER_FULL,  /* no ring had room */
	RING_PRODUCER_TAKEN, /* every ring was leased */
};

/* Leases the first free ring with room for `bytes`. */
enum ring_producer_result ring_producer_lease(
	struct segment *segment, uint32_t tid, uint32_t bytes, struct ring_lease *lease);
/* Copies one record (a multiple of 8 bytes, within what was asked for) and publishes it. */
void ring_producer_write(
	struct segment *segment, struct ring_lease *lease, const void *record, uint32_t bytes);
/* The same by pieces, whose sizes are multiples of 8: nothing of them is seen before it is published. */
void ring_producer_put(
	struct segment *segment, struct ring_lease *lease, const void *bytes, uint32_t size);
void ring_producer_publish(struct ring_lease *lease);
/* Ends the lease and tells the daemon. */
void ring_producer_release(struct segment *segment, struct ring_lease *lease);
/* Takes back the rings of dead threads, when every ring was taken; rate-limited. */
void ring_producer_reap(struct segment *segment, uint64_t now_ns);
