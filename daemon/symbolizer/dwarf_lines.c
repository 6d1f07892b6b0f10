/*
 * The line table gives the place of the innermost call; each inlined call says where it was called
 * from, which is the place in the function around it. So places move one step outwards against
 * names.
 */
#include "symbolizer/dwarf_lines.h"
#include <stdlib.h>
#include <dwarf.h>
#include "base/alloc.h"
#include "base/hash_index.h"
#include "symbolizer/dwarf_functions.h"
#include "symbolizer/dwarf_units.h"

#define MAX_CHAIN 64

struct unit {
	Dwarf_Off offset;
	struct dwarf_functions *functions; /* owns */
};

struct dwarf_lines {
	Dwarf *dwarf; /* borrows */
	struct dwarf_units *units;
	struct unit *cache; /* owns; units that were asked about */
	uint32_t cached;
	uint32_t capacity;
	struct hash_index by_offset;
};

int dwarf_lines_new(struct dwarf_lines **out, Dwarf *dwarf)
{
	struct dwarf_lines *lines = alloc_zeroed(1, sizeof(*lines));
	lines->dwarf = dwarf;
	int r = dwarf_units_new(&lines->units, dwarf);
	if (r < 0) {
		dwarf_lines_free(lines);
		return r;
	}
	*out = lines;
	return 0;
}

struct dwarf_lines *dwarf_lines_free(struct dwarf_lines *lines)
{
	if (!lines)
		return NULL;
	for (uint32_t i = 0; i < lines->cached; i++)
		dwarf_functions_free(lines->cache[i].functions);
	free(lines->cache);
	hash_index_deinit(&lines->by_offset);
	dwarf_units_free(lines->units);
	free(lines);
	return NULL;
}

static struct dwarf_functions *functions_of(struct dwarf_lines *lines, Dwarf_Die *unit)
{
	Dwarf_Off offset = dwarf_dieoffset(unit);
	uint32_t hash = hash_index_hash(&offset, sizeof(offset)), position;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&lines->by_offset, &at, &position))
		if (lines->cache[position].offset == offset)
			return lines->cache[position].functions;
	struct unit added = {.offset = offset};
	if (dwarf_functions_new(&added.functions, unit) < 0)
		return NULL;
	ALLOC_GROW(lines->cache, lines->capacity, lines->cached);
	hash_index_insert(&lines->by_offset, hash, lines->cached);
	lines->cache[lines->cached++] = added;
	return added.functions;
}

static const char *text(const char *s)
{
	return s ? s : "";
}

/* An inlined call has its name at the function it is a copy of; libdw follows that chain a bounded
 * way. */
static const char *string_attribute(Dwarf_Die *die, unsigned name)
{
	Dwarf_Attribute attribute;
	return dwarf_formstring(dwarf_attr_integrate(die, name, &attribute));
}

/* C functions have linkage names too where the source renames them by asm labels (glibc's
 * __GI_...): nobody's name for anything. */
static bool is_mangled(const char *name)
{
	return name && name[0] == '_' && (name[1] == 'Z' || name[1] == 'R');
}

static void set_name(struct dwarf_line *line, Dwarf_Die *die)
{
	const char *linkage = string_attribute(die, DW_AT_linkage_name);
	if (!linkage)
		linkage = string_attribute(die, DW_AT_MIPS_linkage_name);
	line->is_mangled = is_mangled(linkage);
	line->function = text(line->is_mangled ? linkage : string_attribute(die, DW_AT_name));
}

static void set_place(struct dwarf_line *line, Dwarf_Die *unit, uint64_t address)
{
	int number = 0;
	Dwarf_Line *found = dwarf_getsrc_die(unit, address);
	if (!found)
		return;
	line->file = text(dwarf_linesrc(found, NULL, NULL));
	if (dwarf_lineno(found, &number) == 0 && number > 0)
		line->line = (uint32_t)number;
}

static void set_call_place(struct dwarf_line *line, Dwarf_Die *unit, Dwarf_Die *call)
{
	Dwarf_Attribute attribute;
	Dwarf_Word value;
	Dwarf_Files *files;
	size_t count;
	if (dwarf_formudata(dwarf_attr(call, DW_AT_call_file, &attribute), &value) == 0 &&
		dwarf_getsrcfiles(unit, &files, &count) == 0 && value < count)
		line->file = text(dwarf_filesrc(files, value, NULL, NULL));
	if (dwarf_formudata(dwarf_attr(call, DW_AT_call_line, &attribute), &value) == 0 &&
		value <= UINT32_MAX)
		line->line = (uint32_t)value;
}

size_t dwarf_lines_find(
	struct dwarf_lines *lines, uint64_t address, struct dwarf_line *out, size_t room)
{
	Dwarf_Die unit, chain[MAX_CHAIN]; /* outermost first */
	if (!room || !dwarf_units_find(lines->units, address, &unit))
		return 0;
	struct dwarf_functions *functions = functions_of(lines, &unit);
	size_t count = functions ? dwarf_functions_find(functions, lines->dwarf, address, chain,
					   room < MAX_CHAIN ? room : MAX_CHAIN)
				 : 0;
	if (count == 0) { /* a line without a function: assembly */
		out[0] = (struct dwarf_line){.function = "", .file = ""};
		set_place(&out[0], &unit, address);
		return 1;
	}
	for (size_t i = 0; i < count; i++) {
		struct dwarf_line *line = &out[i];
		*line = (struct dwarf_line){.function = "", .file = ""};
		set_name(line, &chain[count - 1 - i]);
		if (i == 0)
			set_place(line, &unit, address);
		else
			set_call_place(line, &unit, &chain[count - i]);
	}
	return count;
}
