/*
 * Formats: Linux Standard Base Core 5.0, section 10.6. Every entry is bounded by its own length
 * first, and that by the object, so nothing here needs to know how the parts inside an entry add
 * up.
 */
#include "unwind/eh_frame.h"
#include "unwind/arch.h"

/* Kept out of its caller, whose locals need not share the host's stack with these. */
#define RARE __attribute__((noinline))

enum {
	MAX_ENTRY_BYTES = 1 << 24, /* bounds the work; the largest seen are a few hundred KiB */
	HEADER_VERSION = 1,
};

/* From `at` to the object's end; broken if `at` lies outside. */
static struct cursor cursor_at(const struct cfi_object *object, uintptr_t at)
{
	struct cursor c = {(const uint8_t *)at, (const uint8_t *)object->end};
	if (at < object->start || at > object->end)
		cursor_break(&c);
	return c;
}

/* The body of the CIE or FDE at `at`, behind its length. */
static struct cursor body_at(const struct cfi_object *object, uintptr_t at)
{
	struct cursor c = cursor_at(object, at);
	uint32_t length = cursor_read_u32(&c);
	if (!length || length > MAX_ENTRY_BYTES || length > (uint64_t)(c.end - c.at))
		cursor_break(&c);
	else
		c.end = c.at + length;
	return c;
}

/* An entry of the header's table: the start of the code and its FDE, relative to the header. */
struct table_entry {
	int32_t start, fde;
};

/* Bisects the table: the last entry that does not begin behind pc; without an FDE: there is none. */
static RARE struct table_entry find_in_table(const struct cfi_object *object, uintptr_t pc)
{
	struct table_entry entry = {0, 0};
	uintptr_t header = object->frame_header;
	struct cursor c = cursor_at(object, header);
	uint8_t version = cursor_read_u8(&c), frame_encoding = cursor_read_u8(&c);
	uint8_t count_encoding = cursor_read_u8(&c), table_encoding = cursor_read_u8(&c);
	/* All linkers write this one form; without a table there is no search in bounded time. */
	if (version != HEADER_VERSION ||
		frame_encoding != (CURSOR_ENC_PC_RELATIVE | CURSOR_ENC_S32) ||
		count_encoding != CURSOR_ENC_U32 ||
		table_encoding != (CURSOR_ENC_HEADER_RELATIVE | CURSOR_ENC_S32))
		return entry;
	cursor_read_u32(&c); /* where .eh_frame begins: the table points into it directly */
	uint32_t count = cursor_read_u32(&c);
	const uint8_t *table = cursor_take(&c, (uint64_t)count * sizeof(entry));
	int64_t wanted = (int64_t)(pc - header);
	if (!table || !count)
		return entry;

	int32_t start;
	uint64_t low = 0, high = count; /* the entry lies in [low, high), if it exists */
	while (high - low > 1) {
		uint64_t middle = low + (high - low) / 2;
		__builtin_memcpy(&start, table + middle * sizeof(entry), sizeof(start));
		if (start <= wanted)
			low = middle;
		else
			high = middle;
	}
	__builtin_memcpy(&entry, table + low * sizeof(entry), sizeof(entry));
	return entry.start <= wanted ? entry : (struct table_entry){0, 0};
}

/* One letter of the augmentation; false: unknown, so neither its data nor a later letter's can be
 * found. */
static bool parse_letter(struct eh_frame_entry *entry, struct cursor *data, uint8_t letter)
{
	switch (letter) {
	case 'R':
		entry->pointer_encoding = cursor_read_u8(data);
		return true;
	case 'P': /* the personality routine: only its size matters here */
		cursor_read_format(data, cursor_read_u8(data) & CURSOR_ENC_FORMAT_BITS);
		return true;
	case 'L':
		cursor_read_u8(data);
		return true;
	case 'S':
		entry->is_signal_frame = true;
		return true;
	case 'B': /* aarch64: signs return addresses by the other key; tags its frame's memory */
	case 'G':
		return true;
	}
	return false;
}

/* `letters` is a string. */
static bool parse_augmentation(
	struct eh_frame_entry *entry, const uint8_t *letters, struct cursor *c)
{
	if (!*letters)
		return true;
	if (*letters != 'z')
		return false;
	entry->sized_augmentation = true;
	struct cursor data = cursor_read_block(c);
	do
		letters++;
	while (*letters && parse_letter(entry, &data, *letters));
	return !cursor_is_broken(&data);
}

static RARE bool parse_cie(
	const struct cfi_object *object, uintptr_t at, struct eh_frame_entry *entry)
{
	struct cursor c = body_at(object, at);
	if (cursor_read_u32(&c) != 0) /* an FDE has its distance to the CIE here */
		return false;
	uint8_t version = cursor_read_u8(&c);
	const uint8_t *letters = c.at;
	while (cursor_read_u8(&c))
		;
	if (cursor_is_broken(&c) || (version != 1 && version != 3))
		return false;

	entry->pointer_encoding = CURSOR_ENC_ABSOLUTE;
	entry->sized_augmentation = false;
	entry->is_signal_frame = false;
	entry->code_align = cursor_read_uleb(&c);
	entry->data_align = cursor_read_sleb(&c);
	uint64_t ra_register = version == 1 ? cursor_read_u8(&c) : cursor_read_uleb(&c);
	if (ra_register != ARCH_DWARF_RA || !parse_augmentation(entry, letters, &c))
		return false;
	entry->common_program = c;
	return !cursor_is_broken(&c);
}

static enum cfi_verdict parse_fde(
	const struct cfi_object *object, uintptr_t at, uintptr_t pc, struct eh_frame_entry *entry)
{
	struct cursor c = body_at(object, at);
	uintptr_t here = (uintptr_t)c.at;
	uint32_t cie_distance = cursor_read_u32(&c);
	if (cursor_is_broken(&c) || !cie_distance || cie_distance > here - object->start ||
		!parse_cie(object, here - cie_distance, entry))
		return CFI_UNSUPPORTED;

	entry->code_start = cursor_read_pointer(&c, entry->pointer_encoding);
	uintptr_t size = cursor_read_format(&c, entry->pointer_encoding & CURSOR_ENC_FORMAT_BITS);
	if (cursor_is_broken(&c))
		return CFI_UNSUPPORTED;
	if (pc < entry->code_start || pc - entry->code_start >= size)
		return CFI_NO_INFO;
	if (entry->sized_augmentation)
		cursor_read_block(&c);
	entry->own_program = c;
	return cursor_is_broken(&c) ? CFI_UNSUPPORTED : CFI_STEP;
}

static struct table_entry find(const struct cfi_object *object, uintptr_t pc)
{
	return object->frame_header ? find_in_table(object, pc) : (struct table_entry){0, 0};
}

enum cfi_verdict eh_frame_find(
	const struct cfi_object *object, uintptr_t pc, struct eh_frame_entry *entry)
{
	uintptr_t fde = (uintptr_t)(intptr_t)find(object, pc).fde;
	return fde ? parse_fde(object, object->frame_header + fde, pc, entry) : CFI_NO_INFO;
}

bool eh_frame_begins(const struct cfi_object *object, uintptr_t pc)
{
	struct table_entry found = find(object, pc);
	return found.fde && found.start == (int64_t)(pc - object->frame_header);
}
