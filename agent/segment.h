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
	uint32_t ring_count; /* 0: no memfd */
	uint32_t ring_size;
	int fd; /* -1: none. The program may have closed it: verify before each use. */
	dev_t device;
	ino_t inode;
};

/* Zeroes `segment` and gives it a private header, so that counting always works. */
void segment_init_private(struct segment *segment);
/* Makes the memfd. 0 or negative errno, then the segment is still private. No libc call that could
 * be cancelled or set errno. */
int segment_create(struct segment *segment, uint32_t ring_count, uint32_t ring_size,
	uint64_t interval_bytes, uint64_t now_ns);
/* Copies /proc/self/maps into the segment, for a daemon that comes to a process that has already
 * ended. */
void segment_store_maps(struct segment *segment);
/* Closes the descriptor, once handed over, if the program allows itself so few that it needs this
 * one; a daemon that comes later then has to be privileged to find the segment. */
void segment_yield_fd(struct segment *segment);
/* Whether fd still is our memfd. */
bool segment_fd_is_ours(const struct segment *segment);
void segment_count(struct segment *segment, _Atomic uint64_t *counter, uint64_t add);
/* One loss, and the bytes that the lost sample stood for. */
void segment_count_loss(struct segment *segment, enum wire_loss reason, uint64_t bytes);
