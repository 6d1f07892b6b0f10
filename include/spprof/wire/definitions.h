/*
 * What frames refer to and addresses cannot say: the code objects of an interpreter; and the program's own named marks
 * in the row of its samples. They lie behind the rings in the segment itself, so they need not be told: a daemon reads
 * what it has not seen when a frame names it, and one that comes later, or after the worker's end, finds all of them.
 *
 *   0                          struct wire_marks
 *   WIRE_CODES_INDEX_OFFSET    uint64_t[WIRE_CODES_MAX]: where code number i lies, WIRE_CODE_PLACE; 0: not there (yet)
 *   WIRE_CODES_OFFSET          struct wire_code after struct wire_code, each aligned to 8
 *   WIRE_CLIENT_MARKS_OFFSET   struct wire_marks: those that clients gave. The daemon's to write, for the next one; since
 *                              minor WIRE_CLIENT_MARKS_MINOR, before that codes may lie there
 *
 * Codes are numbered from 1; a number keeps its meaning as long as the segment is there. The same code that is made
 * anew (a module that is reloaded, a function that is executed again) has the same number if it has the same name,
 * file, first line and line table. A forked child begins with a copy of its parent's definitions, under the same numbers.
 *
 * Synchronisation
 *
 *   field    writer                       reader           order
 *   index    agent, once per number,      daemon, agent    [CODE-1] release/acquire: the definition before its place;
 *            when the definition is there                  and a frame that names it is told after that (RING-1)
 *   bytes    whoever reserved them        daemon           plain: ordered by index
 *   marks    agent, any thread            daemon           relaxed: a mark whose seal does not fit is half written
 *   clients' daemon that holds the        later daemons    plain, by pwrite; the same
 *   marks    segment's lock
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define WIRE_DEFINITIONS_SIZE   ((size_t)4 << 20) /* touched as it is used */
#define WIRE_CODES_INDEX_OFFSET ((size_t)8 << 10)
#define WIRE_CODES_MAX          (16u << 10)
#define WIRE_CODES_OFFSET       (WIRE_CODES_INDEX_OFFSET + WIRE_CODES_MAX * sizeof(uint64_t))
#define WIRE_CLIENT_MARKS_OFFSET (WIRE_DEFINITIONS_SIZE - ((size_t)8 << 10))
#define WIRE_CLIENT_MARKS_MINOR 1u

/* Offset from the definitions' beginning, and the whole size of the struct wire_code there. */
#define WIRE_CODE_PLACE(offset, size) ((uint64_t)(offset) << 32 | (uint32_t)(size))

/* How CPython maps instructions to lines: code.co_lnotab of 3.9, co_linetable of 3.10 (PEP 626), and of 3.11 on
 * (Objects/locations.md in CPython's tree). */
enum wire_code_lines {
	WIRE_CODE_LNOTAB = 1,
	WIRE_CODE_LINETABLE = 2,
	WIRE_CODE_LOCATIONS = 3,
};

enum wire_code_flags {
	WIRE_CODE_LINES_CUT = 1u << 0, /* the line table was longer; what lies behind has no line */
	WIRE_CODE_NAME_CUT = 1u << 1,
	WIRE_CODE_FILE_CUT = 1u << 2, /* its beginning is missing */
};

struct wire_code {
	uint32_t size; /* whole, a multiple of 8 */
	uint8_t lines; /* enum wire_code_lines */
	uint8_t flags; /* enum wire_code_flags */
	uint16_t reserved;
	int32_t first_line;
	uint32_t line_bytes; /* at most WIRE_CODE_LINES_MAX */
	uint16_t name_bytes; /* at most WIRE_CODE_NAME_MAX */
	uint16_t file_bytes; /* at most WIRE_CODE_FILE_MAX */
	uint32_t reserved1;
	uint8_t text[]; /* name (qualified where the interpreter has that) and file in UTF-8, then the line table */
};

#define WIRE_CODE_NAME_MAX  512u
#define WIRE_CODE_FILE_MAX  1024u
#define WIRE_CODE_LINES_MAX (16u << 10)

/* A name for the border between the samples with lower ids and those with this or higher ones. Of marks with the same
 * name the one with the highest id counts. */
struct wire_mark {
	_Atomic uint64_t seal; /* wire_mark_seal; 0: none, or being written */
	_Atomic uint64_t id;   /* the lowest that a later sample can have; > 0 */
	_Atomic uint64_t time_ns; /* CLOCK_MONOTONIC */
	_Atomic uint64_t name[5]; /* 1 to WIRE_MARK_NAME_MAX bytes other than 0, then zeros */
};

#define WIRE_MARK_NAME_MAX 39u
#define WIRE_MARKS_MAX     127u

struct wire_marks {
	/* In all: the next one goes to made % WIRE_MARKS_MAX, over the oldest. Of clients' marks: not 0 as soon as one has
	 * asked for a mark, with a name or without. */
	_Atomic uint64_t made;
	uint64_t reserved[7];
	struct wire_mark marks[WIRE_MARKS_MAX];
};

_Static_assert(sizeof(struct wire_marks) == WIRE_CODES_INDEX_OFFSET, "marks end where the codes' index begins");
_Static_assert(sizeof(struct wire_marks) == WIRE_DEFINITIONS_SIZE - WIRE_CLIENT_MARKS_OFFSET, "clients' marks end the definitions");

/* FNV-1a (Fowler, Noll, Vo) over the words: tells a whole mark from one that was copied while it was written. */
static inline uint64_t wire_mark_seal(uint64_t id, uint64_t time_ns, const uint64_t name[5])
{
	const uint64_t words[7] = {id, time_ns, name[0], name[1], name[2], name[3], name[4]};
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (unsigned i = 0; i < 7; i++)
		for (unsigned shift = 0; shift < 64; shift += 8)
			hash = (hash ^ (words[i] >> shift & 0xff)) * UINT64_C(0x100000001b3);
	return hash ? hash : 1;
}

_Static_assert(sizeof(struct wire_code) == 24, "a definition without text");
_Static_assert(WIRE_CODES_OFFSET % 4096 == 0, "definitions begin on a page");
_Static_assert(WIRE_CODES_OFFSET < WIRE_CLIENT_MARKS_OFFSET, "there is room for definitions");
