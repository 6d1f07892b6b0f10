/*
 * Sorted by start; `reach` tells a search going backwards when nothing before can cover the address
 * any more, so that disjoint ranges cost one step.
 */
#include "symbolizer/ranges.h"
#include <stdlib.h>
#include "base/alloc.h"

#define MAX_STEPS 256

void ranges_deinit(struct ranges *ranges)
{
	free(ranges->items);
	*ranges = RANGES_INIT;
}

bool ranges_add(struct ranges *ranges, uint64_t start, uint64_t end, uint32_t value)
{
	if (start >= end)
		return true;
	if (ranges->count == RANGES_MAX)
		return false;
	ALLOC_GROW(ranges->items, ranges->capacity, ranges->count);
	ranges->items[ranges->count++] = (struct range){start, end, 0, value};
	return true;
}

static int compare(const void *left, const void *right)
{
	const struct range *a = left, *b = right;
	if (a->start != b->start)
		return a->start < b->start ? -1 : 1;
	if (a->end != b->end)
		return a->end > b->end ? -1
				       : 1; /* the narrower one is met first, going backwards */
	return a->value > b->value ? -1 : a->value < b->value; /* and the one added first */
}

void ranges_sort(struct ranges *ranges)
{
	if (ranges->count)
		qsort(ranges->items, ranges->count, sizeof(ranges->items[0]), compare);
	uint64_t reach = 0;
	for (uint32_t i = 0; i < ranges->count; i++) {
		if (ranges->items[i].end > reach)
			reach = ranges->items[i].end;
		ranges->items[i].reach = reach;
	}
}

struct ranges_cursor ranges_seek(const struct ranges *ranges, uint64_t address)
{
	uint32_t low = 0, high = ranges->count; /* the first item that starts after the address */
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (ranges->items[middle].start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return (struct ranges_cursor){.address = address, .next = low, .steps = MAX_STEPS};
}

const struct range *ranges_next(const struct ranges *ranges, struct ranges_cursor *at)
{
	while (at->next > 0 && at->steps > 0) {
		const struct range *item = &ranges->items[at->next - 1];
		if (item->reach <= at->address)
			break;
		at->next--;
		at->steps--;
		if (item->end > at->address)
			return item;
	}
	return NULL;
}
