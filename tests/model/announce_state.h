/*
 * The state that tests/model/announce_model.c steps, and what must never be true of it: memory as
 * TSO machines show it (each thread's stores become visible in order, in their own time), the
 * rings, the program's heap, the threads' registers and the daemon. Flat bytes, so that states
 * compare by memcmp.
 */
#pragma once
#include <stdbool.h>
#include "model/announce_model.h"
#include "model/store_buffer.h"

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
	STATE_RECORD_EPOCH = 0x18, /* BIRTH: 0; LIVE: the resync answered */
	STATE_RECORD_TYPE = 0xc0,
	STATE_BIRTH = 0x40,
	STATE_DEATH = 0x80,
	STATE_END = 0xc0, /* its id is the number of LIVEs */
};

struct state_thread {
	uint8_t op, pc;
	uint8_t return_to; /* pc after a subroutine */
	uint8_t address, slot, id, payload, ring;
	uint8_t new_address; /* of a realloc under way */
	uint8_t suspended;   /* the slot is in LIMBO by us */
	uint8_t announcing;  /* id whose record was written but not marked yet */
	uint8_t epoch, cursor,
		lives; /* the walk as a walker has looked at it; epoch 0: no walker */
	uint8_t killed;
	struct store_buffer buffer;
};

/* One word, changed by read-modify-write alone. */
struct state_walk {
	uint8_t epoch;
	uint8_t cursor; /* slots before it are told */
	uint8_t lives;	/* claimed so far */
	uint8_t ended;	/* END is or is being written */
};

enum state_resync {
	STATE_NO_RESYNC,
	STATE_REQUESTED,
	STATE_END_READ,	  /* in the current round */
	STATE_ROUND_MORE, /* that round has ended */
	STATE_COUNTING,	  /* another one has as well: as soon as every LIVE was read, sweep */
	STATE_SWEPT,
};

struct state_daemon {
	uint8_t live, drained_deaths; /* bit per id */
	uint8_t dying, dying_before;  /* deaths remembered in this round and from the last one */
	uint8_t draining;	      /* the ring whose turn it is; 0 begins a round */
	uint8_t had_round;	      /* since it was started */
	uint8_t restarts;	      /* so far */
	uint8_t resync;		      /* enum state_resync */
	uint8_t epoch;		      /* of its last request */
	uint8_t learned_before;	      /* ids known at the end of the round that requested */
	uint8_t named;		      /* ids that this epoch has told */
	uint8_t lives_read, lives_wanted;
	uint8_t losses,
		kills; /* of the worker, before the round that requested read its first head */
	uint8_t losses_seen, kills_seen; /* the same of the round under way */
	uint8_t in_round;		 /* the request was stored too early */
};

struct state {
	uint8_t cells[STATE_CELLS];
	uint8_t pending[ANNOUNCE_RINGS]; /* records that the daemon has not drained */
	uint8_t records[ANNOUNCE_RINGS][ANNOUNCE_RECORDS];
	uint8_t last_id;
	uint8_t lost_births, lost_deaths; /* bit per id */
	uint8_t losses;			  /* the counter that the daemon sees */
	uint8_t digest[ANNOUNCE_IDS];	  /* times added less times removed */
	uint8_t request;		  /* the daemon's word: the resync it wants */
	struct state_walk walk;
	uint8_t bound; /* last id drawn when the walk began; only the id bound uses it */
	uint8_t wrong_record, live_swept, overflow;
	uint8_t kills; /* so far */
	struct state_thread threads[ANNOUNCE_THREADS];
	struct state_daemon daemon;
};

static inline uint8_t state_key(enum state_slot slot, uint8_t address)
{
	return (uint8_t)(slot << 4 | address);
}

static inline uint8_t state_bit(unsigned id)
{
	return (uint8_t)(1u << id);
}

void state_init(struct state *state, const struct announce_config *config);
/* What thread `t` reads: its own newest store, else memory. */
uint8_t state_load(const struct state *state, const struct state_thread *t, unsigned cell);
void state_store(struct state *state, struct state_thread *t, unsigned cell, uint8_t value);
/* The oldest store of `t` becomes visible. */
void state_commit(struct state *state, struct state_thread *t);
/* Records in `ring` that the daemon has not drained, as the lease holder `t` counts them. */
unsigned state_pending(const struct state *state, const struct state_thread *t, unsigned ring);
bool state_script_ended(const struct announce_config *config, unsigned thread, unsigned op);

/* Ids in the map, as memory shows it, whose block has not died. */
uint8_t state_unretired(const struct state *state, const struct announce_config *config);

/* NULL, or the sentence that is broken. */
const char *state_broken(const struct state *state, const struct announce_config *config);
