/*
 * clang writes no .debug_aranges unless asked, gcc always does, and a program may hold units of
 * both: so an address that the aranges do not know is looked for in an index of the units' own
 * ranges, which is made when it is first needed, because it touches every unit.
 */
#include "symbolizer/dwarf_units.h"
#include <stdlib.h>
#include <dwarf.h>
#include "base/alloc.h"
#include "symbolizer/ranges.h"

struct dwarf_units {
	Dwarf *dwarf;		/* borrows */
	Dwarf_Aranges *aranges; /* the Dwarf's; NULL: none */
	bool indexed;
	struct ranges ranges; /* to positions in offsets */
	Dwarf_Off *offsets;   /* owns; of the units' top entries */
	uint32_t count;
	uint32_t capacity;
};

int dwarf_units_new(struct dwarf_units **out, Dwarf *dwarf)
{
	struct dwarf_units *units = alloc_zeroed(1, sizeof(*units));
	size_t count;
	units->dwarf = dwarf;
	if (dwarf_getaranges(dwarf, &units->aranges, &count) != 0)
		units->aranges = NULL;
	*out = units;
	return 0;
}

struct dwarf_units *dwarf_units_free(struct dwarf_units *units)
{
	if (!units)
		return NULL;
	ranges_deinit(&units->ranges);
	free(units->offsets);
	free(units);
	return NULL;
}

static void index_unit(struct dwarf_units *units, Dwarf_Die *unit)
{
	Dwarf_Addr base, start, end;
	ptrdiff_t at = 0;
	ALLOC_GROW(units->offsets, units->capacity, units->count);
	while ((at = dwarf_ranges(unit, at, &base, &start, &end)) > 0)
		if (!ranges_add(&units->ranges, start, end, units->count))
			break;
	units->offsets[units->count++] = dwarf_dieoffset(unit);
}

static void index_all(struct dwarf_units *units)
{
	Dwarf_CU *cu = NULL;
	Dwarf_Die unit;
	uint8_t type;
	while (units->ranges.count < RANGES_MAX && units->count < UINT32_MAX / 2 &&
		dwarf_get_units(units->dwarf, cu, &cu, NULL, &type, &unit, NULL) == 0)
		if (type == DW_UT_compile || type == DW_UT_skeleton)
			index_unit(units, &unit);
	ranges_sort(&units->ranges);
	units->indexed = true;
}

static bool find_by_aranges(struct dwarf_units *units, uint64_t address, Dwarf_Die *unit)
{
	Dwarf_Off offset;
	Dwarf_Arange *range = units->aranges ? dwarf_getarange_addr(units->aranges, address) : NULL;
	return range && dwarf_getarangeinfo(range, NULL, NULL, &offset) == 0 &&
	       dwarf_offdie(units->dwarf, offset, unit);
}

bool dwarf_units_find(struct dwarf_units *units, uint64_t address, Dwarf_Die *unit)
{
	if (find_by_aranges(units, address, unit))
		return true;
	if (!units->indexed)
		index_all(units);
	struct ranges_cursor at = ranges_seek(&units->ranges, address);
	const struct range *range = ranges_next(&units->ranges, &at);
	return range && dwarf_offdie(units->dwarf, units->offsets[range->value], unit);
}
