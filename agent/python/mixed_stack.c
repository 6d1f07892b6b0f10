/*
 * The evaluator's native frame is found without its name: each call of it has a structure on its own part of the stack
 * that Python's frames lead to, and of all native frames just one has that address between its stack pointer and its
 * caller's. 3.9 has no such structure, but one frame object for each call, and its evaluator is one function: the nth
 * call from the outside is the nth frame from there.
 */
#include "python/mixed_stack.h"
#include <stdbool.h>
#include <string.h>
#include "python/runtime.h"
#include "segment.h"
#include "unwind/walk.h"

struct merge {
	const struct mixed_stack *mixed;
	uint64_t *out;
	uint32_t total;
	uint32_t group; /* the next */
};

static uint32_t group_begin(const struct frames *python, uint32_t group)
{
	return group ? python->groups[group - 1].end : 0;
}

/* Up to the end of group `last`. */
static void put_groups(struct merge *merge, uint32_t last)
{
	const struct frames *python = &merge->mixed->python;
	uint32_t begin = group_begin(python, merge->group);
	uint32_t count = python->groups[last].end - begin, room = WIRE_MAX_FRAMES - merge->total;

	if (count > room)
		count = room;
	memcpy(&merge->out[merge->total], &python->words[begin], count * sizeof merge->out[0]);
	merge->total += count;
	merge->group = last + 1;
}

static bool is_evaluator(const struct runtime *runtime, uint64_t return_address)
{
	uintptr_t call = (uintptr_t)return_address - 1;

	return call >= runtime->evaluator_start && call < runtime->evaluator_end;
}

/* The last frame's end is not known, and nothing is said of it. */
static bool holds(const struct mixed_stack *mixed, uint32_t i, uint32_t count, uintptr_t address)
{
	return i + 1 < count && address >= mixed->sp[i] && address < mixed->sp[i + 1];
}

/* Frames that have no evaluator in a walk that came to the end. It may have a part that lies elsewhere (.cold), where
 * mostly the innermost call is: they go together with the next. */
static uint32_t surplus(const struct mixed_stack *mixed, uint32_t count, uint8_t stop,
	const struct runtime *runtime)
{
	uint32_t evaluators = 0;

	if (stop != WIRE_STOP_END)
		return 0;
	for (uint32_t i = 0; i < count; i++)
		evaluators += is_evaluator(runtime, mixed->native[i]);
	return evaluators > 0 && evaluators < mixed->python.group_count
		       ? mixed->python.group_count - evaluators
		       : 0;
}

unsigned mixed_stack_merge(const struct mixed_stack *mixed, uint32_t count, uint8_t stop,
	const struct runtime *runtime, uint64_t *out, uint32_t *total)
{
	struct merge merge = {.mixed = mixed, .out = out};
	uint32_t groups = mixed->python.group_count, i = 0;
	bool by_place = runtime->layout.chain != LAYOUT_FRAME_OBJECTS;
	uint32_t more = by_place ? 0 : surplus(mixed, count, stop, runtime);
	unsigned verdict = more ? MIXED_STACK_UNPAIRED : MIXED_STACK_PAIRED;

	for (; i < count && merge.total < WIRE_MAX_FRAMES; i++) {
		out[merge.total++] = mixed->native[i];
		if (merge.group == groups)
			continue;
		if (by_place ? holds(mixed, i, count, mixed->python.groups[merge.group].address)
			     : is_evaluator(runtime, mixed->native[i])) {
			put_groups(&merge, merge.group + more);
			more = 0;
		}
	}
	if (merge.group < groups && merge.total < WIRE_MAX_FRAMES) {
		put_groups(&merge, groups - 1);
		verdict |= MIXED_STACK_UNPAIRED;
	}
	*total = merge.total;
	return merge.total < count + mixed->python.count ? verdict | MIXED_STACK_CUT : verdict;
}

static void count_sample(struct segment *segment, _Atomic uint64_t *counter)
{
	segment_count(segment, counter, 1);
}

/* Native frames alone. */
static uint32_t take_native(const struct mixed_stack *mixed, struct segment *segment,
	const struct walk_result *walk, enum frames_verdict verdict, uint64_t *out)
{
	if (verdict != FRAMES_NONE)
		count_sample(segment, &segment->header->counters.python_skipped);
	memcpy(out, mixed->native, walk->frame_count * sizeof out[0]);
	return walk->frame_count;
}

uint32_t mixed_stack_take(struct mixed_stack *mixed, const struct runtime *runtime,
	struct segment *segment, const struct walk_result *walk, uint64_t *out, uint8_t *stop)
{
	struct wire_counters *counters = &segment->header->counters;
	uint32_t total;

	*stop = walk->stop;
	if (walk->interrupted)
		return take_native(mixed, segment, walk, frames_ask(runtime), out);
	enum frames_verdict verdict = frames_take(runtime, segment, &mixed->python);
	if (verdict != FRAMES_TAKEN)
		return take_native(mixed, segment, walk, verdict, out);
	unsigned merged =
		mixed_stack_merge(mixed, walk->frame_count, walk->stop, runtime, out, &total);
	count_sample(segment, &counters->python_samples);
	if (merged & MIXED_STACK_UNPAIRED)
		count_sample(segment, &counters->python_unpaired);
	if (merged & MIXED_STACK_CUT)
		*stop = WIRE_STOP_MAX;
	return total;
}
