/*
 * The live samples of one worker: by id, dense, and each with the mark under which it was learned
 * or named last. A sweep declares whole marks dead, in a time that does not depend on how many
 * samples have them: from then on these are ghosts, which nobody finds, counts or visits, and which
 * live_set_tidy takes out by and by. Part of the heap model; not thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/hash_index.h"
#include "model/heap_model.h"

#define LIVE_SET_MARKS	32u /* five bits of heap_birth */
#define LIVE_SET_SHARDS 16u

struct live_mark {
	uint64_t digest; /* sum of wire_digest(id) over those that have it */
	uint32_t count;
	bool dead; /* they are ghosts */
};

struct live_set {
	struct hash_index shards[LIVE_SET_SHARDS]; /* by id, to positions */
	struct heap_birth **chunks;		   /* owns */
	uint32_t chunk_count, chunk_capacity;
	uint32_t count, ghosts; /* positions in use; of these, of ghosts */
	struct live_mark marks[LIVE_SET_MARKS];
	uint32_t now;	 /* the mark of what was learned or named since the request */
	uint32_t before; /* what lived at the request; never a dead one */
	uint32_t found;	 /* spared by the reading under way */
	uint32_t walk;	 /* live_set_tidy has looked at the positions from here on */
	/* A ghost is taken out. */
	void (*gone)(const struct heap_birth *ghost, void *data);
	void *data;
};

void live_set_init(
	struct live_set *set, void (*gone)(const struct heap_birth *ghost, void *data), void *data);
void live_set_deinit(struct live_set *set);

/* Borrowed until the next change; NULL: not there. */
struct heap_birth *live_set_find(const struct live_set *set, uint64_t id);
/* The id is not there. */
void live_set_insert(struct live_set *set, const struct heap_birth *birth, uint32_t mark);
void live_set_remove(struct live_set *set, struct heap_birth *entry);
void live_set_mark(struct live_set *set, struct heap_birth *entry, uint32_t mark);

/* What lives now is to be marked anew with `now`; with `found`. */
void live_set_request(struct live_set *set);
void live_set_begin_reading(struct live_set *set);
/* Makes ghosts of all that is not marked `now`, nor `found` if that is spared; how many. */
uint32_t live_set_sweep(struct live_set *set, bool spare_found);
/* A slice of what sweeps and requests have left to be done, of about a third of a millisecond;
 * true: there is more. Changes nothing that can be asked for but memory. */
bool live_set_tidy(struct live_set *set);

uint32_t live_set_count(const struct live_set *set);
uint64_t live_set_digest(const struct live_set *set);
bool live_set_is_ghost(const struct live_set *set, const struct heap_birth *entry);
/* Positions are 0 ... set->count - 1, ghosts included. */
struct heap_birth *live_set_at(const struct live_set *set, uint32_t position);
size_t live_set_bytes(const struct live_set *set);
