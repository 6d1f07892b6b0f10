/*
 * Reads a worker's heap map and its stacks out of the worker's memory, for a worker that is too
 * idle to tell them itself. In slices, each of a bounded number of bytes. All that is read is
 * hostile: addresses, counts and chains are bounded before they are followed. Runs in
 * spprof-map-reader, since the source may block for as long as a hostile file system likes. Not
 * thread-safe; the source must not call back.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;
struct map_reader;
struct segment_map_places;
struct wire_birth;

#define MAP_READER_SLOTS 1365u /* of a slice: 64 KiB */

/* Copies exactly `size` bytes at `address`. 0 or negative errno. */
struct map_source {
	int (*read)(uint64_t address, void *bytes, size_t size, void *data);
	void *data;
};

struct map_reader_stats {
	uint64_t slots;	       /* looked at */
	uint64_t slots_in_all; /* of the levels that the worker says are in use */
	uint64_t found;	       /* entries that live */
	uint64_t secret;      /* of these, not announced: the worker will not tell of their death */
	uint64_t moved;	      /* changed while they were read, or made no sense; left out */
	uint64_t reads;	      /* calls of the source */
	uint64_t lost_stacks; /* entries found whose stack could not be read */
};

/* `places` are claims; `source` is borrowed until the free. -ENOENT: there is no map to be read. */
int map_reader_new(struct map_reader **out, const struct segment_map_places *places,
	const struct map_source *source);
struct map_reader *map_reader_free(struct map_reader *reader);
/*
 * A slice is looked at, then read. The look says which ids live in it, in *ids (borrowed, until the
 * next look); *count 0: none. `levels`: that the worker says are in use by now. 0 or negative errno:
 * the map cannot be read.
 */
int map_reader_look(
	struct map_reader *reader, uint32_t levels, const uint64_t **ids, uint32_t *count);
/*
 * Appends records of what lives to `records`, at most `room` bytes (>= WIRE_RECORD_MAX): WIRE_LIVE
 * of what was announced, WIRE_BIRTH of what was not, both with this epoch. Bit i of `wanted`: the
 * stack of ids[i] is to be read. 1: something is left; 0: that was the last slice.
 */
int map_reader_read(struct map_reader *reader, const uint8_t *wanted, uint32_t epoch, size_t room,
	struct buffer *records);
void map_reader_stats(const struct map_reader *reader, struct map_reader_stats *out);
