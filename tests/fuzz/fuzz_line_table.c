/* A line table: one byte of form and one of flags, four of the first line, then the table. */
#include "config.h"
#include <stdlib.h>
#include <string.h>
#include "ingest/line_table.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
	if (!condition)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct line_table table;
	struct line_range range;
	int32_t first_line;
	uint32_t unit = 0;
	size_t ranges = 0;

	if (size < 6)
		return 0;
	memcpy(&first_line, data + 2, sizeof first_line);
	size -= 6;
	uint8_t *bytes = malloc(size ? size : 1); /* of exactly this size */
	memcpy(bytes, data + 6, size);
	line_table_init(&table, data[0], data[1] & 1, first_line, bytes, size);
	while (line_table_next(&table, &range)) {
		check(range.unit >= unit && range.line <= INT32_MAX);
		check(ranges > 0 || range.unit == 0);
		unit = range.unit;
		check(++ranges <= size + 1);
	}
	check(ranges > 0);
	free(bytes);
	return 0;
}
