/*
 * The entries of a unit form a tree, linked by offsets in the file. Loops over siblings go on only
 * while offsets increase, and depth and number of entries are bounded, so no file can make a walk
 * endless.
 */
#include "symbolizer/dwarf_functions.h"
#include <stdlib.h>
#include <dwarf.h>
#include "base/alloc.h"
#include "symbolizer/ranges.h"

#define MAX_DEPTH   32
#define MAX_ENTRIES (16u << 20) /* looked at for one unit's index */

struct dwarf_functions {
	struct ranges ranges; /* to positions in offsets */
	Dwarf_Off *offsets;   /* owns */
	uint32_t count;
	uint32_t capacity;
	uint32_t entries_left;
};

/* Moves to the next sibling; false at the end, on errors and where the file points backwards. */
static bool next_sibling(Dwarf_Die *die)
{
	Dwarf_Off before = dwarf_dieoffset(die);
	return dwarf_siblingof(die, die) == 0 && dwarf_dieoffset(die) > before;
}

static void add_function(struct dwarf_functions *functions, Dwarf_Die *die)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;
	uint32_t ranges_before = functions->ranges.count;
	while ((at = dwarf_ranges(die, at, &base, &start, &end)) > 0)
		if (!ranges_add(&functions->ranges, start, end, functions->count))
			break;
	if (functions->ranges.count == ranges_before)
		return;
	ALLOC_GROW(functions->offsets, functions->capacity, functions->count);
	functions->offsets[functions->count++] = dwarf_dieoffset(die);
}

static bool has_code(Dwarf_Die *die)
{
	return dwarf_hasattr(die, DW_AT_low_pc) || dwarf_hasattr(die, DW_AT_ranges);
}

/* Functions stand in namespaces and modules and, in languages that nest them, directly in
 * functions. */
static void collect(struct dwarf_functions *functions, Dwarf_Die *parent, unsigned depth)
{
	Dwarf_Die die;
	if (depth == MAX_DEPTH || dwarf_child(parent, &die) != 0)
		return;
	do {
		if (functions->entries_left == 0)
			return;
		functions->entries_left--;
		switch (dwarf_tag(&die)) {
		case DW_TAG_subprogram:
			if (!has_code(&die))
				break;
			add_function(functions, &die);
			collect(functions, &die, depth + 1);
			break;
		case DW_TAG_namespace:
		case DW_TAG_module:
			collect(functions, &die, depth + 1);
			break;
		default:
			break;
		}
	} while (next_sibling(&die));
}

int dwarf_functions_new(struct dwarf_functions **out, Dwarf_Die *unit)
{
	struct dwarf_functions *functions = alloc_zeroed(1, sizeof(*functions));
	functions->entries_left = MAX_ENTRIES;
	collect(functions, unit, 0);
	ranges_sort(&functions->ranges);
	*out = functions;
	return 0;
}

struct dwarf_functions *dwarf_functions_free(struct dwarf_functions *functions)
{
	if (!functions)
		return NULL;
	ranges_deinit(&functions->ranges);
	free(functions->offsets);
	free(functions);
	return NULL;
}

static bool is_scope(int tag)
{
	return tag == DW_TAG_inlined_subroutine || tag == DW_TAG_lexical_block ||
	       tag == DW_TAG_try_block || tag == DW_TAG_catch_block;
}

/* The child of `parent` that covers the address and can hold inlined calls. */
static bool scope_at(Dwarf_Die *parent, uint64_t address, Dwarf_Die *child)
{
	if (dwarf_child(parent, child) != 0)
		return false;
	do {
		if (is_scope(dwarf_tag(child)) && dwarf_haspc(child, address) > 0)
			return true;
	} while (next_sibling(child));
	return false;
}

size_t dwarf_functions_find(const struct dwarf_functions *functions, Dwarf *dwarf, uint64_t address,
	Dwarf_Die *chain, size_t room)
{
	struct ranges_cursor at = ranges_seek(&functions->ranges, address);
	const struct range *range = ranges_next(&functions->ranges, &at);
	if (!room || !range || !dwarf_offdie(dwarf, functions->offsets[range->value], &chain[0]))
		return 0;
	size_t count = 1;
	Dwarf_Die parent = chain[0], child;
	for (unsigned depth = 0; depth < 4 * MAX_DEPTH && count < room; depth++) {
		if (!scope_at(&parent, address, &child))
			break;
		if (dwarf_tag(&child) == DW_TAG_inlined_subroutine)
			chain[count++] = child;
		parent = child;
	}
	return count;
}
