/*
 * When a worker is asked to tell its live heap again, when that has been told, and what the copy is
 * worth then. Decides only: time, counters and the comparison come in, steps come out, and whoever
 * asks takes them (session_resync.c). Pure; part of a session; one thread.
 *
 *   CONFIRMED   a reason comes up                       -> WANTED
 *   WANTED      due, at the end of a round              -> ASKED
 *   ASKED       END and every LIVE have come            -> TOLD
 *   TOLD        a full round later: sweep               -> CONFIRMED; if something was lost
 *                                                          meanwhile WANTED, after a longer pause
 *   ASKED       the worker sleeps, its map was read,
 *               and nothing moved                       -> HAS_READ
 *   HAS_READ    a full round later: sweep               -> CONFIRMED if the worker will tell of the
 *                                                          death of all that was found, and counts
 *                                                          the same; else ASKED, though the copy is
 *                                                          right until the worker wakes up
 *
 * The request stays in the control word, so a worker that wakes up tells it all the same.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum resync_reason {
	RESYNC_NO_REASON,   /* confirmed */
	RESYNC_READ_BEFORE, /* an earlier daemon took records */
	RESYNC_FORKED,	    /* the map has entries that were told by the parent */
	RESYNC_LOSS,	    /* births or deaths found no room */
	RESYNC_DAMAGE,	    /* records were skipped */
	RESYNC_DIFFERENCE,  /* the copy differs from the worker's own count */
};

/* What the worker and its rings say at the end of a round. The worker's numbers are claims: they
 * are compared, and nothing is computed from them but shares for people. */
struct resync_view {
	uint64_t now_ns; /* monotonic */
	uint64_t rounds; /* in which the heads were read */
	uint64_t losses; /* births and deaths that found no room */
	uint64_t damage; /* records and rings skipped */
	/* the same before the last round read its heads */
	uint64_t losses_before, damage_before;
	uint64_t slots;	    /* of the map, looked at by the worker for any epoch */
	uint64_t all_slots; /* of the map */
	uint64_t events;    /* samples and their deaths: changes while the worker works */
	uint64_t live;	    /* announced samples that live, by the worker's count */
	bool equal;	    /* our live set has the worker's count and digest */
};

enum resync_step {
	RESYNC_NOTHING,
	RESYNC_ASK,   /* store resync->epoch for the worker and open it in the model */
	RESYNC_READ,  /* go on with reading the worker's map, then call resync_read */
	RESYNC_SWEEP, /* sweep the model, then call resync_swept; HAS_READ: spare what was found */
};

enum resync_phase { RESYNC_CONFIRMED, RESYNC_WANTED, RESYNC_ASKED, RESYNC_TOLD, RESYNC_HAS_READ };

struct resync {
	enum resync_phase phase;
	enum resync_reason reason;
	uint32_t epoch;		  /* asked for last */
	uint64_t due_ns;	  /* WANTED: not before */
	uint64_t wanted_round;	  /* WANTED: not at the end of this one, nor of an earlier one */
	uint64_t round;		  /* that ended last */
	uint64_t pause_ns;	  /* between this request and the next one */
	uint64_t settled_ns;	  /* when it was confirmed last */
	struct resync_view asked; /* at the request; what a confirmation rests on */

	/* what has come for this epoch */
	uint32_t lives, end_lives;
	bool end;
	uint64_t progress;    /* slots and lives */
	uint64_t progress_ns; /* when that changed last */
	uint64_t settled_round;

	/* reading the worker's memory */
	bool reading;
	uint64_t read_events;	/* when it began */
	uint64_t read_began_ns; /* 0: it has not, or is over */
	bool read_announced;	/* all that it found */
	uint64_t read_found;	/* announced entries */
	/* It is over, has found what the worker counts, and nothing had happened from its beginning to
	 * the sweep. */
	bool read_exactly;
	uint64_t read_after_ns, read_pause_ns;
	uint64_t read_rest_ns; /* nor before this: reading takes a small share of the time */
	int read_error;	       /* negative errno of the last one */
	unsigned read_percent;
	uint64_t hurry_until_ns;
	uint64_t moved_events, moved_ns; /* when the worker was last seen to sample or free */

	uint64_t requests, confirmations, readings, read_errors; /* for statistics */
};

/* `reason` NO_REASON: everything came here. `asked_before` is what the control word holds. */
void resync_init(struct resync *resync, uint32_t asked_before, enum resync_reason reason,
	const struct resync_view *view);

/* As the records come in. */
void resync_hear_live(struct resync *resync, uint32_t epoch);
void resync_hear_end(struct resync *resync, uint32_t epoch, uint32_t lives);

/* Takes losses and damage into account at once, without a step. */
void resync_look(struct resync *resync, const struct resync_view *view);
void resync_want(struct resync *resync, enum resync_reason reason, uint64_t now_ns);
/* Whether the copy is the map by now: confirmed, or read from a worker that has done nothing since. */
bool resync_holds(const struct resync *resync, const struct resync_view *view);
/* Somebody waits for an answer: read an idle worker at once. */
void resync_hurry(struct resync *resync, uint64_t now_ns);

/* At the end of a round, everything applied: what to do now. */
enum resync_step resync_round_ended(struct resync *resync, const struct resync_view *view);
void resync_swept(struct resync *resync, const struct resync_view *view);

/* What came of a RESYNC_READ; negative errno: the map cannot be read. */
enum resync_read_result {
	RESYNC_READ_LAST,   /* a slice, and it was the last */
	RESYNC_READ_MORE,   /* a slice, and there is more */
	RESYNC_READ_WAITS,  /* nothing yet */
	RESYNC_READ_LATER,  /* something is short that will be there again soon */
	RESYNC_READ_BROKEN, /* the worker is awake */
};

struct resync_slice {
	int result;	/* enum resync_read_result or negative errno */
	bool still;	/* so far: nothing changed under it */
	bool announced; /* so far: the worker will tell of the death of all that was found */
	uint64_t found; /* so far: announced entries */
	unsigned percent;
};
/* Between a RESYNC_READ and its resync_read: the first byte is about to be read. */
void resync_read_begins(struct resync *resync, const struct resync_view *view);
void resync_read(
	struct resync *resync, const struct resync_slice *slice, const struct resync_view *view);

/* Whether the next round must read all heads, and come at once. */
bool resync_needs_round(const struct resync *resync, uint64_t now_ns);
/* Whether an answer had better wait: not longer than a second after resync_hurry. */
bool resync_nearly_there(const struct resync *resync, uint64_t now_ns);
/* How far it is, as a clause to follow the reason: "; being told again: 40 % of the map". `unix_ns`
 * is the wall clock's time of resync->progress_ns. */
void resync_describe(const struct resync *resync, const struct resync_view *view, uint64_t unix_ns,
	char *text, size_t size);
/* Of the present request, 0 … 100. */
unsigned resync_percent(const struct resync *resync, const struct resync_view *view);
