/*
 * The parts are put into the ring one after another and published together: a reader never waits
 * for the rest of one. The frames come from the walk, the bytes straight from the stack: they are in no
 * buffer of the agent's.
 */
#include "audit.h"
#include "ring_producer.h"
#include "segment.h"
#include "spprof/wire/record.h"
#include "stack_store.h"
#include "thread_state.h"
#include "unwind/stack_bounds.h"
#include "unwind/walk.h"

_Atomic uint32_t audit_every;

void audit_init(uint32_t every)
{
	/* relaxed: ordered by LIFE-1. */
	atomic_store_explicit(&audit_every, every, memory_order_relaxed);
}

/*
 * How much of the running stack can be read from `sp` on. 0 on stacks whose top is not known. That
 * the pages up to a known top could be read once is not enough: what lies between a coroutine's
 * stack and the thread's may have been unmapped since, and no frame leads there.
 */
static uint32_t readable_bytes(uintptr_t sp)
{
	struct stack_bounds bounds;

	stack_bounds_begin(&bounds, sp);
	if (!bounds.is_own || sp % 8 != 0 || sp < bounds.low || sp >= bounds.limit)
		return 0;
	uintptr_t bytes = (bounds.limit - sp) & ~(uintptr_t)7;
	if (bytes > WIRE_AUDIT_STACK_MAX)
		bytes = WIRE_AUDIT_STACK_MAX;
	return stack_bounds_still_readable(sp, sp + bytes) ? (uint32_t)bytes : 0;
}

static uint32_t parts_of(uint32_t bytes)
{
	return (bytes + WIRE_AUDIT_PART_MAX - 1) / WIRE_AUDIT_PART_MAX;
}

/* The part of the payload from part->offset on, out of `bytes`; a part has frames or stack, not both. */
static void put_parts(struct segment *segment, struct ring_lease *lease, struct wire_audit *part,
	const void *bytes, uint32_t size)
{
	for (uint32_t at = 0; at < size;) {
		uint32_t piece = size - at < WIRE_AUDIT_PART_MAX ? size - at : WIRE_AUDIT_PART_MAX;

		part->record.size = (uint32_t)sizeof *part + piece;
		ring_producer_put(segment, lease, part, sizeof *part);
		ring_producer_put(segment, lease, (const char *)bytes + at, piece);
		part->offset = (uint16_t)(part->offset + piece);
		at += piece;
	}
}

void audit_tell_bytes(struct segment *segment, const struct wire_birth *birth,
	const struct stack_view *walked, const struct walk_regs *caller, const void *bytes,
	uint32_t size)
{
	struct wire_counters *counters = &segment->header->counters;
	uint32_t frames_size = walked->frame_count * (uint32_t)sizeof walked->frames[0];
	uint32_t parts = parts_of(frames_size) + parts_of(size);
	struct ring_lease lease;
	struct wire_audit part = {
		.record = {.type = WIRE_AUDIT},
		.id = birth->id,
		.pc = caller->pc,
		.sp = caller->sp,
		.fp = caller->fp,
		.module_epoch = walked->module_epoch,
		.stack_bytes = (uint16_t)size,
		.frame_count = walked->frame_count,
		.stop = walked->stop,
		.guessed = walked->guessed,
	};
	uint32_t room = parts * (uint32_t)sizeof part + frames_size + size;

	/* Half of the ring stays free for births and deaths. */
	if (ring_producer_lease(segment, thread_state_tid(), room + segment->ring_size / 2,
		    &lease) != RING_PRODUCER_OK) {
		segment_count(segment, &counters->audits_dropped, 1);
		return;
	}
	put_parts(segment, &lease, &part, walked->frames, frames_size);
	put_parts(segment, &lease, &part, bytes, size);
	ring_producer_publish(&lease);
	ring_producer_release(segment, &lease);
	segment_count(segment, &counters->audits, 1);
}

void audit_tell(struct segment *segment, const struct wire_birth *birth,
	const struct stack_view *walked, const struct walk_regs *caller)
{
	uint32_t size = readable_bytes(caller->sp);

	if (size == 0 || walked->frame_count == 0) {
		segment_count(segment, &segment->header->counters.audits_foreign, 1);
		return;
	}
	audit_tell_bytes(segment, birth, walked, caller, (const void *)caller->sp, size);
}
