/*
 * The announce/retire protocol as a state machine small enough to be searched completely: threads
 * that run malloc, free, realloc and late announcements step by step on a TSO memory (each has a
 * store buffer that drains in its own time; atomic read-modify-writes wait until it is empty),
 * rings of a few records, and a daemon that drains them ring by ring in rounds, asks to be told the
 * whole map again, and may be restarted. docs/concurrency.md says what this covers and what not.
 */
#pragma once
#include "model/explore.h"

enum {
	ANNOUNCE_THREADS = 4,
	ANNOUNCE_SCRIPT = 4,
	ANNOUNCE_SLOTS = 2,
	ANNOUNCE_RINGS = 2,
	ANNOUNCE_ADDRESSES = 2,
	ANNOUNCE_POINTERS = 4,
	ANNOUNCE_RECORDS = 4, /* per ring, undrained */
	ANNOUNCE_IDS = 8,
};

enum announce_op {
	ANNOUNCE_NOTHING,
	ANNOUNCE_MALLOC,      /* to pointer; waits while every address is in use */
	ANNOUNCE_MALLOC_LOST, /* the same, but its BIRTH finds no room */
	ANNOUNCE_FREE,	      /* waits for pointer */
	ANNOUNCE_FREE_EARLY,  /* of pointer as soon as the map has the block: before malloc has
				 returned it */
	ANNOUNCE_REALLOC,     /* waits for pointer; to pointer + 1; succeeds or fails */
	ANNOUNCE_LATE,	      /* announces what is not announced yet, slot by slot, once */
	ANNOUNCE_WALK, /* takes turns of a resync until the one numbered `pointer` has ended */
};

/* A repair taken out again. Each must break something, or it would not be needed. */
enum announce_fault {
	ANNOUNCE_SOUND = 0,
	ANNOUNCE_NO_SECOND_LOOK = 1 << 0,    /* the mark is set, whoever has the slot by now */
	ANNOUNCE_MARK_BEFORE_BIRTH = 1 << 1, /* the mark is visible before the record is */
	ANNOUNCE_MARK_ANY_TENANT = 1 << 2,   /* the mark is set on any entry that is not retired */
	ANNOUNCE_MARKED_IS_GONE =
		1 << 13, /* two announcers: the second takes the first's mark for a death */
	ANNOUNCE_NO_COPY_CHECK = 1 << 3, /* a copy may mix two entries */
	ANNOUNCE_KEY_BEFORE_ID =
		1 << 4, /* the copy begins with the key: the id may be the next tenant's */
	ANNOUNCE_NO_ROOM_FOR_DEATH = 1 << 5, /* leases a ring with room for the BIRTH alone */
	ANNOUNCE_RETIRE_IN_TWO = 1 << 6,     /* retire reads the mark and clears it in two steps */
	ANNOUNCE_TOMB_TOO_EARLY = 1 << 7,    /* retire gives the slot up before it takes the mark */
	ANNOUNCE_REMOVE_AFTER_FREE = 1 << 8, /* the map forgets after the real free */
	ANNOUNCE_REALLOC_BY_ADDRESS =
		1 << 9, /* after the real realloc, the entry is looked up again */
	ANNOUNCE_REALLOC_REMOVES_FIRST = 1
					 << 10, /* the entry dies before a realloc that may fail */
	ANNOUNCE_FORGET_DEATHS =
		1 << 11, /* the daemon remembers deaths for the current round alone */
	ANNOUNCE_UNCOUNTED_LOSS = 1 << 12, /* a DEATH without room is not counted */
	/* resync: the worker's side */
	ANNOUNCE_SKIP_LIMBO = 1 << 14,	/* a block in the middle of a realloc is not told */
	ANNOUNCE_SKIP_BUSY = 1 << 15,	/* nor one whose death is not told yet */
	ANNOUNCE_CLAIM_FIRST = 1 << 16, /* a slot is claimed before there is room for its LIVE */
	ANNOUNCE_CLAIM_ANY_EPOCH = 1 << 17, /* a claim compares cursor and count, not the epoch */
	ANNOUNCE_CLAIM_IN_TWO = 1 << 18,    /* a claim is a look and a store */
	/* resync: the daemon's side */
	ANNOUNCE_ID_BOUND = 1 << 19,	     /* erases by the last id drawn when the walk began */
	ANNOUNCE_SWEEP_UNCOUNTED = 1 << 20,  /* sweeps without having counted the LIVEs */
	ANNOUNCE_SWEEP_AT_END = 1 << 21,     /* sweeps in the round that has read END */
	ANNOUNCE_REQUEST_IN_ROUND = 1 << 22, /* requests while a round is under way */
	ANNOUNCE_REQUEST_AT_START = 1 << 23, /* a new daemon requests before its first round */
	ANNOUNCE_LATE_BASELINE = 1 << 25,    /* the losses before a resync are read when it is asked
						for,    not before the round that ends there */
	ANNOUNCE_SWEEP_AFTER_LOSS = 1 << 24, /* takes a resync during which something was lost for
						verified */
};

enum announce_born {
	ANNOUNCE_UNBORN,
	ANNOUNCE_KNOWN,	  /* to the daemon, and marked so */
	ANNOUNCE_UNKNOWN, /* its BIRTH was lost */
};

struct announce_config {
	uint32_t faults; /* enum announce_fault */
	uint8_t slots, rings, addresses;
	uint8_t ring_capacity;	      /* records */
	uint8_t born[ANNOUNCE_SLOTS]; /* enum announce_born: the block at address i, in slot i, that
					 pointer i has from the start */
	uint8_t requests; /* resyncs that the daemon asks for, each at any round's end */
	uint8_t restarts; /* of the daemon, at any moment */
	uint8_t kills;	  /* threads that may stop for ever, anywhere */
	struct {
		uint8_t op; /* enum announce_op */
		uint8_t pointer;
	} script[ANNOUNCE_THREADS][ANNOUNCE_SCRIPT];
};

void announce_model_run(
	const struct announce_config *config, uint64_t max_states, struct explore_result *result);
