/*
 * Everything is copied into a snapshot of the merge's own as it comes, names into its pool: equal names are one pointer
 * there, so keys of locations and modules compare as bytes. Rows and lines stand in arrays that grow; what
 * points into them is set at the end.
 */
#include "model/snapshot_merge.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash_index.h"
#include "base/string_pool.h"
#include "model/snapshot.h"
#include "model/snapshot_bound.h"

struct module_key {
	const char *path, *build_id;
};

struct location_key {
	uint64_t place;		     /* in the module's file; an address where there is none */
	const char *function, *file; /* where the place alone does not tell */
	uint32_t module;
	uint32_t line, first_line;
	uint32_t python;
};

struct snapshot_merge {
	struct snapshot *snapshot; /* owns; NULL: nothing was added */
	struct hash_index modules, locations, sites;
	struct module_key *module_keys;	    /* owns */
	struct location_key *location_keys; /* owns */
	uint32_t *first_lines;		    /* owns; of each location, among the lines */
	uint32_t *rows;			    /* owns; of each site, among the indices */
	size_t modules_room, module_keys_room, locations_room, location_keys_room, first_lines_room;
	size_t lines_room, sites_room, rows_room, indices_room;
	uint32_t line_count, index_count;
	uint32_t other; /* the site "[other]"; UINT32_MAX: there is none */
	uint64_t text, max_text;
	char reason[300]; /* why the first is unconfirmed */
};

/* The numbers of one part's modules and locations in the merged one. */
struct translation {
	uint32_t *modules, *locations; /* own; UINT32_MAX: not copied yet */
};

int snapshot_merge_new(struct snapshot_merge **out, uint64_t max_text)
{
	*out = alloc_zeroed(1, sizeof **out);
	(*out)->max_text = max_text;
	(*out)->other = UINT32_MAX;
	return 0;
}

struct snapshot_merge *snapshot_merge_free(struct snapshot_merge *merge)
{
	if (merge == NULL)
		return NULL;
	snapshot_free(merge->snapshot);
	hash_index_deinit(&merge->modules);
	hash_index_deinit(&merge->locations);
	hash_index_deinit(&merge->sites);
	free(merge->module_keys);
	free(merge->location_keys);
	free(merge->first_lines);
	free(merge->rows);
	free(merge);
	return NULL;
}

static const char *intern(struct snapshot_merge *merge, const char *text)
{
	return string_pool_add(merge->snapshot->strings, text, strlen(text));
}

static uint32_t merge_module(struct snapshot_merge *merge, const struct snapshot_module *module)
{
	struct snapshot *snapshot = merge->snapshot;
	struct module_key key = {intern(merge, module->path), intern(merge, module->build_id)};
	uint32_t hash = hash_index_hash(&key, sizeof key), known, count = snapshot->module_count;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&merge->modules, &at, &known))
		if (memcmp(&merge->module_keys[known], &key, sizeof key) == 0)
			return known;
	ALLOC_GROW(snapshot->modules, merge->modules_room, count);
	ALLOC_GROW(merge->module_keys, merge->module_keys_room, count);
	snapshot->modules[count] = *module;
	snapshot->modules[count].path = key.path;
	snapshot->modules[count].build_id = key.build_id;
	merge->module_keys[count] = key;
	hash_index_insert(&merge->modules, hash, count);
	return snapshot->module_count++;
}

/* Where it would be if the module lay where the merged one does. */
static uint64_t address_of(const struct snapshot_merge *merge,
	const struct snapshot_location *location, const struct snapshot_module *module,
	uint32_t merged)
{
	if (module == NULL || location->address < module->start || location->address >= module->end)
		return location->address;
	const struct snapshot_module *to = &merge->snapshot->modules[merged];
	return location->address - module->start + module->file_offset - to->file_offset +
	       to->start;
}

