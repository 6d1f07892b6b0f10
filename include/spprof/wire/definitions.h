/*
 * What frames refer to and addresses cannot say: the code objects of an interpreter. They lie behind the rings in
 * the segment itself, so they need not be told: a daemon reads what it has not seen when a frame names it, and one
 * that comes later, or after the worker's end, finds all of them.
 *
 *   0                          reserved, zero
 *   WIRE_CODES_INDEX_OFFSET    uint64_t[WIRE_CODES_MAX]: where code number i lies, WIRE_CODE_PLACE; 0: not there (yet)
 *   WIRE_CODES_OFFSET          struct wire_code after struct wire_code, each aligned to 8
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
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define WIRE_DEFINITIONS_SIZE   ((size_t)4 << 20) /* touched as it is used */
#define WIRE_CODES_INDEX_OFFSET ((size_t)8 << 10)
#define WIRE_CODES_MAX          (16u << 10)
#define WIRE_CODES_OFFSET       (WIRE_CODES_INDEX_OFFSET + WIRE_CODES_MAX * sizeof(uint64_t))

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

_Static_assert(sizeof(struct wire_code) == 24, "a definition without text");
_Static_assert(WIRE_CODES_OFFSET % 4096 == 0, "definitions begin on a page");
_Static_assert(WIRE_CODES_OFFSET < WIRE_DEFINITIONS_SIZE, "there is room for definitions");
