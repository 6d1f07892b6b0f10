/*
 * Checks one definition of a code object (spprof/wire/definitions.h) in the daemon's own memory before anybody
 * believes it. Pure; any thread; fuzzed. Names come out without control characters below U+0080 and without NUL;
 * whether they are well-formed UTF-8 is left to the exporters, which cope with any bytes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CODE_DECODE_MAX_SIZE 17944u /* of a whole definition */

struct code_definition { /* borrows from the bytes; neither name nor file is terminated */
	const char *name, *file;
	uint16_t name_bytes, file_bytes;
	bool name_cut, file_cut; /* the end of the name, the beginning of the file is missing */
	bool lines_cut;
	uint8_t lines; /* enum wire_code_lines, or any other value */
	int32_t first_line;
	const uint8_t *line_table;
	uint32_t line_bytes;
};

/* What the index says of a definition. 0: it lies at `offset` of the definitions and has so many bytes, all of them
 * inside. -ENOENT: it is not there (yet); -EBADMSG: it cannot be there. */
int code_decode_place(uint64_t place, uint32_t *offset, uint32_t *size);
/* `bytes` is 8-aligned, a copy of exactly the bytes that the index told of; its texts are cleaned in place. 0 or
 * -EBADMSG. */
int code_decode(void *bytes, size_t size, struct code_definition *out);