static struct location_key key_of(
	struct snapshot_merge *merge, const struct snapshot_location *location, uint32_t module)
{
	struct location_key key = {
		.place = location->address, .module = module, .python = location->python};
	const struct snapshot_line *line = &location->lines[0];
	if (module != UINT32_MAX && !location->python)
		return key;
	key.function = intern(merge, line->function);
	key.file = intern(merge, line->file);
	key.line = line->line;
	key.first_line = line->first_line;
	return key;
}

static void copy_lines(
	struct snapshot_merge *merge, uint32_t index, const struct snapshot_location *location)
{
	struct snapshot *snapshot = merge->snapshot;
	merge->first_lines[index] = merge->line_count;
	snapshot->locations[index].line_count = location->line_count;
	snapshot->locations[index].resolved = location->resolved;
	for (uint32_t i = 0; i < location->line_count; i++) {
		struct snapshot_line line = location->lines[i];
		line.function = intern(merge, line.function);
		line.function_system = intern(merge, line.function_system);
		line.file = intern(merge, line.file);
		ALLOC_GROW(snapshot->lines, merge->lines_room, merge->line_count);
		snapshot->lines[merge->line_count++] = line;
	}
}

static uint32_t add_location(struct snapshot_merge *merge, const struct snapshot_location *moved)
{
	struct snapshot *snapshot = merge->snapshot;
	struct location_key key = key_of(merge, moved, moved->module);
	uint32_t hash = hash_index_hash(&key, sizeof key), known, count = snapshot->location_count;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&merge->locations, &at, &known)) {
		if (memcmp(&merge->location_keys[known], &key, sizeof key) != 0)
			continue;
		if (moved->resolved && !snapshot->locations[known].resolved)
			copy_lines(merge, known, moved);
		return known;
	}
	ALLOC_GROW(snapshot->locations, merge->locations_room, count);
	ALLOC_GROW(merge->location_keys, merge->location_keys_room, count);
	ALLOC_GROW(merge->first_lines, merge->first_lines_room, count);
	snapshot->locations[count] = *moved;
	merge->location_keys[count] = key;
	copy_lines(merge, count, moved);
	hash_index_insert(&merge->locations, hash, count);
	return snapshot->location_count++;
}

static uint32_t merge_location(struct snapshot_merge *merge, const struct snapshot *part,
	struct translation *translation, uint32_t index)
{
	struct snapshot_location moved = part->locations[index];
	const struct snapshot_module *module = NULL;
	if (translation->locations[index] != UINT32_MAX)
		return translation->locations[index];
	if (moved.module < part->module_count) {
		module = &part->modules[moved.module];
		uint32_t *number = &translation->modules[moved.module];
		if (*number == UINT32_MAX)
			*number = merge_module(merge, module);
		moved.module = *number;
	}
	moved.address = address_of(merge, &moved, module, moved.module);
	return translation->locations[index] = add_location(merge, &moved);
}

static uint64_t text_of(const struct snapshot *part, const struct snapshot_site *site)
{
	uint64_t sum = 0;
	for (uint32_t i = 0; i < site->depth; i++)
		sum += snapshot_bound_text(&part->locations[site->locations[i]]);
	return sum;
}

static uint32_t new_site(struct snapshot_merge *merge, const struct snapshot_site *like)
{
	struct snapshot *snapshot = merge->snapshot;
	ALLOC_GROW(snapshot->sites, merge->sites_room, snapshot->site_count);
	ALLOC_GROW(merge->rows, merge->rows_room, snapshot->site_count);
	merge->rows[snapshot->site_count] = merge->index_count;
	snapshot->sites[snapshot->site_count] = (struct snapshot_site){
		.depth = like->depth, .stop = like->stop, .guessed = like->guessed};
	return snapshot->site_count++;
}

static uint32_t other_site(struct snapshot_merge *merge)
{
	static const struct snapshot_site other;
	if (merge->other == UINT32_MAX)
		merge->other = new_site(merge, &other);
	return merge->other;
}

