/*
 * The Python frames of the calling thread, innermost first, as words of the wire. Called on the sampled path under the
 * re-entry guard, whether or not the thread holds the GIL. Takes no lock, calls nothing of the interpreter but
 * what runtime looked up, keeps errno. Not for a signal handler that has interrupted the interpreter: see frames.c.
 */
#pragma once
#include <stdint.h>
#include "python/codes.h"
#include "spprof/wire/record.h"

struct runtime;
struct segment;

/* The frames that one call of the evaluator runs: those from the end of the group before on. */
struct frames_group {
	uintptr_t address; /* on the native stack, in the evaluator's frame; 0: not known */
	uint32_t end;	   /* in words[], one behind the last */
};

struct frames {
	uint32_t count, group_count;
	struct codes_last last;
	uint64_t words[WIRE_MAX_FRAMES]; /* of deeper stacks the innermost */
	struct frames_group groups[WIRE_MAX_FRAMES];
};

enum frames_verdict {
	FRAMES_NONE,  /* the thread runs no Python */
	FRAMES_TAKEN, /* at least one */
	FRAMES_REFUSED, /* it may have some, but the interpreter is ending and frees what threads have */
};

enum frames_verdict frames_take(
	const struct runtime *runtime, struct segment *segment, struct frames *frames);
/* Whether there could be any, for whoever must not look. */
enum frames_verdict frames_ask(const struct runtime *runtime);
