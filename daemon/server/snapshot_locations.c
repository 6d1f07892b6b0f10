#include "server/snapshot_locations.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/string_pool.h"
#include "model/snapshot.h"
#include "model/stack_table.h"

#define UNUSED UINT32_MAX

void snapshot_locations_init(
	struct snapshot_locations *locations, struct snapshot *snapshot, uint32_t known_modules)
{
	*locations = (struct snapshot_locations){.snapshot = snapshot};
	locations->module_numbers = alloc_zeroed(known_modules, sizeof *locations->module_numbers);
	for (uint32_t i = 0; i < known_modules; i++)
		locations->module_numbers[i] = UNUSED;
}

void snapshot_locations_deinit(struct snapshot_locations *locations)
{
	hash_index_deinit(&locations->index);
	free(locations->keys);
	free(locations->modules);
	free(locations->module_numbers);
}

static uint32_t add_module(
	struct snapshot_locations *locations, const struct module_map *map, uint32_t index)
{
	if (index >= module_map_count(map))
		return UINT32_MAX;
	if (locations->module_numbers[index] != UNUSED)
		return locations->module_numbers[index];
	struct snapshot_locations_module module = {
		.info = *module_map_get(map, index), .index = index};
	const char *path = module.info.path;
	module.info.path = string_pool_add(locations->snapshot->strings, path, strlen(path));
	ALLOC_GROW(locations->modules, locations->modules_room, locations->module_count);
	locations->modules[locations->module_count] = module;
	return locations->module_numbers[index] = locations->module_count++;
}

static uint32_t make(struct snapshot_locations *locations, const struct module_map *map,
	const struct stack_frame *frame)
{
	struct snapshot *snapshot = locations->snapshot;
	uint32_t index = snapshot->location_count++;
	ALLOC_GROW(snapshot->locations, locations->locations_room, index);
	snapshot->locations[index] = (struct snapshot_location){
		.address = frame->pc > 0 ? frame->pc - 1 : 0,
		.module = frame->module == STACK_MODULE_NONE
				  ? UINT32_MAX
				  : add_module(locations, map, frame->module),
		.python = frame->module == STACK_MODULE_PYTHON,
	};
	return index;
}

uint32_t snapshot_locations_add(struct snapshot_locations *locations, const struct module_map *map,
	const struct stack_frame *frame)
{
	struct snapshot_location_key key = {.offset = frame->offset, .module = frame->module};
	uint32_t hash = hash_index_hash(&key, sizeof key), known;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&locations->index, &at, &known))
		if (memcmp(&locations->keys[known], &key, sizeof key) == 0)
			return known;
	uint32_t index = make(locations, map, frame);
	ALLOC_GROW(locations->keys, locations->keys_room, index);
	locations->keys[index] = key;
	hash_index_insert(&locations->index, hash, index);
	return index;
}

uint32_t snapshot_locations_file(const struct snapshot_locations *locations, uint32_t location)
{
	uint32_t module = locations->snapshot->locations[location].module;
	return module == UINT32_MAX ? 0 : locations->modules[module].file;
}

struct symbol_query *snapshot_locations_queries(
	const struct snapshot_locations *locations, size_t *count)
{
	uint32_t all = locations->snapshot->location_count;
	*count = 0;
	if (all == 0)
		return NULL;
	struct symbol_query *queries = alloc_zeroed(all, sizeof *queries);
	for (uint32_t i = 0; i < all; i++) {
		uint32_t file = snapshot_locations_file(locations, i);
		if (file != 0)
			queries[(*count)++] =
				(struct symbol_query){file, locations->keys[i].offset};
	}
	return queries;
}
