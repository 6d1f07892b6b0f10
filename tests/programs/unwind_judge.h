/*
 * Judges a walk by a second unwinder: libgcc's _Unwind_Backtrace, which interprets all of DWARF
 * CFI. It has no bounds and crashes where CFI is wrong (gcc's is, in some epilogues of realigned
 * frames), so it is not asked where the walk stopped by its bounds, at a rule that it does not
 * know, or at an address where nothing can be read: such a walk is incomplete. Each stack is walked with the memo of the last one judged into the same
 * struct, and without. Any thread; keeps everything in the caller's struct, which begins zeroed.
 */
#pragma once
#include <stdint.h>
#include "spprof/wire/record.h"
#include "unwind/memo.h"
#include "unwind/walk.h"

/* The return address, stack pointer and frame pointer of the caller of the function in which it
 * stands, which must be compiled with a frame pointer and without sibling calls. */
#define UNWIND_JUDGE_CALLER() WALK_CALLER()

enum unwind_verdict {
	UNWIND_SAME,	   /* the same frames, and where we say END libgcc ends, too; or goes no
			      further than to where guessing began */
	UNWIND_INCOMPLETE, /* we stopped earlier and said so */
	UNWIND_WRONG,	   /* other frames; or others without the memo than with it */
};

enum { UNWIND_JUDGE_FRAMES = 2 * WIRE_MAX_FRAMES };

struct unwind_judgement {
	enum unwind_verdict verdict;
	struct walk_result walk;
	uint32_t expected_count;
	uint64_t frames[WIRE_MAX_FRAMES];
	uint64_t expected[UNWIND_JUDGE_FRAMES];
	struct walk_result walk_without_memo;
	uint64_t frames_without_memo[WIRE_MAX_FRAMES];
	struct memo memo; /* from one judgement to the next */
};

/* `regs` must belong to a frame of the calling thread that is still there. */
void unwind_judge(const struct walk_regs *regs, struct unwind_judgement *judgement);

/* Both stacks with symbols, as lines that begin with "# ", to a file descriptor. */
void unwind_judge_print(const struct unwind_judgement *judgement, int fd);
