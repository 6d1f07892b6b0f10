/*
 * The state that tests/model/filter_model.c steps, and what must never be true of it. Flat bytes,
 * so that states compare by memcmp.
 */
#pragma once
#include <stdbool.h>
#include "model/filter_model.h"
#include "model/store_buffer.h"

enum {
	FILTER_SLOTS =
		2, /* per address: a realloc may hold one while the address is inserted again */
};

enum filter_key {
	FILTER_FREE_SLOT,
	FILTER_BUSY,
	FILTER_FINAL,
	FILTER_LIMBO,
};

/* Memory cells of one byte. */
enum filter_cell {
	FILTER_KEY = 0, /* + address × FILTER_SLOTS + slot: enum filter_key */
	FILTER_POINTER =
		FILTER_KEY + FILTER_ADDRESSES * FILTER_SLOTS, /* + address: the program has it */
	FILTER_USED =
		FILTER_POINTER + FILTER_ADDRESSES,     /* + address: the allocator handed it out */
	FILTER_COUNT = FILTER_USED + FILTER_ADDRESSES, /* + filter × FILTER_CELLS + cell */
	FILTER_GENERATION = FILTER_COUNT + 2 * FILTER_CELLS, /* of swapped filters; parity: which */
	FILTER_NEXT,					     /* 1: the other one is being filled */
	FILTER_MEMORY,
};

struct filter_thread {
	uint8_t op, pc;
	uint8_t hash;	    /* which of the address' cells is next */
	uint8_t slot;	    /* ours, in the address' window */
	uint8_t generation; /* of swapped filters, as it was read */
	uint8_t read;	    /* a cell, as it was read */
	uint8_t resumes;    /* the realloc failed */
	uint8_t in_map;	    /* the slot is one that we took */
	uint8_t stopped;    /* for ever: killed, or in the parent */
	struct store_buffer buffer;
};

struct filter_state {
	uint8_t cells[FILTER_MEMORY];
	uint8_t missed;	  /* a free passed a block by that is in the map */
	uint8_t overflow; /* the model's own bounds */
	uint8_t kills;	  /* threads killed so far */
	uint8_t forked;
	struct filter_thread threads[FILTER_THREADS];
};

static inline unsigned filter_key_cell(unsigned address, unsigned slot)
{
	return FILTER_KEY + address * FILTER_SLOTS + slot;
}

bool filter_state_script_ended(
	const struct filter_config *config, const struct filter_thread *t, unsigned thread);
/* The process goes on as its child, where `survivor` is the only thread. */
void filter_state_fork(
	struct filter_state *state, const struct filter_config *config, unsigned survivor);
/* NULL, or the sentence that is broken. */
const char *filter_state_broken(
	const struct filter_state *state, const struct filter_config *config);
