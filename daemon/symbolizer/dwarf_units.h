/*
 * Which compile unit an address belongs to: .debug_aranges where the compiler wrote it, else the
 * ranges that the units themselves give. Addresses are DWARF's (load bias taken off). One thread;
 * borrows the Dwarf.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <elfutils/libdw.h>

struct dwarf_units;

int dwarf_units_new(struct dwarf_units **out, Dwarf *dwarf);
struct dwarf_units *dwarf_units_free(struct dwarf_units *units);
/* Fills in the unit's top entry. */
bool dwarf_units_find(struct dwarf_units *units, uint64_t address, Dwarf_Die *unit);
