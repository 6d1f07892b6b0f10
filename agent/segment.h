/*
 * The agent's own end of the segment (include/spprof/wire/segment.h): makes, maps and seals the
 * memfd, and keeps geometry and addresses in private memory, because whoever else holds the
 * descriptor may scribble over the header. Made once at load; afterwards read-only for all threads.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "spprof/wire/ring.h"

struct segment {
	struct wire_header *header; /* never NULL: a private page while there is no memfd */
	struct wire_ring *rings;
	uint8_t *data;
	uint8_t *
		marks; /* the definitions' first part (spprof/wire/definitions.h); NULL: no memfd */
	/* All of them; NULL: not mapped. relaxed: what it leads to was there before. */
	_Atomic(uint8_t *) definitions;
	uint32_t ring_count; /* 0: no memfd */
	uint32_t ring_size;
	int fd; /* -1: none. The program may have closed it: verify before each use. */
	dev_t device;
	ino_t inode;
};

/* Zeroes `segment` and gives it a private header, so that counting always works. */
void segment_init_private(struct segment *segment);
/* What is told of the process to whoever reads the segment. */
struct segment_facts {
	uint32_t ring_count, ring_size;
	uint32_t flags; /* enum wire_flags */
	uint32_t generation;
	uint64_t interval_bytes;
	uint64_t now_ns;
	uint32_t filter_cells;
	/* where the map and the stacks are, for a daemon that reads them itself */
	const void *map, *stacks, *blocks;
	uint32_t map_levels, stack_count, block_count;
	uint64_t first_id;
	const struct wire_ancestor *ancestors; /* WIRE_ANCESTORS of them, or NULL */
};
/* Makes the memfd. 0 or negative errno, then the segment is still private. No libc call that could
 * be cancelled or set errno. */
int segment_create(struct segment *segment, const struct segment_facts *facts);
/* Maps the definitions, which most processes have no use for, unless the kernel refuses; also when the
 * descriptor is gone. One thread at a time. */
void segment_map_definitions(struct segment *segment);
/* Copies /proc/self/maps into the segment, for a daemon that comes to a process that has already
 * ended. */
void segment_store_maps(struct segment *segment);
/* Closes the descriptor, once handed over, if the program allows itself so few that it needs this
 * one; a daemon that comes later then has to be privileged to find the segment. */
void segment_yield_fd(struct segment *segment);
/* In a forked child, of its parent's segment: closes the descriptor unless the program has reused
 * its number. The mapping stays: a signal handler that forked may have interrupted somebody in it.
 */
void segment_leave(struct segment *segment);
/* Of an ancestor's segment so many forks ago that nobody is in it: unmaps it. */
void segment_forget(struct segment *segment);
/* Whether fd still is our memfd. */
bool segment_fd_is_ours(const struct segment *segment);
void segment_count(struct segment *segment, _Atomic uint64_t *counter, uint64_t add);
/* One loss, and the bytes that the lost sample stood for. */
void segment_count_loss(struct segment *segment, enum wire_loss reason, uint64_t bytes);
