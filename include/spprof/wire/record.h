/*
 * Records in a ring. Each begins with its whole size (a multiple of 8, at most WIRE_RECORD_MAX) and its
 * type; unknown types are skipped. Births and deaths name ids, never addresses, so they commute across
 * rings: a DEATH may be read before its BIRTH.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define WIRE_MAX_FRAMES 512u

/*
 * A frame is a return address, or with WIRE_FRAME_PYTHON one of CPython's: number of the code object (definitions.h)
 * and instruction, in code units of two bytes from the code's beginning. Those that one call of the interpreter's
 * evaluator runs stand next to each other, innermost first, right behind the return address into that evaluator: a
 * stack is in its true order. Where a walk did not come as far as to the evaluator, they end the stack.
 */
#define WIRE_FRAME_KIND_SHIFT  60u
#define WIRE_FRAME_PYTHON      (UINT64_C(1) << WIRE_FRAME_KIND_SHIFT)
#define WIRE_FRAME_UNIT_BITS   24u
#define WIRE_FRAME_NO_UNIT     ((1u << WIRE_FRAME_UNIT_BITS) - 1) /* not begun, or not known: the first line */
#define WIRE_FRAME_CODE_BITS   (WIRE_FRAME_KIND_SHIFT - WIRE_FRAME_UNIT_BITS)

/* `code` 0: there was no room to keep what it is. */
static inline uint64_t wire_frame_python(uint32_t code, uint32_t unit)
{
	return WIRE_FRAME_PYTHON | (uint64_t)code << WIRE_FRAME_UNIT_BITS | unit;
}

static inline int wire_frame_is_python(uint64_t frame)
{
	return frame >> WIRE_FRAME_KIND_SHIFT == WIRE_FRAME_PYTHON >> WIRE_FRAME_KIND_SHIFT;
}

/* Any value for frames that another process wrote. */
static inline uint64_t wire_frame_code(uint64_t frame)
{
	return (frame & (WIRE_FRAME_PYTHON - 1)) >> WIRE_FRAME_UNIT_BITS;
}

static inline uint32_t wire_frame_unit(uint64_t frame)
{
	return (uint32_t)frame & WIRE_FRAME_NO_UNIT;
}

enum wire_record_type {
	WIRE_BIRTH = 1, /* struct wire_birth: a sampled allocation */
	WIRE_LIVE = 2,  /* struct wire_birth: told again in answer to resync `epoch` */
	WIRE_DEATH = 3, /* struct wire_death */
	WIRE_END = 4,   /* struct wire_end: all of the map has been told for an epoch */
	WIRE_AUDIT = 5, /* struct wire_audit: a part of what a sample's stack was captured from */
};

enum wire_record_flags {
	WIRE_STACK_NOT_KEPT = 1u << 0, /* LIVE: the agent had no room to keep this sample's stack; no frames follow */
};

struct wire_record {
	uint32_t size; /* bytes, this header included */
	uint16_t type; /* enum wire_record_type */
	uint16_t flags;
};

/* Why a walk ended. Only WIRE_STOP_END says that the stack is whole. */
enum wire_stop {
	WIRE_STOP_END,         /* outermost frame: CFI says so, or a null return address */
	WIRE_STOP_MAX,         /* WIRE_MAX_FRAMES reached; the innermost are kept */
	WIRE_STOP_NO_INFO,     /* no CFI for this code (JIT, hand-written assembly) */
	WIRE_STOP_BOUNDS,      /* the next frame would lie outside the stack */
	WIRE_STOP_UNSUPPORTED, /* CFI uses a rule that the walk does not know */
	WIRE_STOP_KINDS
};

struct wire_birth {
	struct wire_record record;
	uint64_t id;             /* unique in this process, never reused, > 0 */
	uint64_t size_bytes;     /* as requested, > 0 */
	uint64_t interval_bytes; /* T under which it was sampled, > 0 */
	uint64_t time_ns;        /* CLOCK_MONOTONIC */
	uint64_t address;
	uint32_t tid;            /* the allocating thread, in the worker's pid namespace */
	uint32_t epoch;          /* LIVE: the resync answered; BIRTH: 0 */
	uint32_t module_epoch;   /* rises with each dlclose; that of the walk */
	uint16_t frame_count;
	uint8_t stop;            /* enum wire_stop */
	uint8_t guessed;         /* frames found by guessing, saturated */
	uint64_t frames[];       /* innermost first: return addresses, and frames of an interpreter */
};

struct wire_death {
	struct wire_record record;
	uint64_t id;
	uint64_t time_ns; /* CLOCK_MONOTONIC; 0: inferred, the moment is unknown */
	uint32_t tid;     /* the freeing thread */
	uint32_t epoch;   /* not 0: takes back the LIVE of this resync, whose block had died before */
};

/* Written once per epoch by whoever looked at the last slot. `lives` LIVE records were or are being written, in
 * any ring, before or after this. */
struct wire_end {
	struct wire_record record;
	uint32_t epoch;
	uint32_t lives;
};

_Static_assert(sizeof(struct wire_end) == 16, "end");

/*
 * For one sample in SPPROF_AUDIT, after its BIRTH: the registers that its walk began with, the frames that it found,
 * and the stack's own bytes from sp on, so that another unwinder can be asked. The payload is frame_count return
 * addresses, innermost first, then stack_bytes bytes of stack. It comes in parts, for a record has at most
 * WIRE_RECORD_MAX bytes: each repeats the head and has the payload's bytes from `offset` on. The parts follow each
 * other in one ring, from offset 0 to the end, under one release of its head: a reader finds all of them or none.
 *
 * The bytes are whatever the program had on its stack, keys and passwords too: a reader unwinds and forgets them.
 */
struct wire_audit {
	struct wire_record record;
	uint64_t id;           /* the sample's */
	uint64_t pc, sp, fp;   /* the walk's beginning; frame 0 is pc. sp is a multiple of 8 */
	uint32_t module_epoch; /* as in its BIRTH; and so stop and guessed */
	uint16_t stack_bytes;  /* > 0, at most WIRE_AUDIT_STACK_MAX, a multiple of 8 */
	uint16_t frame_count;  /* > 0 */
	uint16_t offset;       /* a multiple of 8 */
	uint8_t stop;
	uint8_t guessed;
	uint32_t reserved;
	uint8_t payload[];
};

#define WIRE_AUDIT_STACK_MAX   (16u << 10)
#define WIRE_AUDIT_PAYLOAD_MAX (WIRE_MAX_FRAMES * sizeof(uint64_t) + WIRE_AUDIT_STACK_MAX)
#define WIRE_AUDIT_PART_MAX    4096u /* bytes of payload in a part */

_Static_assert(sizeof(struct wire_audit) == 56, "a part of an audit without payload");

#define WIRE_RECORD_MAX (sizeof(struct wire_birth) + WIRE_MAX_FRAMES * sizeof(uint64_t))

_Static_assert(sizeof(struct wire_record) == 8, "record header");
_Static_assert(sizeof(struct wire_birth) == 64, "birth without frames");
_Static_assert(offsetof(struct wire_birth, frames) == 64, "frames follow at 64");
_Static_assert(sizeof(struct wire_death) == 32, "death");
_Static_assert(sizeof(struct wire_audit) + WIRE_AUDIT_PART_MAX <= WIRE_RECORD_MAX, "a part is a record");
_Static_assert(WIRE_RECORD_MAX <= (16u << 10) / 2, "the largest record leaves room in the smallest ring");