/* The row of `site`, which stands at the end of the indices already, belongs to an earlier site or to a new one. */
static uint32_t find_site(struct snapshot_merge *merge, const struct snapshot_site *site)
{
	const struct snapshot *snapshot = merge->snapshot;
	const uint32_t *indices = snapshot->location_indices, *row = indices + merge->index_count;
	size_t size = site->depth * sizeof *row;
	uint32_t hash = hash_index_hash(row, size), known;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&merge->sites, &at, &known))
		if (snapshot->sites[known].depth == site->depth &&
			snapshot->sites[known].stop == site->stop &&
			snapshot->sites[known].guessed == site->guessed &&
			memcmp(indices + merge->rows[known], row, size) == 0)
			return known;
	known = new_site(merge, site);
	hash_index_insert(&merge->sites, hash, known);
	merge->index_count += site->depth;
	return known;
}

static uint32_t merge_site(struct snapshot_merge *merge, const struct snapshot *part,
	struct translation *translation, const struct snapshot_site *site)
{
	struct snapshot *snapshot = merge->snapshot;
	uint64_t text = text_of(part, site);
	if (site->depth == 0)
		return other_site(merge);
	if (text > merge->max_text - merge->text) {
		snapshot->quality.folded_samples += site->cumulative.samples;
		snapshot->quality.folded_bytes += site->cumulative.bytes;
		return other_site(merge);
	}
	for (uint32_t i = 0; i < site->depth; i++) {
		ALLOC_GROW(snapshot->location_indices, merge->indices_room, merge->index_count + i);
		snapshot->location_indices[merge->index_count + i] =
			merge_location(merge, part, translation, site->locations[i]);
	}
	uint32_t count = snapshot->site_count, place = find_site(merge, site);
	merge->text += place == count ? text : 0;
	return place;
}

/* Where no part has samples there are none, which is something else than an empty list. */
static int merge_samples(
	struct snapshot_merge *merge, const struct snapshot *part, const uint32_t *sites)
{
	struct snapshot *snapshot = merge->snapshot;
	uint32_t count = snapshot->sample_count;
	if (part->samples == NULL)
		return 0;
	if (part->sample_count > SNAPSHOT_MERGE_MAX_SAMPLES - count)
		return -EFBIG;
	snapshot->samples = alloc_resize(snapshot->samples, count + part->sample_count + (size_t)1,
		sizeof *snapshot->samples);
	for (uint32_t i = 0; i < part->sample_count; i++) {
		snapshot->samples[count + i] = part->samples[i];
		snapshot->samples[count + i].pid = part->pid;
		snapshot->samples[count + i].site = sites[part->samples[i].site];
	}
	snapshot->sample_count += part->sample_count;
	return 0;
}

static int merge_sites(struct snapshot_merge *merge, const struct snapshot *part)
{
	_cleanup_free_ uint32_t *sites = alloc_zeroed(part->site_count + (size_t)1, sizeof *sites);
	struct translation translation = {
		alloc_zeroed(part->module_count + (size_t)1, sizeof(uint32_t)),
		alloc_zeroed(part->location_count + (size_t)1, sizeof(uint32_t)),
	};
	memset(translation.modules, 0xff, part->module_count * sizeof(uint32_t));
	memset(translation.locations, 0xff, part->location_count * sizeof(uint32_t));
	for (uint32_t i = 0; i < part->site_count; i++) {
		const struct snapshot_site *site = &part->sites[i];
		uint32_t to = sites[i] = merge_site(merge, part, &translation, site);
		estimate_merge(&merge->snapshot->sites[to].live, &site->live);
		estimate_merge(&merge->snapshot->sites[to].cumulative, &site->cumulative);
	}
	free(translation.modules);
	free(translation.locations);
	return merge_samples(merge, part, sites);
}

