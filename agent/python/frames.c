/*
 * Why each pointer that is followed here leads to memory of the kind that it is taken for:
 *
 * - The thread's own state. current_state() is that of the calling thread, or (3.9 to 3.11) compared only; what
 *   own_state() returns is kept in the thread's own TSS slot, and taken out before the state is freed. The exception
 *   is the interpreter's end, when the main thread frees the others' states: then only a state that is attached
 *   here (it holds the GIL) is looked at.
 * - Its frames. Only the thread itself links and unlinks them, and an allocation is a call: whoever allocates has
 *   stored what it had to, for the state is memory that others can see. So the chain stands still, with the GIL
 *   or without. A frame is linked when its code, previous frame and owner are set, and unlinked before it is
 *   cleared. A suspended generator is not in the chain. Another greenlet's frames neither.
 * - Code objects and what they refer to: each frame owns a reference to its code, a code object owns what it consists
 *   of and never changes it.
 * - CFrames and shims are locals of a call of the evaluator that has not returned. A greenlet's outermost CFrame
 *   may point to one that is not there any more: one is followed only if another frame needs it and it lies further
 *   up on the stack.
 *
 * A signal handler breaks the second rule: it may come between two stores of which the compiler has turned the order
 * around. Whoever has walked the native stack knows whether one runs (walk_result.interrupted), and does not come here.
 *
 * What this rests on is the interpreter's word, so everything is checked as far as that costs next to nothing:
 * pointers are aligned and in the range of user space, a chain has a bounded length, code is of type code.
 */
#include "python/frames.h"
#include <stdbool.h>
#include <stddef.h>
#include "python/codes.h"
#include "python/runtime.h"
#include "segment.h"
#include "unwind/arch.h"

/* So many frames are looked at, shims and those that are passed over included. */
#define MAX_LOOKED 4096

static uintptr_t pointer_at(uintptr_t address)
{
	return *(const volatile uintptr_t *)address;
}

static bool is_plausible(uintptr_t address)
{
	return !(address & 7) && address >= ARCH_PAGE_BYTES && !(address >> ARCH_ADDRESS_BITS);
}

/* The copy of the code that a frame runs: each thread of a free-threaded interpreter may have its own. */
static uintptr_t copied_bytes(const struct layout *layout, uintptr_t frame, uintptr_t code)
{
	int32_t copy = *(const volatile int32_t *)(frame + layout->frame_copy);
	uintptr_t copies = copy > 0 ? pointer_at(code + layout->code_copies) : 0;

	if (!is_plausible(copies) || (uint64_t)copy >= pointer_at(copies))
		return code + layout->code_bytes;
	return pointer_at(copies + sizeof(uintptr_t) * (1 + (uintptr_t)copy));
}

static uint32_t unit_of(const struct layout *layout, uintptr_t frame, uintptr_t code)
{
	uint64_t unit;

	if (layout->lasti_is_pointer) {
		uintptr_t bytes = layout->code_copies ? copied_bytes(layout, frame, code)
						      : code + layout->code_bytes;
		unit = (pointer_at(frame + layout->frame_lasti) - bytes) / 2;
	} else {
		int32_t last = *(const volatile int32_t *)(frame + layout->frame_lasti);
		unit = last < 0 ? UINT64_MAX : (uint64_t)last * layout->lasti_bytes / 2;
	}
	return unit < WIRE_FRAME_NO_UNIT ? (uint32_t)unit : WIRE_FRAME_NO_UNIT;
}

/* False: that is no frame, and the chain ends. From 3.14 on a reference has its low bits for itself. */
static bool add(const struct runtime *runtime, struct segment *segment, struct frames *frames,
	uintptr_t frame)
{
	const struct layout *layout = &runtime->layout;
	uintptr_t code = pointer_at(frame + layout->frame_code) & ~(uintptr_t)3;

	if (!is_plausible(code) || pointer_at(code + layout->object_type) != runtime->code_type)
		return false;
	uint32_t number = codes_number(layout, segment, &frames->last, (const char *)code);
	if (number == 0)
		segment_count(segment, &segment->header->counters.codes_not_kept, 1);
	frames->words[frames->count++] = wire_frame_python(number, unit_of(layout, frame, code));
	return true;
}

static void close_group(struct frames *frames, uintptr_t address)
{
	uint32_t begin = frames->group_count ? frames->groups[frames->group_count - 1].end : 0;

	if (frames->count > begin)
		frames->groups[frames->group_count++] =
			(struct frames_group){.address = address, .end = frames->count};
}

