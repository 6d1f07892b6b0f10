/*
 * The walk: return addresses of the running stack by lazily evaluated CFI. Called from the agent's
 * sampled path on the host's own stack; takes no lock, allocates nothing, makes no system call (but
 * see stack_bounds), is async-signal-safe, keeps errno. Reads no word of a stack that stack_bounds
 * has not admitted; takes less than 768 bytes of stack itself.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "unwind/arch.h"

struct memo;

struct walk_regs {
	uintptr_t pc; /* innermost return address: into the caller of the hook */
	uintptr_t sp; /* the stack pointer right after that return: CFA of the hook */
	uintptr_t fp; /* the frame pointer register's value in that caller */
};

/* Of the caller of the function in which it stands, which keeps a frame pointer, being asked for
 * it. */
#define WALK_CALLER()                                                                              \
	((struct walk_regs){                                                                       \
		.pc = (uintptr_t)__builtin_return_address(0),                                      \
		.sp = ARCH_CALLERS_SP(),                                                           \
		.fp = *(uintptr_t *)__builtin_frame_address(0),                                    \
	})

struct walk_result {
	uint32_t frame_count; /* including regs.pc, which is frames[0] */
	uint8_t stop;	      /* enum wire_stop */
	uint8_t guessed; /* frames found by frame pointers alone, since nothing else is known of
				 the code before them; saturated */
	bool interrupted; /* of walk_with_places: one of the frames is one that a signal interrupted */
};

/* Once, at load, from the thread that runs main(). Never fails: without it the walk ends at once.
 * May allocate, and leave an error for dlerror() to report. */
void walk_init(void);

/*
 * Stores at most `max` (>= 1) addresses, innermost first. The address of a frame that a signal
 * interrupted is that of the interrupted instruction; all others are return addresses.
 */
void walk_stack(
	const struct walk_regs *regs, uint64_t *frames, uint32_t max, struct walk_result *result);

/* The same, quicker if the stack resembles that of the last walk with this memo (unwind/memo.h),
 * which only one walk may use at a time. */
void walk_with_memo(struct memo *memo, const struct walk_regs *regs, uint64_t *frames, uint32_t max,
	struct walk_result *result);

/* That, and where each frame's part of the stack begins (`places`, room for max): the stack pointer
 * after the return to frames[i]. Its part ends where the next one's begins. */
void walk_with_places(struct memo *memo, const struct walk_regs *regs, uint64_t *frames,
	uintptr_t *places, uint32_t max, struct walk_result *result);

/* Forgets every cached rule. Any thread, never blocks. */
void walk_flush(void);

/* Before and after a dlclose: also forgets what goes away. May wait for the loader's lock. */
void walk_closing(void);
void walk_closed(void);

/* Whether a dlopen is to be followed by walk_opened(), for a loader that does not tell by itself;
 * then the caller must make it a call and not a jump. See objects.h. */
bool walk_may_open(const char *file);
void walk_opened(void);

/* How often walk_flush() was called, and how many call sites were resolved from CFI so far. Walks
 * of one epoch mean the same modules by the same addresses. */
uint32_t walk_epoch(void);
uint64_t walk_misses(void);
