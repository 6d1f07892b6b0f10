/*
 * CPython's tables from instructions to lines, of the three forms that there have been (spprof/wire/definitions.h):
 * any bytes, decoded as PyCode_Addr2Line does for whole tables. Pure; any thread; fuzzed. Each step takes at least
 * one byte, so a table of n bytes has at most n + 1 ranges.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINE_TABLE_NONE 0u /* a range without a line */

struct line_table {
	const uint8_t *at, *end; /* borrows */
	uint8_t form;		 /* enum wire_code_lines */
	bool cut;		 /* the table was longer */
	bool ended;
	int64_t line;	/* computed so far */
	uint64_t bytes; /* of code, likewise */
};

struct line_range {
	uint32_t unit; /* from this code unit of two bytes on, until the next range begins */
	uint32_t line; /* or LINE_TABLE_NONE */
};

/* An unknown form has no lines. `cut`: what lies behind the last entry has none either. */
void line_table_init(struct line_table *table, uint8_t form, bool cut, int32_t first_line,
	const uint8_t *bytes, size_t size);
/* The next range, in the order of units, where each begins at or behind the one before (and takes its place if it
 * begins there, too). The last one has no end. False: there is none. */
bool line_table_next(struct line_table *table, struct line_range *out);
