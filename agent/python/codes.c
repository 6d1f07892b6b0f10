/*
 * A definition is written into bytes that one addition reserves, then its number's place is published, then the number
 * itself, by a CAS into `defined`: of two threads that define the same code at once one finds the other's number there
 * and its own stays unused, a hole.
 *
 * A fork. The segment is shared with the parent, the counters are not, so what a child would write into it might
 * overwrite what the parent has put there since. A hook that goes on in a child, because it was interrupted by a
 * handler that forked, finds that out after each claim and writes nothing. If it is interrupted after that, parent
 * and child have claimed the same and write the same. A settling child copies what its own counters say was claimed
 * before the fork, places first: a place that is seen leads to bytes that are there.
 */
#include "python/codes.h"
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include "fork_word.h"
#include "private_memory.h"
#include "python/layout.h"
#include "python/unicode.h"
#include "segment.h"

enum {
	NUMBER_BITS = 14,
	NUMBER_MASK = (1 << NUMBER_BITS) - 1,
	WAYS = 8, /* a cache line */
	SETS_LOG2 = 12,
	SEEN_WORDS = WAYS << SETS_LOG2,
	DEFINED_WORDS = 2 * WIRE_CODES_MAX,
	BYTES_MAX = WIRE_CLIENT_MARKS_OFFSET - WIRE_CODES_OFFSET,
};

_Static_assert(WIRE_CODES_MAX - 1 <= NUMBER_MASK, "a word has room for each number");
_Static_assert(SETS_LOG2 <= NUMBER_BITS, "a set is chosen by bits that a word does not hold");

#define K0 UINT64_C(0x9e3779b97f4a7c15)
#define K1 UINT64_C(0xbf58476d1ce4e5b9)
#define K2 UINT64_C(0x94d049bb133111eb)
#define K3 UINT64_C(0xd6e8feb86659fd93)
#define K4 UINT64_C(0xa0761d6478bd642f)
#define K5 UINT64_C(0xe7037ed1a0b428db)
#define K6 UINT64_C(0x8ebc6af09c88c6e3)
#define K7 UINT64_C(0x589965cc75374cc3)
#define K8 UINT64_C(0x1d8e4e27c47d124f)

static _Atomic uint64_t *seen, *defined;     /* NULL until codes_init */
static _Atomic uint32_t numbers, used_bytes; /* claimed so far */

/* A code object's parts. */
struct content {
	struct unicode name, file;
	const char *lines;
	uint64_t line_bytes;
	int32_t first_line;
};

bool codes_init(void)
{
	_Atomic uint64_t *memory =
		private_memory_map((SEEN_WORDS + DEFINED_WORDS) * sizeof(uint64_t));

	if (!memory)
		return false;
	seen = memory;
	defined = memory + SEEN_WORDS;
	return true;
}

static uint8_t *definitions_of(const struct segment *segment)
{
	/* relaxed: see segment.h. */
	return atomic_load_explicit(&segment->definitions, memory_order_relaxed);
}

static uint64_t word_at(const char *at)
{
	uint64_t word;

	memcpy(&word, at, sizeof word);
	return word;
}

static const char *part(const char *code, uint16_t offset)
{
	return (const char *)(uintptr_t)word_at(code + offset);
}

static uint64_t spread(uint64_t hash)
{
	hash ^= hash >> 32;
	hash *= K1;
	return hash ^ hash >> 29;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, uint64_t size)
{
	const char *at = data;

	for (; size >= 8; size -= 8, at += 8)
		hash = spread((hash ^ word_at(at)) * K0);
	uint64_t rest = 0;
	memcpy(&rest, at, size);
	return spread((hash ^ rest) * K2 + size);
}

/* Eight words, as far apart as they can be: of 64 bytes all. */
static uint64_t sketch(const char *data, uint64_t size, bool ends_only)
{
	if (size < 8)
		return hash_bytes(size, data, size);
	uint64_t sum = size * K7 + word_at(data) * K8 + word_at(data + size - 8) * K2;
	uint64_t step = (size - 8) / 7;
	for (unsigned i = 1; !ends_only && i < 7; i++)
		sum += word_at(data + step * i) * (K3 + 2 * i);
	return sum;
}

