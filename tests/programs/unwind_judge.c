/* libgcc's frames begin in unwind_judge() itself; those up to regs.pc are skipped, and the zero at
 * the end. */
#define _GNU_SOURCE
#include "unwind_judge.h"
#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

struct collector {
	struct unwind_judgement *judgement;
	uintptr_t first;
	bool started;
};

static _Unwind_Reason_Code collect(struct _Unwind_Context *context, void *argument)
{
	struct collector *collector = argument;
	struct unwind_judgement *judgement = collector->judgement;
	uintptr_t pc = _Unwind_GetIP(context);
	collector->started |= pc == collector->first;
	if (!collector->started || !pc)
		return _URC_NO_REASON;
	if (judgement->expected_count == UNWIND_JUDGE_FRAMES)
		return _URC_END_OF_STACK;
	judgement->expected[judgement->expected_count++] = pc;
	return _URC_NO_REASON;
}

static enum unwind_verdict compare(const struct unwind_judgement *judgement)
{
	uint32_t count = judgement->walk.frame_count, expected = judgement->expected_count;
	/* libgcc guesses nothing: it stops where the guessing begins. */
	if (judgement->walk.guessed && count > expected)
		count = expected;
	if (count > expected ||
		memcmp(judgement->frames, judgement->expected, count * sizeof(uint64_t)) != 0)
		return UNWIND_WRONG;
	if (count == expected)
		return UNWIND_SAME;
	return judgement->walk.stop == WIRE_STOP_END ? UNWIND_WRONG : UNWIND_INCOMPLETE;
}

static bool is_same_without_memo(const struct unwind_judgement *judgement)
{
	const struct walk_result *with = &judgement->walk, *without = &judgement->walk_without_memo;
	return with->frame_count == without->frame_count && with->stop == without->stop &&
	       with->guessed == without->guessed &&
	       memcmp(judgement->frames, judgement->frames_without_memo,
		       with->frame_count * sizeof(uint64_t)) == 0;
}

/* The mask lies there, or the kernel says that it does not; then it refuses what it is asked for. */
static bool is_readable(uintptr_t address)
{
	enum { IMPOSSIBLE_HOW = -1, MASK_BYTES = 8 };
	int error = errno;
	syscall(SYS_rt_sigprocmask, IMPOSSIBLE_HOW, address, NULL, MASK_BYTES);
	bool readable = errno != EFAULT;
	errno = error;
	return readable;
}

/* Where code has no CFI libgcc reads it, to know a signal's frame by its instructions. */
static bool is_safe_for_libgcc(const struct unwind_judgement *judgement)
{
	const struct walk_result *walk = &judgement->walk;
	if (walk->stop == WIRE_STOP_BOUNDS || walk->stop == WIRE_STOP_UNSUPPORTED)
		return false;
	if (walk->stop != WIRE_STOP_NO_INFO && !walk->guessed)
		return true;
	for (uint32_t i = 0; i < walk->frame_count; i++)
		if (!is_readable((uintptr_t)judgement->frames[i]))
			return false;
	return true;
}

void unwind_judge(const struct walk_regs *regs, struct unwind_judgement *judgement)
{
	struct collector collector = {.judgement = judgement, .first = regs->pc};
	walk_with_memo(
		&judgement->memo, regs, judgement->frames, WIRE_MAX_FRAMES, &judgement->walk);
	walk_stack(regs, judgement->frames_without_memo, WIRE_MAX_FRAMES,
		&judgement->walk_without_memo);
	judgement->expected_count = 0;
	judgement->verdict = UNWIND_WRONG;
	if (!is_same_without_memo(judgement))
		return;
	judgement->verdict = UNWIND_INCOMPLETE;
	if (!is_safe_for_libgcc(judgement))
		return;
	_Unwind_Backtrace(collect, &collector);
	judgement->verdict = compare(judgement);
}

static void print_frame(int fd, const char *whose, uint32_t index, uint64_t pc)
{
	Dl_info info = {0};
	dladdr((void *)(uintptr_t)pc, &info);
	dprintf(fd, "#   %s %u %#lx %s %s\n", whose, index, (unsigned long)pc,
		info.dli_fname ? info.dli_fname : "?", info.dli_sname ? info.dli_sname : "");
}

void unwind_judge_print(const struct unwind_judgement *judgement, int fd)
{
	uint32_t count = judgement->walk.frame_count, expected = judgement->expected_count;
	dprintf(fd, "# %u frames, stop %d; libgcc: %u\n", count, judgement->walk.stop, expected);
	for (uint32_t i = 0; i < count || i < expected; i++) {
		if (i < count && i < expected && judgement->frames[i] == judgement->expected[i]) {
			print_frame(fd, "both", i, judgement->frames[i]);
			continue;
		}
		if (i < count)
			print_frame(fd, "ours", i, judgement->frames[i]);
		if (i < expected)
			print_frame(fd, "theirs", i, judgement->expected[i]);
	}
}