/* 0: not to be followed. */
static uintptr_t next_cframe(const struct layout *layout, uintptr_t cframe)
{
	uintptr_t next = is_plausible(cframe) ? pointer_at(cframe + layout->cframe_previous) : 0;

	return is_plausible(next) && next > cframe ? next : 0;
}

static void take_frame_objects(const struct runtime *runtime, struct segment *segment,
	uintptr_t state, struct frames *frames)
{
	const struct layout *layout = &runtime->layout;
	uintptr_t frame = pointer_at(state + layout->state_frame);
	uintptr_t cframe = layout->state_cframe ? pointer_at(state + layout->state_cframe) : 0;

	while (is_plausible(frame) && frames->count < WIRE_MAX_FRAMES &&
		add(runtime, segment, frames, frame)) {
		close_group(frames, cframe);
		frame = pointer_at(frame + layout->frame_previous);
		if (frame)
			cframe = next_cframe(layout, cframe);
	}
}

static void take_entry_frames(const struct runtime *runtime, struct segment *segment,
	uintptr_t state, struct frames *frames)
{
	const struct layout *layout = &runtime->layout;
	uintptr_t cframe = pointer_at(state + layout->state_cframe);
	uintptr_t frame = is_plausible(cframe) ? pointer_at(cframe + layout->cframe_frame) : 0;

	while (is_plausible(frame) && frames->count < WIRE_MAX_FRAMES &&
		add(runtime, segment, frames, frame)) {
		bool is_entry = *(const volatile uint8_t *)(frame + layout->frame_owner);

		if (is_entry)
			close_group(frames, cframe);
		frame = pointer_at(frame + layout->frame_previous);
		if (is_entry && frame)
			cframe = next_cframe(layout, cframe);
	}
	close_group(frames, cframe);
}

/* The outermost group's frames may be too many to be taken, but not to be passed over. */
static void take_shim_frames(const struct runtime *runtime, struct segment *segment,
	uintptr_t state, struct frames *frames)
{
	const struct layout *layout = &runtime->layout;
	uintptr_t frame = state + layout->state_frame;

	if (layout->cframe_holds_frame)
		frame = pointer_at(state + layout->state_cframe) + layout->cframe_frame;
	frame = is_plausible(frame) ? pointer_at(frame) : 0;
	for (int left = MAX_LOOKED; is_plausible(frame) && left > 0;
		left--, frame = pointer_at(frame + layout->frame_previous)) {
		uint8_t owner = *(const volatile uint8_t *)(frame + layout->frame_owner);

		if (owner >= layout->first_shim_owner) {
			close_group(frames, frame);
			if (frames->count == WIRE_MAX_FRAMES)
				return;
		} else if (frames->count < WIRE_MAX_FRAMES &&
			   !add(runtime, segment, frames, frame)) {
			break;
		}
	}
	close_group(frames, 0);
}

/* The thread's state if it may be looked at. */
static enum frames_verdict find_state(const struct runtime *runtime, uintptr_t *state)
{
	void *current = runtime->current_state();

	if (current && runtime->layout.chain == LAYOUT_SHIMS) {
		*state = (uintptr_t)current;
	} else {
		void *own = runtime->own_state();

		if (own && own != current && runtime->is_finalizing())
			return FRAMES_REFUSED;
		*state = (uintptr_t)own;
	}
	return is_plausible(*state) ? FRAMES_TAKEN : FRAMES_NONE;
}

enum frames_verdict frames_ask(const struct runtime *runtime)
{
	uintptr_t state;

	return find_state(runtime, &state);
}

enum frames_verdict frames_take(
	const struct runtime *runtime, struct segment *segment, struct frames *frames)
{
	uintptr_t state;
	enum frames_verdict verdict = find_state(runtime, &state);

	frames->count = frames->group_count = 0;
	frames->last = (struct codes_last){0};
	if (verdict != FRAMES_TAKEN)
		return verdict;
	if (runtime->layout.chain == LAYOUT_SHIMS)
		take_shim_frames(runtime, segment, state, frames);
	else if (runtime->layout.chain == LAYOUT_ENTRY_FRAMES)
		take_entry_frames(runtime, segment, state, frames);
	else
		take_frame_objects(runtime, segment, state, frames);
	return frames->count ? FRAMES_TAKEN : FRAMES_NONE;
}
