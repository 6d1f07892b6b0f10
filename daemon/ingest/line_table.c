/*
 * Offsets and lines are added up in 64 bits, from at most WIRE_CODE_LINES_MAX entries of at most 32 bits: nothing
 * overflows. What does not fit is no line, or lies beyond all units that a frame can name.
 */
#include "ingest/line_table.h"
#include "spprof/wire/definitions.h"

#define MAX_UNIT UINT32_MAX

/* Of the third form, an entry's bits 3 to 6. */
enum location_code {
	LOCATION_ONE_LINE_0 = 10, /* and 11, 12: so many lines further */
	LOCATION_ONE_LINE_2 = 12,
	LOCATION_NO_COLUMNS = 13,
	LOCATION_LONG = 14,
	LOCATION_NONE = 15,
};

void line_table_init(struct line_table *table, uint8_t form, bool cut, int32_t first_line,
	const uint8_t *bytes, size_t size)
{
	*table = (struct line_table){
		.at = bytes,
		.end = bytes + size,
		.form = form,
		.cut = cut,
		.line = first_line,
	};
}

/* An instruction between two units belongs to the second: it is behind the first one's beginning. */
static struct line_range range_at(uint64_t bytes, int64_t line)
{
	uint64_t unit = (bytes + 1) / 2;
	return (struct line_range){
		.unit = unit < MAX_UNIT ? (uint32_t)unit : MAX_UNIT,
		.line = line > 0 && line <= INT32_MAX ? (uint32_t)line : LINE_TABLE_NONE,
	};
}

static bool end_at(struct line_table *table, uint64_t bytes, struct line_range *out)
{
	*out = range_at(bytes, LINE_TABLE_NONE);
	table->ended = true;
	return true;
}

/* Pairs (bytes of code, signed lines): the line changes behind so many bytes. The last one has no end. */
static bool next_lnotab(struct line_table *table, struct line_range *out)
{
	*out = range_at(table->bytes, table->line);
	if (table->end - table->at < 2) {
		table->ended = true;
		if (table->cut)
			out->line = LINE_TABLE_NONE;
		return true;
	}
	table->bytes += table->at[0];
	table->line += (int8_t)table->at[1];
	table->at += 2;
	return true;
}

/* Pairs (bytes of code, signed lines): so many bytes are of the line that is so much further; -128: of none. */
static bool next_linetable(struct line_table *table, struct line_range *out)
{
	if (table->end - table->at < 2)
		return end_at(table, table->bytes, out);
	int8_t lines = (int8_t)table->at[1];
	table->line += lines != INT8_MIN ? lines : 0;
	*out = range_at(table->bytes, lines != INT8_MIN ? table->line : LINE_TABLE_NONE);
	table->bytes += table->at[0];
	table->at += 2;
	return true;
}

static bool starts_entry(uint8_t byte)
{
	return byte & 0x80;
}

/* Six bits a byte, the lowest first, bit 6 set but in the last; the lowest bit of the whole is the sign. */
static int64_t signed_varint(const struct line_table *table, const uint8_t *at)
{
	uint64_t value = 0;
	for (unsigned shift = 0; at < table->end && shift < 32; shift += 6, at++) {
		value |= (uint64_t)(*at & 0x3f) << shift;
		if (!(*at & 0x40))
			break;
	}
	value = (uint32_t)value;
	return value & 1 ? -(int64_t)(value >> 1) : (int64_t)(value >> 1);
}

static int64_t lines_of_entry(const struct line_table *table, unsigned code)
{
	switch (code) {
	case LOCATION_ONE_LINE_0 ... LOCATION_ONE_LINE_2:
		return code - LOCATION_ONE_LINE_0;
	case LOCATION_NO_COLUMNS:
	case LOCATION_LONG:
		return signed_varint(table, table->at + 1);
	default:
		return 0;
	}
}

static void skip_to_entry(struct line_table *table)
{
	while (table->at < table->end && !starts_entry(*table->at))
		table->at++;
}

/* Entries begin with bit 7 set, and nothing in them has it: 1, four bits of code, units less one. */
static bool next_location(struct line_table *table, struct line_range *out)
{
	skip_to_entry(table);
	if (table->at == table->end)
		return end_at(table, table->bytes, out);
	unsigned code = *table->at >> 3 & 15;
	table->line += lines_of_entry(table, code);
	*out = range_at(table->bytes, code != LOCATION_NONE ? table->line : LINE_TABLE_NONE);
	table->bytes += 2 * ((*table->at & 7u) + 1);
	table->at++;
	skip_to_entry(table);
	/* Its own end may be what is missing. */
	if (table->cut && table->at == table->end)
		out->line = LINE_TABLE_NONE;
	return true;
}

bool line_table_next(struct line_table *table, struct line_range *out)
{
	if (table->ended)
		return false;
	switch (table->form) {
	case WIRE_CODE_LNOTAB:
		return next_lnotab(table, out);
	case WIRE_CODE_LINETABLE:
		return next_linetable(table, out);
	case WIRE_CODE_LOCATIONS:
		return next_location(table, out);
	default:
		return end_at(table, 0, out);
	}
}
