/*
 * A worker's segment as the daemon holds it. All distrust of the descriptor is here: it must be a regular
 * tmpfs memfd of exactly the size its geometry gives, with exactly the expected seals; the header is read
 * once into locals. Only WIRE_MAPPED_SIZE bytes are ever mapped; ring data come by pread. Not thread-safe.
 */
#pragma once
#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>
#include <sys/types.h>
#include "spprof/wire/ring.h"

struct buffer;
struct segment_map;

struct segment_info { /* a private copy: what the worker says of itself, checked */
	dev_t device;
	ino_t inode;
	uint32_t ring_count, ring_size;
	uint32_t pid_hint;
	uint32_t flags;
	uint64_t load_ns;
	uint64_t interval_bytes;
	uint16_t minor;
	char agent_version[33];
};

struct segment_counters { /* plain copy of struct wire_counters and the digest words */
	uint64_t samples, sampled_deaths, unannounced_dead, missed_frees, filter_positives, filter_false;
	uint64_t map_collisions, rule_misses, services, interval_bytes, map_slots, filter_bits_set;
	uint64_t loss_count[WIRE_LOSS_KINDS], loss_bytes[WIRE_LOSS_KINDS];
	uint64_t live_count, digest;
};

/* Takes `fd` over on success only. -EINVAL, -EPERM (seals), -EPROTONOSUPPORT (version), -errno; `why`
 * (may be NULL) gets one clause for the operator. */
int segment_map_new(struct segment_map **out, int fd, const char **why);
struct segment_map *segment_map_free(struct segment_map *map);
const struct segment_info *segment_map_info(const struct segment_map *map);
void segment_map_counters(const struct segment_map *map, struct segment_counters *out);
/* Appends the text of /proc/self/maps that the agent left at load. 0 or negative errno. */
int segment_map_maps_text(const struct segment_map *map, struct buffer *out);
/* Takes the dirty word: bit r says that ring r has news. */
uint64_t segment_map_take_dirty(struct segment_map *map);

/* For ring_consumer. */
const struct wire_ring *segment_map_ring(const struct segment_map *map, uint32_t ring);
void segment_map_store_tail(struct segment_map *map, uint32_t ring, uint64_t tail);
int segment_map_fd(const struct segment_map *map);
