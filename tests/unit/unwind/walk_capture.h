/* Walks its caller's stack, has the walk judged, and counts how it went. */
#pragma once
#include <unistd.h>
#include "support/tap_main.h"
#include "unwind_judge.h"

static struct unwind_judgement last;
static unsigned judged[UNWIND_WRONG + 1];
static unsigned stopped[WIRE_STOP_KINDS];

static inline void set_up(void)
{
	walk_init();
}

static __attribute__((noinline, unused)) void capture(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	unwind_judge(&regs, &last);
	judged[last.verdict]++;
	stopped[last.walk.stop]++;
	if (last.verdict == UNWIND_WRONG && judged[UNWIND_WRONG] < 3)
		unwind_judge_print(&last, STDOUT_FILENO);
}
