/*
 * What the agent in this very process counts, for programs that are run under it to be tested: the
 * segment is found among the process's own mappings. Without an agent everything is 0. Makes no
 * allocation. Rings that nobody drains fill up after a few hundred samples; agent_view_drain takes
 * the daemon's place.
 */
#pragma once
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include "spprof/wire/ring.h"

static struct wire_header *agent_view_header;

static inline struct wire_header *agent_view_find(const char *maps)
{
	unsigned long start;

	for (const char *line = maps; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		const char *end = strchr(line, '\n');
		const char *name = strstr(line, "/memfd:" WIRE_MEMFD_NAME);

		if (end && name && name < end && sscanf(line, "%lx-", &start) == 1)
			return (struct wire_header *)start;
	}
	return NULL;
}

/* Keeps daemons of this machine from draining the segment as well. */
static inline void agent_view_lock(void)
{
	char path[32], target[64];

	for (int fd = 0; fd < 1024; fd++) {
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		ssize_t size = readlink(path, target, sizeof target - 1);
		target[size < 0 ? 0 : size] = '\0';
		if (strstr(target, "/memfd:" WIRE_MEMFD_NAME))
			flock(fd, LOCK_EX | LOCK_NB);
	}
}

static inline void agent_view_open(void)
{
	static char maps[256 << 10];
	size_t size = 0;
	ssize_t got;
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);

	while (fd >= 0 && size < sizeof maps - 1 &&
		(got = read(fd, maps + size, sizeof maps - 1 - size)) > 0)
		size += (size_t)got;
	close(fd);
	maps[size] = '\0';
	agent_view_header = agent_view_find(maps);
	if (agent_view_header)
		agent_view_lock();
}

static inline uint64_t agent_view_samples(void)
{
	return agent_view_header ? atomic_load_explicit(&agent_view_header->counters.samples,
					   memory_order_relaxed)
				 : 0;
}

/* Sampled blocks that were not freed. */
static inline int64_t agent_view_live(void)
{
	return agent_view_header
		       ? (int64_t)(agent_view_samples() -
				   atomic_load_explicit(&agent_view_header->counters.sampled_deaths,
					   memory_order_relaxed))
		       : 0;
}

static inline uint64_t agent_view_lost(enum wire_loss reason)
{
	return agent_view_header
		       ? atomic_load_explicit(&agent_view_header->counters.loss_count[reason],
				 memory_order_relaxed)
		       : 0;
}

static inline struct wire_ring *agent_view_ring(uint32_t index)
{
	return (struct wire_ring *)((char *)agent_view_header + WIRE_RINGS_OFFSET) + index;
}

/* Throws away what the rings hold. */
static inline void agent_view_drain(void)
{
	for (uint32_t i = 0; agent_view_header && i < agent_view_header->ring_count; i++) {
		struct wire_ring *ring = agent_view_ring(i);

		atomic_store_explicit(&ring->tail,
			atomic_load_explicit(&ring->head, memory_order_acquire),
			memory_order_release);
	}
}

static inline unsigned agent_view_leases(void)
{
	unsigned leases = 0;

	for (uint32_t i = 0; agent_view_header && i < agent_view_header->ring_count; i++)
		leases +=
			atomic_load_explicit(&agent_view_ring(i)->lease, memory_order_relaxed) != 0;
	return leases;
}

/* Whether a test that was to run under the agent has had at least `wanted` samples: what it found
 * means nothing without. SPPROF_RATE says that it was to. */
static inline bool agent_view_sampled(uint64_t wanted)
{
	if (!getenv("SPPROF_RATE"))
		return true;
	printf("# %llu samples, %llu ring full, %llu no ring, %llu no scratch, %llu map full, "
	       "%llu reentered, %u leases\n",
		(unsigned long long)agent_view_samples(),
		(unsigned long long)agent_view_lost(WIRE_LOSS_BIRTH_RING_FULL),
		(unsigned long long)agent_view_lost(WIRE_LOSS_BIRTH_NO_RING),
		(unsigned long long)agent_view_lost(WIRE_LOSS_NO_SCRATCH),
		(unsigned long long)agent_view_lost(WIRE_LOSS_MAP_FULL),
		(unsigned long long)agent_view_lost(WIRE_LOSS_REENTRY), agent_view_leases());
	return agent_view_samples() >= wanted;
}
