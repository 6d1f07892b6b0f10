/*
 * A number keeps its meaning as long as the segment is there, so each definition is fetched once, good or bad. What
 * the index does not have is not remembered: an agent tells of no frame before its definition is there, so it is a
 * worker that makes up numbers, or one that will never name it again. Looking costs a system call: only so many are
 * in vain in one round, then numbers that are not known are taken as not kept.
 *
 * Definitions do not overlap, so all of them together are no larger than their area: a worker that makes them up has no
 * more than that fetched and decoded, once in its life.
 *
 * Lines are kept as ranges, equal neighbours merged: a lookup is a binary search, whatever table a worker makes up.
 */
#include "server/session_codes.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/hash_index.h"
#include "base/string_pool.h"
#include "ingest/code_decode.h"
#include "ingest/line_table.h"
#include "ingest/segment_map.h"
#include "spprof/wire/definitions.h"
#include "spprof/wire/record.h"

#define MAX_MISSES   64u /* in one round */
#define CUT_MARK     ".."
#define MAX_RANGES   (WIRE_CODE_LINES_MAX + 1)
#define STRINGS_COST 64u /* at most, of a new string in the pool beside its bytes */

struct code {
	uint32_t number;
	uint32_t range_count;
	const struct line_range *ranges; /* the arena's */
	struct session_code facts;	 /* the pool's strings; name NULL: it made no sense */
};

struct session_codes {
	const struct segment_map *segment; /* borrows; NULL: detached */
	size_t max_bytes;
	struct code *all; /* owns */
	uint32_t count, capacity;
	struct hash_index index; /* of numbers, to positions in `all` */
	struct arena ranges;
	struct string_pool *strings; /* owns */
	size_t fetched;		     /* bytes of definitions so far */
	unsigned misses;	     /* in this round */
	bool full;
};

int session_codes_new(
	struct session_codes **out, const struct segment_map *segment, size_t max_bytes)
{
	struct session_codes *codes = alloc_zeroed(1, sizeof *codes);
	int r = string_pool_new(&codes->strings);
	if (r < 0) {
		free(codes);
		return r;
	}
	codes->segment = segment;
	codes->max_bytes = max_bytes;
	*out = codes;
	return 0;
}

struct session_codes *session_codes_free(struct session_codes *codes)
{
	if (codes == NULL)
		return NULL;
	string_pool_free(codes->strings);
	arena_deinit(&codes->ranges);
	hash_index_deinit(&codes->index);
	free(codes->all);
	free(codes);
	return NULL;
}

void session_codes_detach(struct session_codes *codes)
{
	codes->segment = NULL;
}

void session_codes_round(struct session_codes *codes)
{
	codes->misses = 0;
}

static const struct code *find(const struct session_codes *codes, uint32_t number)
{
	uint32_t position;
	struct hash_cursor at = hash_index_seek(hash_index_hash(&number, sizeof number));
	while (hash_index_next(&codes->index, &at, &position))
		if (codes->all[position].number == number)
			return &codes->all[position];
	return NULL;
}

/* Whether there is room for one more, with so many bytes of text and ranges. */
static bool has_room(const struct session_codes *codes, size_t text, size_t ranges)
{
	uint32_t more = codes->count == codes->capacity ? codes->capacity + 16 : 0;
	size_t bytes = session_codes_bytes(codes) - codes->ranges.bytes -
		       hash_index_bytes(&codes->index) + arena_bytes_after(&codes->ranges, ranges) +
		       hash_index_bytes_after_insert(&codes->index) + more * sizeof *codes->all;
	return bytes + 2 * (text + STRINGS_COST) <= codes->max_bytes;
}

static struct code *add(struct session_codes *codes, uint32_t number)
{
	if (codes->count == codes->capacity) {
		codes->capacity += codes->capacity + 16;
		codes->all = alloc_resize(codes->all, codes->capacity, sizeof *codes->all);
	}
	hash_index_insert(&codes->index, hash_index_hash(&number, sizeof number), codes->count);
	struct code *code = &codes->all[codes->count++];
	*code = (struct code){.number = number};
	return code;
}

static uint32_t decode_lines(
	const struct code_definition *definition, struct line_range ranges[static MAX_RANGES])
{
	struct line_table table;
	struct line_range range;
	uint32_t count = 0;
	line_table_init(&table, definition->lines, definition->lines_cut, definition->first_line,
		definition->line_table, definition->line_bytes);
	while (line_table_next(&table, &range)) {
		if (count > 0 && ranges[count - 1].unit == range.unit)
			count--;
		if (count == 0 || ranges[count - 1].line != range.line)
			ranges[count++] = range;
	}
	return count;
}

