/*
 * Every so many samples one is told with what its stack was captured from (WIRE_AUDIT), so that
 * whoever reads it can ask another unwinder. Called on the sampled path right after the BIRTH, on
 * the thread that sampled; takes less than 512 bytes of stack, and off the main thread asks for the
 * few pages that it copies (stack_bounds.h). What there is no ample room for is dropped and counted:
 * an audit never takes the place of a BIRTH.
 *
 *   field  writer                    reader        order
 *   every  who sets up               sampled path  relaxed: ordered by LIFE-1
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct segment;
struct stack_view;
struct walk_regs;
struct wire_birth;

extern _Atomic uint32_t audit_every;

/* Once, while setting up. 0: no audits. */
void audit_init(uint32_t every);

/* Whether the sample in hand is one. `since` counts the samples of a buffer that one thread at a
 * time holds, so that threads do not meet on a counter. */
static inline bool audit_is_due(uint32_t *since)
{
	/* relaxed: see the table. */
	uint32_t every = atomic_load_explicit(&audit_every, memory_order_relaxed);

	if (++*since < every || every == 0)
		return false;
	*since = 0;
	return true;
}

/* Of the sample that `birth` told of, whose walk began with `caller` on the running stack and found `walked`: native
 * frames alone, which birth's need not be. */
void audit_tell(struct segment *segment, const struct wire_birth *birth,
	const struct stack_view *walked, const struct walk_regs *caller);
/* The same for a copy of the stack elsewhere: `size` bytes, a multiple of 8, from caller->sp on. */
void audit_tell_bytes(struct segment *segment, const struct wire_birth *birth,
	const struct stack_view *walked, const struct walk_regs *caller, const void *bytes,
	uint32_t size);
