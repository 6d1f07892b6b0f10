/*
 * The agent's life in one process: set up at load (or at the first allocation, if another library's
 * constructor comes first), sampling, or inert. A forked child (fork_word) samples nothing and
 * writes nothing, but goes on removing freed addresses from its inherited map.
 *
 *   field  writer        reader       order
 *   state  setting-up    every hook   [LIFE-1] acquire/release: everything that was set up
 *          thread
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "heap_map.h"
#include "segment.h"

enum lifecycle_state {
	LIFECYCLE_NEW,
	LIFECYCLE_STARTING, /* allocations made meanwhile come from the bootstrap heap or go
			       straight through */
	LIFECYCLE_SAMPLING,
	LIFECYCLE_INERT, /* disabled, or something needed could not be had */
};

struct lifecycle {
	_Atomic uint32_t state;
	struct segment segment;
	struct heap_map map;
};

extern struct lifecycle lifecycle;

/* Sets up if nobody has, and says what is; STARTING if another thread, or this one further up, is
 * at it. */
enum lifecycle_state lifecycle_enter(void);

/* CLOCK_MONOTONIC to within a timer tick, never by a system call. */
uint64_t lifecycle_now_ns(void);
