/*
 * Line tables and what CPython makes of them, as tests/support/dump_lines.py writes them, compared instruction by
 * instruction with what line_table makes of them.
 */
#pragma once
#include <stdint.h>
#include <stdio.h>

struct line_samples {
	uint64_t codes, units, wrong; /* the latter of units */
	char first_wrong[256];	      /* for a person */
};

/* Reads to the end. Lines that begin with '#' are comments; any other that is malformed counts as wrong. */
void line_samples_compare(FILE *file, struct line_samples *out);
