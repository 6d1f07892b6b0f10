/*
 * The table of sites, by libsmartcols: ASCII, no borders, numbers never cut. A row is one line if
 * the chain "function <- caller <- caller" fits; else the chain goes on in the next line of its
 * cell. WHERE is the place of the outermost function of the chain, the most telling one; with whole
 * stacks each frame has a line and a place of its own.
 */
#pragma once
#include <stdint.h>

struct buffer;
struct estimate_sum;
struct export_options;
struct text_sites;

/* 0 or negative errno. The `count` first sites; shares are of `total`. Appends to `out`. Any
 * thread. */
int text_table_print(struct buffer *out, const struct text_sites *sites, uint32_t count,
	const struct estimate_sum *total, const struct export_options *options);
