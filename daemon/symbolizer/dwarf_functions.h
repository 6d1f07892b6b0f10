/*
 * The functions of one compile unit by address, and the calls inlined into them. One thread;
 * borrows the Dwarf. Entries are found in one pass over the unit's top level, so that thousands of
 * addresses in one unit do not cost thousands of passes.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <elfutils/libdw.h>

struct dwarf_functions;

int dwarf_functions_new(struct dwarf_functions **out, Dwarf_Die *unit);
struct dwarf_functions *dwarf_functions_free(struct dwarf_functions *functions);
/* The chain of entries that cover the address: the function, then what is inlined at the address,
 * outermost first. Returns how many, at most `room`; what is deeper is left out. */
size_t dwarf_functions_find(const struct dwarf_functions *functions, Dwarf *dwarf, uint64_t address,
	Dwarf_Die *chain, size_t room);