static const char *keep_name(struct session_codes *codes, const struct code_definition *from)
{
	char text[WIRE_CODE_NAME_MAX + sizeof CUT_MARK];
	memcpy(text, from->name, from->name_bytes);
	size_t size = from->name_bytes;
	if (from->name_cut) {
		memcpy(text + size, CUT_MARK, sizeof CUT_MARK - 1);
		size += sizeof CUT_MARK - 1;
	}
	return string_pool_add(codes->strings, text, size);
}

static const char *keep_file(struct session_codes *codes, const struct code_definition *from)
{
	char text[WIRE_CODE_FILE_MAX + sizeof CUT_MARK];
	size_t mark = from->file_cut ? sizeof CUT_MARK - 1 : 0;
	memcpy(text, CUT_MARK, mark);
	memcpy(text + mark, from->file, from->file_bytes);
	return string_pool_add(codes->strings, text, mark + from->file_bytes);
}

static const struct code *keep(
	struct session_codes *codes, uint32_t number, const struct code_definition *definition)
{
	struct line_range ranges[MAX_RANGES];
	uint32_t count = decode_lines(definition, ranges);
	size_t bytes = count * sizeof *ranges;
	if (!has_room(codes, definition->name_bytes + definition->file_bytes, bytes)) {
		codes->full = true;
		return NULL;
	}
	struct code *code = add(codes, number);
	struct line_range *kept = arena_take(&codes->ranges, bytes);
	memcpy(kept, ranges, bytes);
	code->ranges = kept;
	code->range_count = count;
	code->facts = (struct session_code){
		.name = keep_name(codes, definition),
		.file = keep_file(codes, definition),
		.first_line = definition->first_line > 0 ? (uint32_t)definition->first_line : 0,
	};
	return code;
}

/* -ENOENT: it is not there. */
static int read_definition(struct session_codes *codes, uint32_t number,
	uint8_t bytes[static CODE_DECODE_MAX_SIZE], struct code_definition *out)
{
	uint64_t place;
	uint32_t offset, size;
	int r = segment_map_read_definitions(codes->segment,
		WIRE_CODES_INDEX_OFFSET + number * sizeof place, &place, sizeof place);
	if (r == 0)
		r = code_decode_place(place, &offset, &size);
	if (r == 0)
		codes->fetched += size;
	/* [CODE-1] The definition was there before its place; pairs with CODE-1 of the agent. */
	if (r == 0)
		r = segment_map_read_definitions(codes->segment, offset, bytes, size);
	return r < 0 ? r : code_decode(bytes, size, out);
}

static const struct code *fetch(struct session_codes *codes, uint32_t number)
{
	_Alignas(8) uint8_t bytes[CODE_DECODE_MAX_SIZE];
	struct code_definition definition;
	if (codes->segment == NULL || codes->full || codes->misses >= MAX_MISSES ||
		codes->fetched >= WIRE_DEFINITIONS_SIZE)
		return NULL;
	int r = read_definition(codes, number, bytes, &definition);
	if (r == 0)
		return keep(codes, number, &definition);
	codes->misses++;
	if (r == -EBADMSG && has_room(codes, 0, 0))
		return add(codes, number);
	return NULL;
}

static uint32_t line_at(const struct code *code, uint32_t unit)
{
	uint32_t low = 0, high = code->range_count;
	if (unit == WIRE_FRAME_NO_UNIT)
		return code->facts.first_line;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (code->ranges[middle].unit <= unit)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? code->ranges[low - 1].line : 0;
}

bool session_codes_line(struct session_codes *codes, uint64_t number, uint32_t unit, uint32_t *line)
{
	if (number == 0 || number >= WIRE_CODES_MAX)
		return false;
	const struct code *code = find(codes, (uint32_t)number);
	if (code == NULL)
		code = fetch(codes, (uint32_t)number);
	if (code == NULL || code->facts.name == NULL)
		return false;
	*line = line_at(code, unit);
	return true;
}

struct session_code session_codes_get(const struct session_codes *codes, uint32_t number)
{
	return find(codes, number)->facts;
}

size_t session_codes_bytes(const struct session_codes *codes)
{
	return sizeof *codes + codes->capacity * sizeof *codes->all +
	       hash_index_bytes(&codes->index) + codes->ranges.bytes +
	       string_pool_bytes(codes->strings);
}