/* From 3.12 on a code object has a number of its own besides. */
static uint64_t sketch_lines(const struct layout *layout, const char *lines)
{
	uint64_t size = word_at(lines + layout->bytes_size);

	return size <= WIRE_DEFINITIONS_SIZE
		       ? sketch(lines + layout->bytes_data, size, layout->code_version)
		       : 0;
}

/* CPython's own hash of the contents, which names mostly have; else what we see of them. */
static uint64_t hash_of_string(const struct layout *layout, const char *object)
{
	struct unicode text;
	uint64_t hash = word_at(object + layout->string_hash);

	if (__builtin_expect(hash != UINT64_MAX, 1) || !unicode_of(layout, object, &text))
		return hash;
	return sketch((const char *)text.data, text.length * text.kind, false);
}

/* Most frames are of the same file as the one before, or of few. */
static uint64_t hash_of_file(const struct layout *layout, struct codes_last *last, const char *file)
{
	if (file != last->file) {
		last->file = file;
		last->file_hash = hash_of_string(layout, file);
	}
	return last->file_hash;
}

/* Products that do not wait for each other. */
static uint64_t fingerprint(const struct layout *layout, struct codes_last *last, const char *code)
{
	const char *file = part(code, layout->code_file), *name = part(code, layout->code_name);
	const char *lines = part(code, layout->code_lines);
	uint64_t mark = *(const uint32_t *)(code + layout->code_first_line);

	if (layout->code_version)
		mark |= (uint64_t) * (const uint32_t *)(code + layout->code_version) << 32;
	return spread((uintptr_t)code * K0 + (uintptr_t)file * K1 + (uintptr_t)name * K2 +
		      (uintptr_t)lines * K3 + mark * K4 +
		      word_at(name + layout->string_length) * K5 +
		      hash_of_string(layout, name) * K6 + hash_of_file(layout, last, file) * K8 +
		      sketch_lines(layout, lines));
}

/* Over what a definition would hold, and a bit more. */
static uint64_t hash_content(const struct content *content)
{
	const struct unicode *name = &content->name, *file = &content->file;
	uint64_t chars = name->length < WIRE_CODE_NAME_MAX ? name->length : WIRE_CODE_NAME_MAX;
	uint64_t hash = hash_bytes(K3, name->data, chars * name->kind);

	hash = spread((hash ^ name->length) * K4 + name->kind);
	chars = file->length < WIRE_CODE_FILE_MAX ? file->length : WIRE_CODE_FILE_MAX;
	hash = hash_bytes(
		hash, file->data + (file->length - chars) * file->kind, chars * file->kind);
	hash = spread((hash ^ file->length) * K5 + file->kind);
	hash = spread((hash ^ content->line_bytes) * K6 + (uint32_t)content->first_line);
	return hash_bytes(hash, content->lines,
		content->line_bytes < WIRE_CODE_LINES_MAX ? content->line_bytes
							  : WIRE_CODE_LINES_MAX);
}

static void read_content(const struct layout *layout, const char *code, struct content *out)
{
	const char *lines = part(code, layout->code_lines);
	uint64_t size = word_at(lines + layout->bytes_size);

	unicode_of(layout, part(code, layout->code_name), &out->name);
	unicode_of(layout, part(code, layout->code_file), &out->file);
	out->lines = lines + layout->bytes_data;
	out->line_bytes = size <= INT64_MAX ? size : 0;
	out->first_line = (int32_t) * (const uint32_t *)(code + layout->code_first_line);
}

/* Zero is a place that nobody has taken. */
static uint64_t tag_of(uint64_t hash)
{
	return hash >> NUMBER_BITS | 1;
}

static bool has_tag(uint64_t word, uint64_t tag)
{
	return word >> NUMBER_BITS == tag;
}

