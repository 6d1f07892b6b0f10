/*
 * A worker's segment as the daemon holds it. All distrust of the descriptor is here: it must be a
 * regular tmpfs memfd of exactly the size its geometry gives, with exactly the expected seals; the
 * header is read once into locals. Only WIRE_MAPPED_SIZE bytes are ever mapped; everything else
 * comes by pread. Not thread-safe. Owns the descriptor and the mapping; free it as soon as the
 * worker is gone and drained, since the pages stay charged to the worker's cgroup until then.
 */
#pragma once
#include <stdint.h>
#include <stddef.h>
#include <stdbool.h>
#include <sys/types.h>
#include "spprof/wire/ring.h"

struct buffer;
struct segment_map;

/* Where the worker keeps its heap map and its stacks (spprof/wire/map.h): claims, any value.
 * map_address 0: not published. */
struct segment_map_places {
	uint64_t map_address, stacks_address, blocks_address;
	uint32_t stack_count, block_count;
	uint32_t max_levels;
	uint32_t generation;
};

/* As struct wire_ancestor: claims. */
struct segment_map_ancestor {
	uint64_t load_ns, first_id;
	uint32_t pid_hint;
};

/* A private copy of what the worker says of itself. The geometry, interval_bytes (0 < T <= 2^62)
 * and agent_version (printable ASCII) are checked; load_ns, flags, pid_hint, places,
 * first_id and ancestors are claims.
 */
struct segment_info {
	dev_t device;
	ino_t inode;
	uint32_t ring_count, ring_size;
	uint32_t pid_hint;
	uint32_t flags;
	uint64_t load_ns;
	uint64_t interval_bytes;
	uint16_t minor;
	bool drained_before; /* an earlier daemon took records from it: what they said is gone */
	char agent_version[33];
	struct segment_map_places places;
	uint64_t first_id;
	struct segment_map_ancestor ancestors[WIRE_ANCESTORS];
};

/* Plain copy of struct wire_counters and the digest words: claims, any value. */
struct segment_counters {
	uint64_t samples, sampled_deaths, unannounced_dead, missed_frees, filter_positives,
		filter_false;
	uint64_t map_collisions, rule_misses, services, interval_bytes, map_slots,
		filter_cells_used;
	uint64_t loss_count[WIRE_LOSS_KINDS], loss_bytes[WIRE_LOSS_KINDS];
	uint64_t live_count, digest;
	uint64_t filter_saturated, stacks, stack_blocks, stacks_not_kept;
	uint64_t resync_slices, resync_slots, resync_lives, resync_refused;
	uint64_t audits, audits_dropped, audits_foreign;
	uint64_t python_samples, python_skipped, python_unpaired, codes, codes_not_kept,
		objects_sampled;
	uint32_t map_levels;
	uint32_t python, python_version; /* as in struct wire_header */
};

/* For a descriptor that was received. Takes `fd` over on success only. -EINVAL (not a segment),
 * -EPERM (seals), -EPROTONOSUPPORT (version), other negative errno; `why` (may be NULL) gets one
 * clause for the operator. */
int segment_map_new(struct segment_map **out, int fd, const char **why);
/* For a name in a worker's /proc/PID/fd (`dir_fd` is that directory), which may stand for anything:
 * opens it without side effects on, or waiting for, what is not a memfd. Results as above. */
int segment_map_open(struct segment_map **out, int dir_fd, const char *name, const char **why);
/* The same for what was opened by O_PATH; borrows `path_fd`. */
int segment_map_open_path(struct segment_map **out, int path_fd, const char **why);
struct segment_map *segment_map_free(struct segment_map *map);
const struct segment_info *segment_map_info(const struct segment_map *map);
void segment_map_counters(const struct segment_map *map, struct segment_counters *out);
/* Appends the text of /proc/self/maps that the agent left at load. 0 or negative errno. */
int segment_map_maps_text(const struct segment_map *map, struct buffer *out);
/* Takes the dirty word: bit r says that ring r has news. */
uint64_t segment_map_take_dirty(struct segment_map *map);

/* The control words (struct wire_control). The epoch that is asked for, by us or by an earlier
 * daemon: any value. */
uint32_t segment_map_requested_resync(const struct segment_map *map);
/* At the end of a round only: everything drained so far was announced before the agent's walk. */
void segment_map_request_resync(struct segment_map *map, uint32_t epoch);
/* `interval_bytes` 0: as the worker was started. */
void segment_map_set_control(struct segment_map *map, uint64_t interval_bytes, bool stop);

/* Bytes of records that were taken so far, by whatever daemon. */
uint64_t segment_map_taken_bytes(const struct segment_map *map);

/* For ring_consumer. */
const struct wire_ring *segment_map_ring(const struct segment_map *map, uint32_t ring);
void segment_map_store_tail(struct segment_map *map, uint32_t ring, uint64_t tail);
/* Copies bytes [offset, offset + size) of the segment. 0 or negative errno. */
int segment_map_read(const struct segment_map *map, size_t offset, void *bytes, size_t size);

/* For session_codes and session_marks: the same, of the definitions; [offset, offset + size) lies inside of them. */
int segment_map_read_definitions(
	const struct segment_map *map, size_t offset, void *bytes, size_t size);
/* For session_marks: into the part of them that is the daemon's. 0 or negative errno. */
int segment_map_write_definitions(
	const struct segment_map *map, size_t offset, const void *bytes, size_t size);

int segment_map_fd(const struct segment_map *map); /* borrowed */
