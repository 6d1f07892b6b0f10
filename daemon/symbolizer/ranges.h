/*
 * Address ranges that may overlap, each with a value: filled once, sorted, then asked which ranges
 * cover an address. The symbolizer's one search structure (symbols, compile units, functions). Not
 * thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct range {
	uint64_t start, end; /* [start, end) */
	uint64_t reach;	     /* greatest end up to and including this one */
	uint32_t value;
};

struct ranges {
	struct range *items; /* owns */
	uint32_t count;
	uint32_t capacity;
};

#define RANGES_INIT ((struct ranges){0})

void ranges_deinit(struct ranges *ranges);
/* Empty ranges are left out; false once RANGES_MAX are in. */
#define RANGES_MAX (16u << 20)
bool ranges_add(struct ranges *ranges, uint64_t start, uint64_t end, uint32_t value);
/* Between the last add and the first search. */
void ranges_sort(struct ranges *ranges);

struct ranges_cursor {
	uint64_t address;
	uint32_t next;	/* the item to look at, plus one */
	uint32_t steps; /* left */
};

/* The covering ranges, the greatest start first; a bounded number of steps, so that a table made of
 * nothing but nested ranges costs no more than another. */
struct ranges_cursor ranges_seek(const struct ranges *ranges, uint64_t address);
const struct range *ranges_next(const struct ranges *ranges, struct ranges_cursor *at);
