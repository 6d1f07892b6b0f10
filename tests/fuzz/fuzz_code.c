/*
 * What a worker leaves of its code objects: eight bytes of place, then a definition. A place that is accepted lies inside;
 * a definition that is accepted has its parts inside, and texts that no terminal acts upon.
 */
#include "config.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "ingest/code_decode.h"
#include "spprof/wire/definitions.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
	if (!condition)
		abort();
}

static void check_place(uint64_t place)
{
	uint32_t offset, size;
	int r = code_decode_place(place, &offset, &size);

	check(r == 0 || r == -EBADMSG || r == -ENOENT);
	check((r == -ENOENT) == (place == 0));
	if (r < 0)
		return;
	check(offset >= WIRE_CODES_OFFSET && offset % 8 == 0);
	check(size >= sizeof(struct wire_code) && size <= CODE_DECODE_MAX_SIZE && size % 8 == 0);
	check((uint64_t)offset + size <= WIRE_DEFINITIONS_SIZE);
}

static void check_text(const char *text, size_t size, const uint8_t *begin, size_t all)
{
	check((const uint8_t *)text >= begin && (const uint8_t *)text + size <= begin + all);
	for (size_t i = 0; i < size; i++)
		check((unsigned char)text[i] >= ' ' && text[i] != 0x7f);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct code_definition code;
	uint64_t place;

	if (size < sizeof place)
		return 0;
	memcpy(&place, data, sizeof place);
	check_place(place);
	size -= sizeof place;
	uint8_t *bytes = malloc(size ? size : 1); /* aligned, and of exactly this size */
	memcpy(bytes, data + sizeof place, size);
	if (code_decode(bytes, size, &code) == 0) {
		check(code.name_bytes <= WIRE_CODE_NAME_MAX &&
			code.file_bytes <= WIRE_CODE_FILE_MAX);
		check(code.line_bytes <= WIRE_CODE_LINES_MAX);
		check_text(code.name, code.name_bytes, bytes, size);
		check_text(code.file, code.file_bytes, bytes, size);
		check(code.line_table >= bytes &&
			code.line_table + code.line_bytes <= bytes + size);
	}
	free(bytes);
	return 0;
}
