/*
 * Two sorted arrays of disjoint ranges answer every question: what is mapped now, and for each
 * address what was mapped there last before. Older layers are forgotten: a record is drained some
 * milliseconds after it was written, so it can be behind by one change of a library, not by two.
 * Modules are never forgotten, since stacks name them.
 *
 * Which of the two layers a record means is told by its count of dlcloses: a range was certainly
 * there from first_epoch to last_epoch, the counts known when a text first and last named it.
 */
#include "config.h"
#include "server/module_map.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/hash_index.h"
#include "server/maps_text.h"

struct range {
	uint64_t start, end, file_offset;
	uint32_t module; /* or STACK_MODULE_NONE */
	uint32_t first_epoch, last_epoch;
};

struct ranges {
	struct range *items; /* owns; sorted, disjoint */
	uint32_t count, capacity;
};

struct module {
	struct module_info info;
	uint64_t seen; /* the last update that named it */
};

struct module_map {
	struct module *modules; /* owns */
	uint32_t module_count, module_capacity;
	struct hash_index index; /* of modules */
	struct arena paths;
	struct ranges mapped, former;
	uint32_t epoch; /* of the last update */
	struct module_map_stats stats;
};

int module_map_new(struct module_map **out)
{
	*out = alloc_zeroed(1, sizeof(**out));
	return 0;
}

struct module_map *module_map_free(struct module_map *map)
{
	if (map) {
		hash_index_deinit(&map->index);
		arena_deinit(&map->paths);
		free(map->modules);
		free(map->mapped.items);
		free(map->former.items);
		free(map);
	}
	return NULL;
}

static void append(struct ranges *ranges, const struct range *range)
{
	ALLOC_GROW(ranges->items, ranges->capacity, ranges->count);
	ranges->items[ranges->count++] = *range;
}

static const struct range *find(const struct ranges *ranges, uint64_t address)
{
	uint32_t low = 0, high = ranges->count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (ranges->items[middle].end <= address)
			low = middle + 1;
		else
			high = middle;
	}
	return low < ranges->count && ranges->items[low].start <= address ? &ranges->items[low]
									  : NULL;
}

/* Modules */

static uint32_t module_hash(dev_t device, ino_t inode, const char *path, size_t path_size)
{
	uint64_t key[3] = {device, inode, hash_index_hash(path, path_size)};

	return hash_index_hash(key, sizeof(key));
}

static uint32_t add_module(struct module_map *map, uint32_t hash, const struct maps_line *line,
	const char *path, size_t path_size)
{
	if (map->module_count == MODULE_MAP_MAX_MODULES ||
		arena_bytes_after(&map->paths, path_size + 1) > MODULE_MAP_MAX_PATH_BYTES) {
		map->stats.dropped++;
		return STACK_MODULE_NONE;
	}
	ALLOC_GROW(map->modules, map->module_capacity, map->module_count);
	char *copy = arena_take(&map->paths, path_size + 1);
	memcpy(copy, path, path_size + 1);
	map->modules[map->module_count] = (struct module){
		.info = {.path = copy, .device = line->device, .inode = line->inode},
	};
	hash_index_insert(&map->index, hash, map->module_count);
	return map->module_count++;
}

static uint32_t find_module(
	struct module_map *map, const struct maps_line *line, const char *path, size_t path_size)
{
	uint32_t hash = module_hash(line->device, line->inode, path, path_size), found;
	struct hash_cursor at = hash_index_seek(hash);

	while (hash_index_next(&map->index, &at, &found)) {
		const struct module_info *info = &map->modules[found].info;

		if (info->device == line->device && info->inode == line->inode &&
			strcmp(info->path, path) == 0)
			return found;
	}
	return add_module(map, hash, line, path, path_size);
}

static bool cut_suffix(char *path, size_t *size, const char *suffix)
{
	size_t suffix_size = strlen(suffix);

	if (*size <= suffix_size || strcmp(path + *size - suffix_size, suffix) != 0)
		return false;
	*size -= suffix_size;
	path[*size] = '\0';
	return true;
}

/* Files and the vdso are modules; "[heap]", "[anon:…]", "anon_inode:…" and nameless memory are
 * none. */
static uint32_t module_of(
	struct module_map *map, const struct maps_line *line, enum module_map_source source)
{
	char path[PATH_MAX];
	ssize_t length = maps_text_path(line, path, sizeof(path));

	if (length < 0) {
		map->stats.dropped++;
		return STACK_MODULE_NONE;
	}
	if (path[0] != '/' && strcmp(path, "[vdso]") != 0)
		return STACK_MODULE_NONE;

	size_t size = (size_t)length;
	bool deleted = cut_suffix(path, &size, " (deleted)");
	uint32_t index = find_module(map, line, path, size);
	if (index == STACK_MODULE_NONE)
		return index;
	struct module *module = &map->modules[index];
	module->info.deleted = deleted;
	module->info.from_kernel |= source == MODULE_MAP_KERNEL;
	if (module->seen != map->stats.updates) {
		module->seen = map->stats.updates;
		module->info.start = line->start;
		module->info.end = line->end;
		module->info.file_offset = line->file_offset;
	}
	return index;
}

/* Updates */

/* Where the last mapping of the text ends. */
static uint64_t read_ranges(struct module_map *map, struct maps_text text,
	enum module_map_source source, uint32_t epoch, struct ranges *out)
{
	struct maps_line line;
	enum maps_text_result r;
	uint64_t end = 0;

