/*
 * What the hooks call on their slow paths: decide, capture, remember, tell; and the reverse when a
 * block is freed. Everything above the modules, nothing about symbols of the C library. Any thread,
 * any context in which the program may allocate. errno is kept.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "unwind/walk.h"

struct wire_slot;

/* The return address, stack pointer and frame pointer of a hook's caller. */
#define TRACKER_CALLER() WALK_CALLER()

/* An allocation of `size` bytes reached the countdown. True: once it has succeeded, tell
 * tracker_birth. */
bool tracker_decide(size_t size, uint64_t *interval_bytes);
/* `address` (not NULL) was just allocated and not yet returned to the program. False: the sample was
 * lost. */
bool tracker_birth(
	void *address, size_t size, uint64_t interval_bytes, const struct walk_regs *caller);
/* Before `address` is really freed; it passed the filter's first bit. */
void tracker_death(void *address);

/* Around a realloc of a block that passed the filter's first bit: suspend, call, then exactly one
 * of the two. */
struct wire_slot *tracker_suspend(void *address);
void tracker_resume(struct wire_slot *slot); /* failed: nothing has changed */
/* succeeded: the old block at `address` is gone, in place or not */
void tracker_replaced(struct wire_slot *slot, void *address);
