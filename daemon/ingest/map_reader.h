/*
 * Reads a worker's heap map and its stacks out of the worker's memory, for a worker that is too
 * idle to tell them itself. In slices: each reads a bounded number of bytes and keeps what it
 * found, until the caller, sure that it was the right process that was read, has it handed over.
 * All that is read is hostile: addresses, counts and chains are bounded before they are followed.
 * Not thread-safe; the callbacks must not call back.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_reader;
struct segment_map_places;
struct wire_birth;

#define MAP_READER_SLICE_BYTES (64u << 10) /* of slots */

/* Copies exactly `size` bytes at `address`. 0 or negative errno. */
struct map_source {
	int (*read)(uint64_t address, void *bytes, size_t size, void *data);
	void *data;
};

struct map_sink {
	/* False: the stack of this id is known, and need not be read. */
	bool (*wanted)(uint64_t id, void *data);
	/* An entry that lives, told like a LIVE; frames[frame_count] readable. */
	void (*found)(const struct wire_birth *entry, bool announced, void *data);
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
/* `levels`: that the worker says are in use by now. 1: something is left; 0: that was the last one;
 * negative errno: the map cannot be read. Only `wanted` is called. */
int map_reader_slice(struct map_reader *reader, uint32_t levels, const struct map_sink *sink);
/* Hands over what the last slice found; not calling it forgets that. */
void map_reader_hand_over(struct map_reader *reader, const struct map_sink *sink);
void map_reader_stats(const struct map_reader *reader, struct map_reader_stats *out);
