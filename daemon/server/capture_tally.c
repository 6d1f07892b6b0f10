#include "server/capture_tally.h"
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "server/module_map.h"

void capture_tally_deinit(struct capture_tally *tally)
{
	free(tally->items);
	*tally = (struct capture_tally){0};
}

struct capture_tally_item *capture_tally_at(struct capture_tally *tally, uint32_t module)
{
	if (module >= MODULE_MAP_MAX_MODULES)
		return &tally->nowhere;
	if (module >= tally->count) {
		uint32_t count = module + 16;
		tally->items = alloc_resize(tally->items, count, sizeof *tally->items);
		memset(&tally->items[tally->count], 0,
			(count - tally->count) * sizeof *tally->items);
		tally->count = count;
	}
	return &tally->items[module];
}

size_t capture_tally_bytes(const struct capture_tally *tally)
{
	return tally->count * sizeof *tally->items;
}
