/*
 * The walk: return addresses of the running stack by lazily evaluated CFI. Called from the agent's
 * sampled path on the host's own stack; takes no lock, allocates nothing, makes no system call (but see
 * stack_bounds), is async-signal-safe, keeps errno. Reads only addresses in [regs.sp, top).
 */
#pragma once
#include <stdint.h>

struct walk_regs {
	uintptr_t pc; /* innermost return address: into the caller of the hook */
	uintptr_t sp; /* the stack pointer right after that return: CFA of the hook */
	uintptr_t fp; /* the frame pointer register's value in that caller */
};

struct walk_result {
	uint32_t frame_count; /* including regs.pc, which is frames[0] */
	uint8_t stop;         /* enum wire_stop */
	uint8_t guessed;
};

/* Once, at load, from the thread that runs main(). Never fails: without it the walk ends at once. */
void walk_init(void);

/* Stores at most `max` (>= 1) addresses, innermost first. */
void walk_stack(const struct walk_regs *regs, uint64_t *frames, uint32_t max, struct walk_result *result);

/* After (and before) a dlclose: forgets every cached rule. Any thread. Returns nothing, never blocks. */
void walk_flush(void);

/* How many dlcloses were seen, and how many call sites were resolved from CFI so far. */
uint32_t walk_epoch(void);
uint64_t walk_misses(void);
