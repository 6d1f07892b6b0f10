/*
 * Deaths by the id of who died, for this round and the last one: the birth may still come. Part of the
 * heap model; not thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/hash_index.h"

struct death {
	uint64_t id;
	uint64_t time_ns : 62;
	uint64_t born : 1;
	uint64_t taken_back : 1; /* announces no death: the LIVE was void */
};

struct death_memory { /* all but the bound zero before */
	uint32_t max; /* in both rounds */
	struct death_memory_round {
		struct hash_index index; /* by id, to positions in deaths */
		struct death *deaths;	 /* owns */
		uint32_t capacity;	 /* the count is the index's */
	} this_round, last_round;
};

void death_memory_deinit(struct death_memory *memory);
/* Valid until the next one is added. NULL: there is none. */
struct death *death_memory_find(const struct death_memory *memory, uint64_t id);
/* Of an id that is not there. False: there is no room. */
bool death_memory_add(struct death_memory *memory, const struct death *death);
/* Forgets the last round's; how many of these were of nobody that was born. */
uint64_t death_memory_end_round(struct death_memory *memory);
size_t death_memory_bytes(const struct death_memory *memory);
