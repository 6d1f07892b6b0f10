/*
 * The agent's half of stress_resync.c: its real modules with threads that make, free and reallocate
 * blocks of made-up addresses, and take their turns in a resync, as agent/tracker.c has them do. One
 * worker at a time; its functions are for the thread that drives the scenario, at rest (no threads
 * at work) where they say so.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define WORKER_MAX_THREADS 3u
#define WORKER_STACKS	   24u

struct worker_plan {
	uint64_t seed;
	unsigned threads;    /* 1 … WORKER_MAX_THREADS */
	unsigned boxes;	     /* blocks that are live at the same time, about */
	unsigned operations; /* of each thread, each time it is started */
	uint32_t ring_count, ring_size;
	bool crowded; /* addresses that share few windows of the map: more than one level in use */
	bool few_stacks; /* the stack store has not room for all */
};

enum worker_task {
	WORKER_MUTATE, /* `operations`, then it is done */
	WORKER_TURNS,  /* nothing but turns, until it is stopped */
};

struct worker_block {
	uint64_t id, address, size_bytes, interval_bytes, birth_ns;
	uint32_t tid;
	uint32_t stack; /* below WORKER_STACKS */
	bool kept;	/* its stack */
};

struct worker_sums {
	uint64_t lost_births, lost_deaths, lives, refused_turns, not_kept, unannounced_dead;
	uint64_t samples;
	uint32_t levels;
};

/* Once per process, before all others. */
void worker_begin(void);
void worker_make(const struct worker_plan *plan);
/* At rest: every block dies; whether no stack is left then (unknown after a fork: true). */
bool worker_end(void);

void worker_start(enum worker_task task);
bool worker_is_done(void);
uint64_t worker_steps(void); /* done so far by all threads, ever */
/* A signal for one of the threads at work: its handler frees and makes blocks. */
void worker_interrupt(unsigned thread);
void worker_stop(void); /* joins them; MUTATE: when they are done */

/* At rest: goes on as a forked child, with some blocks in the middle of a realloc, or of a free. */
void worker_fork(void);

/* At rest, and asked to tell again: takes turns until one is about to tell of a block; that dies under
 * it, as all others do. False: there was none to tell of. */
bool worker_die_while_told(void);

int worker_fd(void); /* borrowed */
/* At rest. */
void worker_each(void (*visit)(const struct worker_block *block, void *data), void *data);
uint64_t worker_last_id(void);
void worker_digest(uint64_t *live, uint64_t *digest); /* of what was announced */
/* Of this segment: since the last fork. */
void worker_sums(struct worker_sums *out);

struct worker_stack {
	const uint64_t *frames;
	uint32_t count;
	uint8_t stop, guessed;
};
struct worker_stack worker_stack(uint32_t number);