/* Beside the text: how much of it is kept. */
static uint32_t describe(
	const struct layout *layout, const struct content *content, struct wire_code *out)
{
	uint32_t name_bytes, file_bytes;
	uint64_t lines = content->line_bytes;
	uint64_t name_chars = unicode_head(&content->name, WIRE_CODE_NAME_MAX, &name_bytes);
	uint64_t file_chars = unicode_tail(&content->file, WIRE_CODE_FILE_MAX, &file_bytes);

	*out = (struct wire_code){
		.lines = layout->lines,
		.flags = (uint8_t)((lines > WIRE_CODE_LINES_MAX ? WIRE_CODE_LINES_CUT : 0) |
				   (name_chars < content->name.length ? WIRE_CODE_NAME_CUT : 0) |
				   (file_chars < content->file.length ? WIRE_CODE_FILE_CUT : 0)),
		.first_line = content->first_line,
		.line_bytes = (uint32_t)(lines < WIRE_CODE_LINES_MAX ? lines : WIRE_CODE_LINES_MAX),
		.name_bytes = (uint16_t)name_bytes,
		.file_bytes = (uint16_t)file_bytes,
	};
	out->size = (uint32_t)(sizeof *out + name_bytes + file_bytes + out->line_bytes + 7) & ~7u;
	return out->size;
}

/* The characters that have room are found once more, instead of being carried along on the host's stack. */
static void write_definition(
	const struct content *content, const struct wire_code *head, struct wire_code *out)
{
	const struct unicode *name = &content->name, *file = &content->file;
	uint8_t *text = out->text;
	uint32_t bytes;

	*out = *head;
	unicode_encode(name, 0, unicode_head(name, WIRE_CODE_NAME_MAX, &bytes), text);
	text += head->name_bytes;
	uint64_t tail = unicode_tail(file, WIRE_CODE_FILE_MAX, &bytes);
	unicode_encode(file, file->length - tail, file->length, text);
	memcpy(text + head->file_bytes, content->lines, head->line_bytes);
}

static _Atomic uint64_t *place_of(const struct segment *segment, uint32_t number)
{
	return (_Atomic uint64_t *)(void *)(definitions_of(segment) + WIRE_CODES_INDEX_OFFSET) +
	       number;
}

/* Looked at first, so that a counter that has passed its end stays near it. */
static uint32_t claim(_Atomic uint32_t *counter, uint32_t amount, uint32_t end)
{
	/* relaxed: see the header's table. */
	if (atomic_load_explicit(counter, memory_order_relaxed) >= end)
		return UINT32_MAX;
	uint32_t got = atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
	return got <= end - amount ? got : UINT32_MAX;
}

enum { VOID = UINT32_MAX }; /* a child of a fork may not write here */

/* The number; 0: no room. */
static uint32_t define(const struct layout *layout, struct segment *segment, uint32_t generation,
	const struct content *content)
{
	struct wire_code head;
	uint32_t size = describe(layout, content, &head);
	uint32_t offset = claim(&used_bytes, size, BYTES_MAX);

	if (offset == UINT32_MAX)
		return 0;
	if (!fork_word_is(generation))
		return VOID;
	offset += WIRE_CODES_OFFSET;
	write_definition(
		content, &head, (struct wire_code *)(void *)(definitions_of(segment) + offset));
	uint32_t number = claim(&numbers, 1, WIRE_CODES_MAX - 1);
	if (number == UINT32_MAX)
		return 0;
	if (!fork_word_is(generation))
		return VOID;
	/* [CODE-1] release: the definition before its place; pairs with the acquires in codes_inherit
	 * and in the daemon. */
	atomic_store_explicit(
		place_of(segment, number + 1), WIRE_CODE_PLACE(offset, size), memory_order_release);
	segment_count(segment, &segment->header->counters.codes, 1);
	return number + 1;
}

/* What the content is known by, after defining it if need be. */
static uint32_t number_of_content(const struct layout *layout, struct segment *segment,
	uint32_t generation, const struct content *content)
{
	uint64_t hash = hash_content(content), tag = tag_of(hash);
	uint32_t number = 0;

	for (uint32_t turn = 0; turn < DEFINED_WORDS; turn++) {
		_Atomic uint64_t *place = &defined[(hash + turn) % DEFINED_WORDS];
		/* [CODE-2] acquire: what it means; pairs with the releases below. */
		uint64_t word = atomic_load_explicit(place, memory_order_acquire);

		if (word == 0 && number == 0)
			number = define(layout, segment, generation, content);
		if (word == 0 && (number == 0 || number == VOID))
			return number;
		/* [CODE-2] release: the definition; acquire: that of who came first. */
		if (word == 0 && atomic_compare_exchange_strong_explicit(place, &word,
					 tag << NUMBER_BITS | number, memory_order_acq_rel,
					 memory_order_acquire))
			return number;
		if (has_tag(word, tag))
			return (uint32_t)(word & NUMBER_MASK);
	}
	return 0;
}

