/*
 * Invariant: bytes < FULL before each add and an answer takes at most ANSWER_BYTES, so a reply
 * stays under REPLY_BYTES.
 */
#include "symbolizer/answer_set.h"
#include <string.h>
#include "symbolizer/demangle.h"

#define FUNCTION_BYTES SPPROF__V1__SYMBOLIZER_BOUND__FUNCTION_NAME_BYTES
#define FILE_BYTES     SPPROF__V1__SYMBOLIZER_BOUND__FILE_NAME_BYTES
#define MAX_LINES      SPPROF__V1__SYMBOLIZER_BOUND__LINES
#define FULL_BYTES     (24u << 10)
#define ANSWER_BYTES   (32u << 10)
#define FRAMING_BYTES  32 /* tags, lengths and numbers around the names of a line, or an answer */

_Static_assert(FULL_BYTES + ANSWER_BYTES < SPPROF__V1__SYMBOLIZER_BOUND__REPLY_BYTES,
	"a reply holds a set that was nearly full and one more answer");
_Static_assert(2 * (2 * FUNCTION_BYTES + FILE_BYTES + FRAMING_BYTES) < ANSWER_BYTES,
	"the innermost and the outermost line always fit");

void answer_set_deinit(struct answer_set *set)
{
	arena_deinit(&set->arena);
}

void answer_set_clear(struct answer_set *set)
{
	arena_deinit(&set->arena);
	set->count = set->bytes = 0;
}

bool answer_set_is_full(const struct answer_set *set)
{
	return set->bytes >= FULL_BYTES || set->count == sizeof(set->list) / sizeof(set->list[0]);
}

static ProtobufCBinaryData copy(struct answer_set *set, const char *bytes, size_t size)
{
	ProtobufCBinaryData data = {.len = size};
	if (size) {
		data.data = arena_take(&set->arena, size);
		memcpy(data.data, bytes, size);
	}
	return data;
}

static void set_function(
	struct answer_set *set, Spprof__V1__SymbolizerLine *out, const char *symbol)
{
	char readable[FUNCTION_BYTES + 1];
	size_t size = demangle_name(symbol, readable, sizeof(readable));
	out->function = copy(set, readable, size);
	size_t plain_size = strcspn(symbol, "@");
	if (plain_size > FUNCTION_BYTES)
		plain_size = FUNCTION_BYTES;
	if (plain_size != size || memcmp(symbol, readable, size) != 0)
		out->function_system = copy(set, symbol, plain_size);
}

static void set_file(struct answer_set *set, Spprof__V1__SymbolizerLine *out, const char *file)
{
	size_t size = strlen(file), cut = size > FILE_BYTES ? size - FILE_BYTES : 0;
	out->file = copy(set, file + cut, size - cut);
}

static Spprof__V1__SymbolizerLine *make_line(struct answer_set *set, const struct dwarf_line *line)
{
	Spprof__V1__SymbolizerLine *out = arena_take(&set->arena, sizeof(*out));
	spprof__v1__symbolizer_line__init(out);
	set_function(set, out, line->function);
	set_file(set, out, line->file);
	out->line = line->line;
	return out;
}

static size_t packed_bytes(const Spprof__V1__SymbolizerLine *line)
{
	return line->function.len + line->function_system.len + line->file.len + FRAMING_BYTES;
}

void answer_set_add(
	struct answer_set *set, uint64_t offset, const struct dwarf_line *lines, size_t count)
{
	const size_t line_bytes = 2 * FUNCTION_BYTES + FILE_BYTES + FRAMING_BYTES;
	Spprof__V1__SymbolizerAnswer *answer = arena_take(&set->arena, sizeof(*answer));
	spprof__v1__symbolizer_answer__init(answer);
	answer->offset = offset;
	answer->lines = arena_take(&set->arena, MAX_LINES * sizeof(answer->lines[0]));
	size_t bytes = FRAMING_BYTES;
	for (size_t i = 0; i < count; i++) {
		bool is_outermost = i == count - 1;
		bool leaves_room =
			answer->n_lines < MAX_LINES - 1 && bytes + 2 * line_bytes <= ANSWER_BYTES;
		if (!is_outermost && !leaves_room)
			continue;
		Spprof__V1__SymbolizerLine *line = make_line(set, &lines[i]);
		bytes += packed_bytes(line);
		answer->lines[answer->n_lines++] = line;
	}
	set->bytes += bytes;
	set->list[set->count++] = answer;
}
