/*
 * A worker's mappings as texts, separated by 0xff, each an update of the same map; the number of
 * the text is its epoch. Then addresses in and around every line are resolved.
 */
#include "config.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "server/maps_text.h"
#include "server/module_map.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
	if (!condition)
		abort();
}

static void resolve(const struct module_map *map, uint64_t address, uint32_t epoch)
{
	uint32_t module = 0;
	uint64_t offset = 0;
	enum module_map_result r = module_map_resolve(map, address, epoch, &module, &offset);

	check(module == STACK_MODULE_NONE || module < module_map_count(map));
	if (r == MODULE_MAP_UNKNOWN)
		check(module == STACK_MODULE_NONE);
	if (module == STACK_MODULE_NONE)
		check(offset == address);
}

static void resolve_lines(
	const struct module_map *map, const char *text, size_t size, uint32_t epochs)
{
	struct maps_text lines = {text, text + size};
	struct maps_line line;
	char path[PATH_MAX];
	enum maps_text_result r;

	while ((r = maps_text_next(&lines, &line)) != MAPS_TEXT_END) {
		if (r == MAPS_TEXT_MALFORMED)
			continue;
		check(line.start < line.end);
		check(line.path >= text && line.path + line.path_size <= text + size);
		ssize_t length = maps_text_path(&line, path, sizeof(path));
		check(length < 0 || strlen(path) == (size_t)length);
		for (uint32_t epoch = 0; epoch <= epochs; epoch++) {
			resolve(map, line.start - 1, epoch);
			resolve(map, line.start, epoch);
			resolve(map, line.end - 1, epoch);
			resolve(map, line.end, epoch);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *at = (const char *)data, *end = at + size;
	struct module_map_stats stats;
	struct module_map *map;
	uint32_t epoch = 0;

	check(module_map_new(&map) == 0);
	while (at < end) {
		const char *separator = memchr(at, 0xff, (size_t)(end - at));
		size_t length = (size_t)((separator ? separator : end) - at);

		module_map_update(
			map, at, length, epoch % 2 ? MODULE_MAP_WORKER : MODULE_MAP_KERNEL, epoch);
		resolve_lines(map, at, length, epoch);
		at += length + (separator ? 1 : 0);
		epoch++;
	}
	module_map_stats(map, &stats);
	check(stats.updates == epoch);
	for (uint32_t i = 0; i < module_map_count(map); i++) {
		const struct module_info *info = module_map_get(map, i);
		check(info->start < info->end && info->path[0]);
	}
	module_map_free(map);
	return 0;
}