	while ((r = maps_text_next(&text, &line)) != MAPS_TEXT_END) {
		if (r == MAPS_TEXT_MALFORMED || line.start < end) {
			map->stats.malformed_lines++;
			continue;
		}
		end = line.end;
		if (!line.executable)
			continue;
		if (out->count == MODULE_MAP_MAX_RANGES) {
			map->stats.dropped++;
			continue;
		}
		append(out, &(struct range){
				    .start = line.start,
				    .end = line.end,
				    .file_offset = line.file_offset,
				    .module = module_of(map, &line, source),
				    .first_epoch = epoch,
				    .last_epoch = epoch,
			    });
	}
	return end;
}

static void keep_behind(
	const struct ranges *old, uint64_t end, uint32_t epoch, struct ranges *fresh)
{
	for (uint32_t i = 0; i < old->count && fresh->count < MODULE_MAP_MAX_RANGES; i++) {
		if (old->items[i].start < end)
			continue;
		append(fresh, &old->items[i]);
		fresh->items[fresh->count - 1].last_epoch = epoch;
	}
}

static bool same_mapping(const struct range *a, const struct range *b)
{
	return a->start == b->start && a->end == b->end && a->file_offset == b->file_offset &&
	       a->module == b->module;
}

/* Mappings that are still there keep their first epoch; the others go to `gone`. */
static void carry_over(const struct ranges *old, struct ranges *fresh, struct ranges *gone)
{
	uint32_t f = 0;

	for (uint32_t o = 0; o < old->count; o++) {
		while (f < fresh->count && fresh->items[f].start < old->items[o].start)
			f++;
		if (f < fresh->count && same_mapping(&fresh->items[f], &old->items[o]))
			fresh->items[f].first_epoch = old->items[o].first_epoch;
		else
			append(gone, &old->items[o]);
	}
}

static void append_piece(
	struct ranges *out, const struct range *whole, uint64_t start, uint64_t end)
{
	struct range piece = *whole;

	piece.start = start;
	piece.end = end;
	piece.file_offset += start - whole->start;
	append(out, &piece);
}

/* `above` hides what lies below it. */
static void overlay(const struct ranges *above, const struct ranges *below, struct ranges *out)
{
	uint32_t a = 0;

	for (uint32_t b = 0; b < below->count; b++) {
		const struct range *low = &below->items[b];
		uint64_t at = low->start;

		while (at < low->end) {
			while (a < above->count && above->items[a].end <= at)
				append(out, &above->items[a++]);
			if (a == above->count || above->items[a].start >= low->end) {
				append_piece(out, low, at, low->end);
				break;
			}
			if (above->items[a].start > at)
				append_piece(out, low, at, above->items[a].start);
			at = above->items[a].end;
		}
	}
	while (a < above->count)
		append(out, &above->items[a++]);
}

static void replace(struct ranges *ranges, struct ranges *by)
{
	free(ranges->items);
	*ranges = *by;
	*by = (struct ranges){0};
}

static void retire(struct module_map *map, struct ranges *gone)
{
	struct ranges merged = {0};

	overlay(gone, &map->former, &merged);
	if (merged.count > MODULE_MAP_MAX_RANGES) {
		map->stats.dropped += merged.count - gone->count;
		replace(&merged, gone);
	}
	replace(&map->former, &merged);
}

static void update(struct module_map *map, struct maps_text text, enum module_map_source source,
	uint32_t epoch, bool whole)
{
	struct ranges fresh = {0}, gone = {0};

	map->stats.updates++;
	uint64_t end = read_ranges(map, text, source, epoch, &fresh);
	if (!whole)
		keep_behind(&map->mapped, end, epoch, &fresh);
	carry_over(&map->mapped, &fresh, &gone);
	if (gone.count)
		retire(map, &gone);
	free(gone.items);
	replace(&map->mapped, &fresh);
	map->epoch = epoch;
}

void module_map_update(struct module_map *map, const char *text, size_t size,
	enum module_map_source source, uint32_t epoch)
{
	update(map, (struct maps_text){text, text + size}, source, epoch, true);
}

void module_map_update_beginning(struct module_map *map, const char *text, size_t size,
	enum module_map_source source, uint32_t epoch)
{
	update(map, (struct maps_text){text, text + size}, source, epoch, false);
}

/* Questions */

static void answer(const struct range *range, uint64_t address, uint32_t *module, uint64_t *offset)
{
	bool file = range && range->module != STACK_MODULE_NONE;

	*module = file ? range->module : STACK_MODULE_NONE;
	*offset = file ? address - range->start + range->file_offset : address;
}

enum module_map_result module_map_resolve(const struct module_map *map, uint64_t address,
	uint32_t epoch, uint32_t *module, uint64_t *offset)
{
	const struct range *now = find(&map->mapped, address);
	const struct range *before = find(&map->former, address);

	if (now && before && epoch < now->first_epoch && epoch <= before->last_epoch)
		now = NULL;
	answer(now ? now : before, address, module, offset);
	if (!now && !before)
		return MODULE_MAP_UNKNOWN;
	/* Past its last epoch the old mapping may have been followed by one that no text has named
	 * yet. */
	if (epoch > map->epoch || (!now && epoch > before->last_epoch))
		return MODULE_MAP_STALE;
	return MODULE_MAP_FOUND;
}

uint32_t module_map_count(const struct module_map *map)
{
	return map->module_count;
}

const struct module_info *module_map_get(const struct module_map *map, uint32_t index)
{
	return &map->modules[index].info;
}

void module_map_stats(const struct module_map *map, struct module_map_stats *out)
{
	*out = map->stats;
}

size_t module_map_bytes(const struct module_map *map)
{
	size_t ranges = (size_t)map->mapped.capacity + map->former.capacity;

	return sizeof(*map) + map->module_capacity * sizeof(map->modules[0]) +
	       ranges * sizeof(map->mapped.items[0]) + map->paths.bytes +
	       hash_index_bytes(&map->index);
}
