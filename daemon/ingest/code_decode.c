/*
 * The caller has copied the bytes out of the worker's reach. No length in it says more than the size that was
 * fetched.
 */
#include "ingest/code_decode.h"
#include <errno.h>
#include "spprof/wire/definitions.h"

_Static_assert(CODE_DECODE_MAX_SIZE == sizeof(struct wire_code) + WIRE_CODE_NAME_MAX +
					       WIRE_CODE_FILE_MAX + WIRE_CODE_LINES_MAX,
	"the largest definition");
_Static_assert(CODE_DECODE_MAX_SIZE % 8 == 0, "it needs no alignment");

static bool is_possible_size(uint32_t size)
{
	return size >= sizeof(struct wire_code) && size <= CODE_DECODE_MAX_SIZE && size % 8 == 0;
}

int code_decode_place(uint64_t place, uint32_t *offset, uint32_t *size)
{
	*offset = (uint32_t)(place >> 32);
	*size = (uint32_t)place;
	if (place == 0)
		return -ENOENT;
	if (!is_possible_size(*size) || *offset < WIRE_CODES_OFFSET || *offset % 8)
		return -EBADMSG;
	return *offset <= WIRE_DEFINITIONS_SIZE - *size ? 0 : -EBADMSG;
}

static void clean(uint8_t *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (text[i] < ' ' || text[i] == 0x7f)
			text[i] = '?';
}

int code_decode(void *bytes, size_t size, struct code_definition *out)
{
	struct wire_code *code = bytes;
	if (size > CODE_DECODE_MAX_SIZE || !is_possible_size((uint32_t)size) || code->size != size)
		return -EBADMSG;
	if (code->name_bytes > WIRE_CODE_NAME_MAX || code->file_bytes > WIRE_CODE_FILE_MAX ||
		code->line_bytes > WIRE_CODE_LINES_MAX)
		return -EBADMSG;
	size_t text_bytes = (size_t)code->name_bytes + code->file_bytes;
	if (sizeof *code + text_bytes + code->line_bytes > size)
		return -EBADMSG;
	clean(code->text, text_bytes);
	*out = (struct code_definition){
		.name = (const char *)code->text,
		.file = (const char *)code->text + code->name_bytes,
		.name_bytes = code->name_bytes,
		.file_bytes = code->file_bytes,
		.name_cut = code->flags & WIRE_CODE_NAME_CUT,
		.file_cut = code->flags & WIRE_CODE_FILE_CUT,
		.lines_cut = code->flags & WIRE_CODE_LINES_CUT,
		.lines = code->lines,
		.first_line = code->first_line,
		.line_table = code->text + text_bytes,
		.line_bytes = code->line_bytes,
	};
	return 0;
}
