/*
 * What of the stack a walk may read. Nothing is believed of the addresses that a walk comes up
 * with: a word is read only if its page is known to be readable now.
 *
 * The thread's own stack. Its top is known: the thread's control block (pthread_self), which glibc
 * puts at the top of every stack it starts a thread on, the program's own included; for the main
 * thread, the stack pointer at its start. Downward from there, each page is asked for once in the
 * thread's life and then remembered, since a stack stays where it is as long as its thread lives: a
 * thread that has reached its usual depth makes no system call. Asking stops for good at the first
 * page that cannot be read (the guard). The main thread need not ask at all within its stack's
 * limit (RLIMIT_STACK), for the kernel keeps that range free: if it runs there, it runs on that
 * stack, and that has no gaps.
 *
 * Any other stack (coroutines, alternate signal stacks, whatever lies below the guard, above the
 * top or far away) may be gone tomorrow: each page is asked for again in each walk that wants it,
 * upward from where the walk came in, so that no gap is stepped over.
 *
 * Asking is one rt_sigprocmask() that fails before it does anything; see stack_bounds.c. How often
 * one walk may ask is bounded: downward, where nothing is asked twice, by the usual size of a stack
 * (the next walk goes on from there); upward by STACK_BOUNDS_PROBES_UP, then the walk ends.
 *
 * Guaranteed: no read of a walk faults, unless another thread unmaps or protects the stack that
 * this thread runs on while it walks, or the program has taken away pages between a remembered page
 * and the top. The latter takes a thread's stack without a guard page right above memory on which
 * the same thread runs a coroutine, later unmapped in part and used again (glibc gives every stack
 * that it makes itself a guard); or a program that maps at a fixed address into the main stack's
 * range, runs on that, and has a frame there whose CFI leads astray.
 *
 * Called by walk and audit, on the walking thread, also in a signal handler. Keeps 8 bytes of
 * initial-exec TLS.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { STACK_BOUNDS_PROBES_DOWN = 2048, STACK_BOUNDS_PROBES_UP = 256 };

struct stack_bounds {
	uintptr_t low;	 /* reads begin here: what lies below belongs to nobody, or to ourselves */
	uintptr_t limit; /* [low, limit) may be read; below low's page if nothing may yet */
	uint16_t probes_up, probes_down; /* how many are left */
	bool is_own;			 /* limit is the top of the thread's own stack, and final */
};

/* Once, at load, from the main thread. */
void stack_bounds_init(void);

/* A walk begins at `sp`, where the thread is running. */
void stack_bounds_begin(struct stack_bounds *bounds, uintptr_t sp);

/* The walk goes on where a signal handler was entered: maybe on another stack. Also admits what the
 * interrupted code may have below its stack pointer. */
void stack_bounds_resume(struct stack_bounds *bounds, uintptr_t sp);

/* Whether all of [from, to) may be read. */
static inline bool stack_bounds_contain(
	const struct stack_bounds *bounds, uintptr_t from, uintptr_t to)
{
	return from >= bounds->low && to <= bounds->limit;
}

/* The same, asking for pages that are not known yet. Implies from <= to. */
bool stack_bounds_admit(struct stack_bounds *bounds, uintptr_t from, uintptr_t to);

/*
 * For whoever reads [from, to) of the thread's own stack as a whole, where no frame says that it is
 * in use; the thread runs at `from` or below in the same page. Asks for each further page again,
 * unless the kernel keeps the range free.
 */
bool stack_bounds_still_readable(uintptr_t from, uintptr_t to);

/* How many pages were asked for, by all threads. */
uint64_t stack_bounds_probes(void);