/* Where there is room, else in the place of whatever the hash points at. */
static void remember(_Atomic uint64_t *set, uint64_t print, uint32_t number)
{
	unsigned way = 0;

	/* relaxed: whether it is empty; a word that is lost is learned again. */
	while (way < WAYS && atomic_load_explicit(&set[way], memory_order_relaxed) != 0)
		way++;
	if (way == WAYS)
		way = print >> SETS_LOG2 & (WAYS - 1);
	/* [CODE-2] release: the definition; pairs with the acquire in codes_number. */
	atomic_store_explicit(
		&set[way], tag_of(print) << NUMBER_BITS | number, memory_order_release);
}

static __attribute__((noinline)) uint32_t learn(const struct layout *layout,
	struct segment *segment, const char *code, _Atomic uint64_t *set, uint64_t print)
{
	uint32_t generation = fork_word_generation();
	struct content content;

	if (!definitions_of(segment))
		return 0;
	read_content(layout, code, &content);
	uint32_t number = number_of_content(layout, segment, generation, &content);
	if (number == VOID)
		return 0;
	remember(set, print, number);
	return number;
}

static uint32_t find(
	const struct layout *layout, struct segment *segment, uint64_t print, const char *code)
{
	uint64_t tag = tag_of(print);
	_Atomic uint64_t *set = &seen[print % (1 << SETS_LOG2) * WAYS];

	for (unsigned way = 0; way < WAYS; way++) {
		/* [CODE-2] acquire: what it means; pairs with the release in remember. */
		uint64_t word = atomic_load_explicit(&set[way], memory_order_acquire);

		if (has_tag(word, tag))
			return (uint32_t)(word & NUMBER_MASK);
	}
	return learn(layout, segment, code, set, print);
}

uint32_t codes_number(const struct layout *layout, struct segment *segment, struct codes_last *last,
	const char *code)
{
	if (code != last->code || last->number == 0) {
		last->number = find(layout, segment, fingerprint(layout, last, code), code);
		last->code = code;
	}
	return last->number;
}

static uint32_t claimed(_Atomic uint32_t *counter, uint32_t end)
{
	/* relaxed: only this thread of the child claims now. */
	uint32_t count = atomic_load_explicit(counter, memory_order_relaxed);

	return count < end ? count : end;
}

static void forget(void)
{
	memset((void *)seen, 0, (SEEN_WORDS + DEFINED_WORDS) * sizeof *seen);
	/* relaxed: see claimed(). */
	atomic_store_explicit(&numbers, 0, memory_order_relaxed);
	atomic_store_explicit(&used_bytes, 0, memory_order_relaxed);
}

void codes_inherit(struct segment *child, const struct segment *parent)
{
	uint32_t count = claimed(&numbers, WIRE_CODES_MAX - 1), kept = 0;

	if (count == 0)
		return;
	if (!definitions_of(child) || !definitions_of(parent)) {
		forget();
		return;
	}
	for (uint32_t number = 1; number <= count; number++) {
		/* [CODE-1] acquire: the definition; pairs with the release in define. */
		uint64_t place =
			atomic_load_explicit(place_of(parent, number), memory_order_acquire);

		/* relaxed: nobody reads this segment yet. */
		atomic_store_explicit(place_of(child, number), place, memory_order_relaxed);
		kept += place != 0;
	}
	memcpy(definitions_of(child) + WIRE_CODES_OFFSET,
		definitions_of(parent) + WIRE_CODES_OFFSET, claimed(&used_bytes, BYTES_MAX));
	segment_count(child, &child->header->counters.codes, kept);
}
