/* Frame numbers of one location are consecutive, innermost first, as its lines are. */
#include "config.h" /* first: memrchr */
#include "export/frames.h"
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "model/snapshot.h"

void frames_init(struct frames *frames, const struct snapshot *snapshot)
{
	*frames = (struct frames){.snapshot = snapshot};
	frames->first = alloc_zeroed(snapshot->location_count, sizeof(*frames->first));
	for (uint32_t i = 0; i < snapshot->location_count; i++) {
		frames->first[i] = frames->count;
		frames->count += snapshot->locations[i].line_count;
	}
	frames->all = alloc_zeroed(frames->count, sizeof(*frames->all));
	for (uint32_t i = 0; i < snapshot->location_count; i++) {
		const struct snapshot_location *location = &snapshot->locations[i];
		for (uint32_t k = 0; k < location->line_count; k++)
			frames->all[frames->first[i] + k] =
				(struct frame){.line = &location->lines[k],
					.location = location,
					.inlined = k + 1 < location->line_count};
	}
}

void frames_deinit(struct frames *frames)
{
	free(frames->all);
	free(frames->first);
	free(frames->row);
	*frames = (struct frames){0};
}

uint32_t frames_expand(struct frames *frames, const struct snapshot_site *site)
{
	const struct snapshot_location *locations = frames->snapshot->locations;
	uint32_t needed = 0, count = 0;
	for (uint32_t i = 0; i < site->depth; i++)
		needed += locations[site->locations[i]].line_count;
	if (needed > frames->row_capacity) {
		frames->row = alloc_resize(frames->row, needed, sizeof(*frames->row));
		frames->row_capacity = needed;
	}
	for (uint32_t i = 0; i < site->depth; i++) {
		uint32_t location = site->locations[i];
		for (uint32_t k = 0; k < locations[location].line_count; k++)
			frames->row[count++] = frames->first[location] + k;
	}
	return count;
}

const char *frames_short_file(const char *file)
{
	const char *slash = strrchr(file, '/');
	if (slash == NULL || slash[1] == '\0')
		return file;
	if (strcmp(slash, "/__init__.py") != 0 && strcmp(slash, "/__main__.py") != 0)
		return slash + 1;
	const char *package = memrchr(file, '/', (size_t)(slash - file));
	return package != NULL ? package + 1 : file;
}

const struct snapshot_module *frames_module(const struct frames *frames, const struct frame *frame)
{
	uint32_t module = frame->location->module;
	return module < frames->snapshot->module_count ? &frames->snapshot->modules[module] : NULL;
}
