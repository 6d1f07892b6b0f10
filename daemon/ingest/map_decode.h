/*
 * Checks what was copied out of a worker's heap map and stack store (spprof/wire/map.h) before
 * anybody believes it. Pure functions over bytes in the daemon's own memory; any thread; fuzzed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "spprof/wire/map.h"
#include "spprof/wire/record.h"

#define MAP_DECODE_MAX_FRAME 9u /* bytes: of its number, and of one before it */
#define MAP_DECODE_MAX_BYTES ((uint32_t)(WIRE_MAX_FRAMES * MAP_DECODE_MAX_FRAME)) /* of a stack */

/* Slots of the first `levels` levels, a claim; 0 if there cannot be so many. */
uint64_t map_decode_slots(uint32_t levels);

enum map_decode_slot {
	MAP_DECODE_NONE,      /* nothing lives here */
	MAP_DECODE_ANNOUNCED, /* the worker will tell of its death */
	MAP_DECODE_SECRET,    /* lives, but the worker has not told of it */
	MAP_DECODE_NONSENSE,  /* lives, but with numbers that no sample has */
};

struct map_decode_entry {
	uint64_t id;
	uint64_t address;
	uint64_t size_bytes, interval_bytes, birth_ns;
	uint32_t tid;
	uint32_t stack; /* index of a struct wire_stack plus 1; 0: not kept */
};

/* `words` are the six of a struct wire_slot, `generation` the segment's. *out is filled for
 * ANNOUNCED and SECRET. */
enum map_decode_slot map_decode_slot(
	const uint64_t words[6], uint32_t generation, struct map_decode_entry *out);

struct map_decode_stack {
	uint32_t module_epoch;
	uint32_t block;
	uint32_t bytes;
	uint16_t frame_count;
	uint8_t stop;
	uint8_t guessed;
};

/* `bytes` are those of a struct wire_stack. False: no stack looks like that. */
bool map_decode_stack(const uint8_t bytes[sizeof(struct wire_stack)], struct map_decode_stack *out);

/* Exactly `count` (<= WIRE_MAX_FRAMES) frames from exactly `size` bytes (spprof/wire/map.h). */
bool map_decode_frames(const uint8_t *bytes, size_t size, uint16_t count, uint64_t *frames);