static void merge_quality(struct snapshot_merge *merge, const struct snapshot *part)
{
	struct snapshot_quality *to = &merge->snapshot->quality;
	const struct snapshot_quality *from = &part->quality;
	if (from->unconfirmed && merge->snapshot->family.unconfirmed++ == 0)
		snprintf(merge->reason, sizeof merge->reason, "%" PRId32 ": %s", part->pid,
			from->unconfirmed_reason);
	/* Under repair only if all that need it are. */
	if (from->unconfirmed)
		to->told_again = from->told_again && (to->told_again || !to->unconfirmed);
	to->unconfirmed |= from->unconfirmed;
	to->from_start &= from->from_start;
	to->lost_samples += from->lost_samples;
	to->lost_bytes += from->lost_bytes;
	to->lost_deaths += from->lost_deaths;
	to->stacks_whole += from->stacks_whole;
	to->stacks_truncated += from->stacks_truncated;
	to->stacks_stopped += from->stacks_stopped;
	to->stacks_guessed += from->stacks_guessed;
	to->folded_samples += from->folded_samples;
	to->folded_bytes += from->folded_bytes;
	/* From then on all of them are in it. */
	if (from->allocated_since_unix_ns > to->allocated_since_unix_ns)
		to->allocated_since_unix_ns = from->allocated_since_unix_ns;
}

static void begin(struct snapshot_merge *merge, const struct snapshot *first)
{
	struct snapshot *snapshot = merge->snapshot = alloc_zeroed(1, sizeof *snapshot);
	string_pool_new(&snapshot->strings);
	snapshot->pid = first->pid;
	snapshot->uid = first->uid;
	snapshot->comm = intern(merge, first->comm);
	snapshot->exe = intern(merge, first->exe);
	snapshot->command_line = intern(merge, first->command_line);
	snapshot->since_unix_ns = first->since_unix_ns;
	snapshot->family.interval_least_bytes = INFINITY;
	snapshot->quality.from_start = true;
	snapshot->quality.exited = first->quality.exited;
}

int snapshot_merge_add(struct snapshot_merge *merge, const struct snapshot *part)
{
	bool first = merge->snapshot == NULL, holds = !part->quality.exited || part->site_count > 0;
	if (first)
		begin(merge, part);
	struct snapshot *snapshot = merge->snapshot;
	snapshot->family.processes += holds;
	snapshot->family.descendants += holds && !first;
	snapshot->family.interval_least_bytes =
		fmin(snapshot->family.interval_least_bytes, part->interval_bytes);
	snapshot->interval_bytes = fmax(snapshot->interval_bytes, part->interval_bytes);
	if (part->since_unix_ns < snapshot->since_unix_ns)
		snapshot->since_unix_ns = part->since_unix_ns;
	if (part->taken_unix_ns > snapshot->taken_unix_ns)
		snapshot->taken_unix_ns = part->taken_unix_ns;
	merge_quality(merge, part);
	return merge_sites(merge, part);
}

static void settle(struct snapshot_merge *merge)
{
	struct snapshot *snapshot = merge->snapshot;
	struct snapshot_quality *quality = &snapshot->quality;
	for (uint32_t i = 0; i < snapshot->site_count; i++)
		snapshot->sites[i].locations = snapshot->location_indices + merge->rows[i];
	for (uint32_t i = 0; i < snapshot->location_count; i++) {
		snapshot->locations[i].lines = snapshot->lines + merge->first_lines[i];
		quality->locations_unresolved += !snapshot->locations[i].resolved;
	}
	quality->locations_total = snapshot->location_count;
	quality->unconfirmed_reason = "";
	if (!quality->unconfirmed)
		return;
	char text[sizeof merge->reason + 60];
	snprintf(text, sizeof text, "%" PRIu32 " of %" PRIu32 " processes, %s",
		snapshot->family.unconfirmed, snapshot->family.processes, merge->reason);
	quality->unconfirmed_reason = intern(merge, text);
}

struct snapshot *snapshot_merge_finish(struct snapshot_merge *merge)
{
	if (merge->snapshot == NULL)
		return NULL;
	settle(merge);
	snapshot_finish(merge->snapshot);
	return TAKE(merge->snapshot);
}
