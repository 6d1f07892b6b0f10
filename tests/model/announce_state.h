/*
 * The state that tests/model/announce_model.c steps, and what must never be true of it: memory as
 * TSO machines show it (each thread's stores become visible in order, in their own time), the
 * rings, the program's heap, the threads' registers and the daemon. Flat bytes, so that states
 * compare by memcmp.
 */
#pragma once
#include <stdbool.h>
#include "model/announce_model.h"

enum {
	STATE_BUFFER = 8, /* stores a thread may have under way */
};

enum state_slot {
	STATE_EMPTY,
	STATE_TOMB,
	STATE_BUSY,
	STATE_FINAL,
	STATE_LIMBO,
};

/* Memory cells of one byte. */
enum state_cell {
	STATE_KEY = 0,				    /* + slot: enum state_slot << 4 | address */
	STATE_ID_MARK = STATE_KEY + ANNOUNCE_SLOTS, /* + slot: id << 1 | announced; 0: retired */
	STATE_PAYLOAD =
		STATE_ID_MARK + ANNOUNCE_SLOTS, /* + slot: size, stack and so on; equals the id */
	STATE_LEASE = STATE_PAYLOAD + ANNOUNCE_SLOTS, /* + ring */
	STATE_USED = STATE_LEASE + ANNOUNCE_RINGS, /* + address: the real allocator handed it out */
	STATE_POINTER =
		STATE_USED + ANNOUNCE_ADDRESSES, /* + variable of the program: address + 1 */
	STATE_CELLS = STATE_POINTER + ANNOUNCE_POINTERS,
	STATE_APPEND = STATE_CELLS, /* + ring: no cell, but a record and the head that covers it */
};

enum state_record {
	STATE_RECORD_ID = 0x07,
	STATE_RECORD_PAYLOAD = 0x38,
	STATE_BIRTH = 0x40,
	STATE_DEATH = 0x80,
};

struct state_thread {
	uint8_t op, pc;
	uint8_t return_to; /* pc after a subroutine */
	uint8_t address, slot, id, payload, ring;
	uint8_t new_address; /* of a realloc under way */
	uint8_t suspended;   /* the slot is in LIMBO by us */
	uint8_t announcing;  /* id whose record was written but not marked yet */
	uint8_t buffered;
	uint8_t cell[STATE_BUFFER], value[STATE_BUFFER];
};

struct state {
	uint8_t cells[STATE_CELLS];
	uint8_t head[ANNOUNCE_RINGS];
	uint8_t records[ANNOUNCE_RINGS][ANNOUNCE_RECORDS];
	uint8_t last_id;
	uint8_t lost_births, lost_deaths; /* bit per id */
	uint8_t digest[ANNOUNCE_IDS];	  /* times added less times removed */
	uint8_t wrong_record, overflow;
	struct state_thread threads[ANNOUNCE_THREADS];
	/* the daemon */
	uint8_t live, drained_deaths; /* bit per id */
	uint8_t dying, dying_before;  /* deaths remembered in this round and from the last one */
	uint8_t tail[ANNOUNCE_RINGS];
	uint8_t draining; /* the ring whose turn it is; 0 begins a round */
};

static inline uint8_t state_key(enum state_slot slot, uint8_t address)
{
	return (uint8_t)(slot << 4 | address);
}

static inline uint8_t state_bit(unsigned id)
{
	return (uint8_t)(1u << id);
}

/* What thread `t` reads: its own newest store, else memory. */
uint8_t state_load(const struct state *state, const struct state_thread *t, unsigned cell);
void state_store(struct state *state, struct state_thread *t, unsigned cell, uint8_t value);
/* The oldest store of `t` becomes visible. */
void state_commit(struct state *state, struct state_thread *t);
/* Records in `ring` that the daemon has not drained, as the lease holder `t` counts them. */
unsigned state_pending(const struct state *state, const struct state_thread *t, unsigned ring);
bool state_script_ended(const struct announce_config *config, unsigned thread, unsigned op);

/* The daemon's share of a round at one ring: its head is read once and drained exactly to it.
 * Returns the number of records. */
unsigned state_drain(struct state *state, const struct announce_config *config);

/* NULL, or the sentence that is broken. */
const char *state_broken(const struct state *state, const struct announce_config *config);
