/*
 * Address to functions, files and lines by DWARF, inlined calls included. One thread. Borrows the
 * Dwarf, whose strings it hands out.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <elfutils/libdw.h>

struct dwarf_lines;

struct dwarf_line { /* strings are never NULL; "" if unknown */
	const char *function;
	bool is_mangled; /* function is as in the symbol table (mangled), not as in the source
			  */
	const char *file;
	uint32_t line; /* 0 if unknown */
};

int dwarf_lines_new(struct dwarf_lines **out, Dwarf *dwarf);
struct dwarf_lines *dwarf_lines_free(struct dwarf_lines *lines);
/*
 * Innermost inlined call first, the function itself last; returns how many, at most `room`, 0 if no
 * unit covers the address. Deeper inlining than `room` is cut at the innermost end.
 */
size_t dwarf_lines_find(
	struct dwarf_lines *lines, uint64_t address, struct dwarf_line *out, size_t room);
