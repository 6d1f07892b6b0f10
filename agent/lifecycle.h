/*
 * The agent's life in one process: set up at load (or at the first allocation, if another library's
 * constructor comes first), sampling until it is told to stop, or inert. A forked child becomes a
 * process of its own at its first slow entry: it keeps its copy of the map and makes a segment.
 *
 *   field    writer                       reader      order
 *   state    who sets up; settling child  every hook  [LIFE-1] acquire/release: what was set up
 *   segment  who sets up; settling child  every hook  relaxed: ordered by LIFE-1, in a child FORK-1
 *   stopped  the program                  slow paths  relaxed: it stands for itself
 *   heard    slow paths                   slow paths  relaxed: which of the daemon's wishes was
 *                                                     taken over last
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "heap_map.h"
#include "resync.h"
#include "segment.h"
#include "stack_store.h"

enum lifecycle_state {
	LIFECYCLE_NEW,
	LIFECYCLE_STARTING, /* allocations made meanwhile come from the bootstrap heap or go
			       straight through */
	LIFECYCLE_SAMPLING,
	LIFECYCLE_TRACKING, /* a child that could not make a segment: no new samples */
	LIFECYCLE_INERT,    /* disabled, or something needed could not be had */
};

enum lifecycle_stop {
	LIFECYCLE_RUNNING,
	LIFECYCLE_STOPPED,  /* by the program, which may start again */
	LIFECYCLE_SHUT_DOWN /* and which may not */
};

struct lifecycle {
	_Atomic uint32_t state;
	_Atomic uint32_t stopped; /* enum lifecycle_stop */
	_Atomic(struct segment *) segment;
	_Atomic uint64_t heard_interval; /* control.interval_bytes when it was last looked at */
	struct heap_map map;
	struct stack_store stacks;
	struct resync resync;
};

extern struct lifecycle lifecycle;

/* Sets up if nobody has, and says what is; STARTING if another thread, or this one further up, is
 * at it. */
enum lifecycle_state lifecycle_enter(void);

/* In a forked child that nobody has settled yet: does it. False: another thread is at it. */
bool lifecycle_settle(void);

/* Never NULL; without a memfd it has no rings and counts into private memory. */
static inline struct segment *lifecycle_segment(void)
{
	/* relaxed: see the table. */
	return atomic_load_explicit(&lifecycle.segment, memory_order_relaxed);
}

/* Whether allocations are to be sampled: neither the program nor the daemon has said stop. Takes
 * over the interval that the daemon wants. */
bool lifecycle_listen(void);

/* Before the object that `caller` lies in opens another: it may be an interpreter. */
void lifecycle_opening(const void *caller);

/* CLOCK_MONOTONIC to within a timer tick, never by a system call. */
uint64_t lifecycle_now_ns(void);
