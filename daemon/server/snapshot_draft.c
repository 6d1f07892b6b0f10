/*
 * Frames of an interpreter are named at once, since nobody has to be asked; those of native code when
 * the symbolizer has been.
 */
#include "server/snapshot_draft.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash_index.h"
#include "base/string_pool.h"
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "model/snapshot_bound.h"
#include "model/stack_table.h"
#include "server/session.h"
#include "server/session_codes.h"
#include "server/snapshot_fold.h"
#include "server/snapshot_locations.h"
#include "server/snapshot_scope.h"
#include "server/wall_clock.h"

struct snapshot_draft {
	struct snapshot *snapshot; /* owns */
	struct snapshot_locations locations;
	size_t indices_room;
	uint32_t index_count;
	uint32_t *rows;		 /* owns; of each site, where its row of location_indices begins */
	struct hash_index sites; /* of their rows of locations */
	struct snapshot_line *codes; /* owns; of an interpreter's locations, in their order */
};

static const char *intern(struct snapshot_draft *draft, const char *text)
{
	return string_pool_add(draft->snapshot->strings, text, strlen(text));
}

static void append_row(struct snapshot_draft *draft, const struct module_map *map,
	const struct stack_frame *frames, uint32_t count)
{
	struct snapshot *snapshot = draft->snapshot;
	for (uint32_t i = 0; i < count; i++) {
		ALLOC_GROW(snapshot->location_indices, draft->indices_room, draft->index_count);
		snapshot->location_indices[draft->index_count++] =
			snapshot_locations_add(&draft->locations, map, &frames[i]);
	}
}

/* A site's row while the indices may move still: by its place among them. */
static const uint32_t *row_of(const struct snapshot_draft *draft, uint32_t site)
{
	return draft->snapshot->location_indices + draft->rows[site];
}

/* A site, earlier than the last, that differs from it by nothing; the last one itself if there is none. */
static uint32_t find_equal(struct snapshot_draft *draft)
{
	const struct snapshot_site *sites = draft->snapshot->sites;
	uint32_t last = draft->snapshot->site_count - 1, known;
	size_t size = sites[last].depth * sizeof(uint32_t);
	uint32_t hash = hash_index_hash(row_of(draft, last), size);
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&draft->sites, &at, &known))
		if (sites[known].depth == sites[last].depth &&
			sites[known].stop == sites[last].stop &&
			sites[known].guessed == sites[last].guessed &&
			memcmp(row_of(draft, known), row_of(draft, last), size) == 0)
			return known;
	hash_index_insert(&draft->sites, hash, last);
	return last;
}

/* Returns where it is. */
static uint32_t add_site(struct snapshot_draft *draft, const struct module_map *map,
	const struct stack_view *stack, const struct estimate_sum *live,
	const struct estimate_sum *cumulative)
{
	struct snapshot *snapshot = draft->snapshot;
	draft->rows[snapshot->site_count] = draft->index_count;
	snapshot->sites[snapshot->site_count++] = (struct snapshot_site){
		.depth = stack->frame_count, .stop = stack->stop, .guessed = stack->guessed};
	append_row(draft, map, stack->frames, stack->frame_count);
	uint32_t site = find_equal(draft);
	estimate_merge(&snapshot->sites[site].live, live);
	estimate_merge(&snapshot->sites[site].cumulative, cumulative);
	if (site + 1 < snapshot->site_count)
		draft->index_count = draft->rows[--snapshot->site_count];
	return site;
}

static uint32_t add_folded(struct snapshot_draft *draft, const struct module_map *map,
	struct snapshot_fold *fold, struct stack_view stack, const struct estimate_sum *live,
	const struct estimate_sum *cumulative)
{
	struct stack_frame frames[WIRE_MAX_FRAMES];
	stack.frame_count = snapshot_fold_apply(fold, &stack, frames);
	stack.frames = frames;
	return add_site(draft, map, &stack, live, cumulative);
}

/* Where a stack is one that is told. */
static bool is_used(const struct estimate_sum *live, const struct estimate_sum *cumulative)
{
	return live->samples > 0 || cumulative->samples > 0;
}

static uint32_t learn_internals(struct snapshot_fold *fold, const struct stack_table *stacks,
	const struct estimate_sum *live, const struct estimate_sum *cumulative)
{
	uint32_t count = stack_table_count(stacks), used = 0;
	for (uint32_t i = 0; i < count; i++) {
		if (!is_used(&live[i], &cumulative[i]))
			continue;
		struct stack_view stack = stack_table_get(stacks, i);
		snapshot_fold_learn(fold, &stack);
		used++;
	}
	return used;
}

static void settle_rows(struct snapshot_draft *draft)
{
	for (uint32_t i = 0; i < draft->snapshot->site_count; i++)
		draft->snapshot->sites[i].locations = row_of(draft, i);
	free(TAKE(draft->rows));
}

static void collect_sites(
	struct snapshot_draft *draft, struct session *session, const struct snapshot_scope *scope)
{
	const struct stack_table *stacks = session_stacks(session);
	const struct module_map *map = session_modules(session);
	struct snapshot *snapshot = draft->snapshot;
	uint32_t count = stack_table_count(stacks);
	_cleanup_free_ struct estimate_sum *live = alloc_zeroed(count, sizeof *live);
	_cleanup_free_ struct estimate_sum *cumulative = alloc_zeroed(count, sizeof *cumulative);
	_cleanup_free_ uint32_t *sites = alloc_zeroed(count, sizeof *sites); /* by stack */
	struct snapshot_fold fold;
	snapshot_fold_init(&fold, session_codes(session), map);
	snapshot_scope_sums(scope, session_heap(session), live, cumulative, count);
	uint32_t used = learn_internals(&fold, stacks, live, cumulative);
	/* One more, where the bound may fold the smallest. */
	snapshot->sites = alloc_zeroed(used + 1, sizeof *snapshot->sites);
	draft->rows = alloc_zeroed(used + 1, sizeof *draft->rows);
	ALLOC_GROW(snapshot->location_indices, draft->indices_room, 0);
	for (uint32_t i = 0; i < count; i++) {
		struct stack_view stack = stack_table_get(stacks, i);
		if (!is_used(&live[i], &cumulative[i]))
			continue;
		if (scope->internals)
			sites[i] = add_site(draft, map, &stack, &live[i], &cumulative[i]);
		else
			sites[i] = add_folded(draft, map, &fold, stack, &live[i], &cumulative[i]);
	}
	snapshot_fold_deinit(&fold);
	snapshot_scope_list(scope, session_heap(session), sites, count, snapshot);
	settle_rows(draft);
}

static struct snapshot_line name_code(
	struct snapshot_draft *draft, const struct session_codes *codes, uint64_t offset)
{
	struct snapshot_line line = {
		.function =
			intern(draft, offset == SNAPSHOT_FOLD_IMPORT ? SNAPSHOT_IMPORT_NAME
								     : "[python code not kept]"),
		.function_system = "",
		.file = "",
	};
	if (stack_table_code(offset) == 0)
		return line;
	struct session_code code = session_codes_get(codes, stack_table_code(offset));
	line.function = intern(draft, code.name[0] != '\0' ? code.name : "?");
	line.file = intern(draft, code.file);
	line.line = stack_table_line(offset);
	line.first_line = code.first_line;
	return line;
}

/* Now, since the session goes on. */
static void collect_codes(struct snapshot_draft *draft, struct session *session)
{
	uint32_t count = 0;
	for (uint32_t i = 0; i < draft->snapshot->location_count; i++)
		count += draft->snapshot->locations[i].python;
	draft->codes = alloc_zeroed(count + (size_t)1, sizeof *draft->codes);
	count = 0;
	for (uint32_t i = 0; i < draft->snapshot->location_count; i++)
		if (draft->snapshot->locations[i].python)
			draft->codes[count++] = name_code(
				draft, session_codes(session), draft->locations.keys[i].offset);
}

static void describe(struct snapshot_draft *draft, struct session *session)
{
	const struct session_facts *facts = session_facts(session);
	struct snapshot *snapshot = draft->snapshot;
	snapshot->pid = facts->pid;
	snapshot->uid = facts->uid;
	snapshot->comm = intern(draft, facts->comm);
	snapshot->exe = intern(draft, facts->exe);
	snapshot->command_line = intern(draft, facts->command_line);
	snapshot->since_unix_ns = facts->since_unix_ns;
	snapshot->taken_unix_ns = facts->ended_ns != 0
					  ? wall_clock_unix_of_monotonic(facts->ended_ns)
					  : wall_clock_unix_ns();
	snapshot->interval_bytes = session_interval_bytes(session);
	session_quality(session, &snapshot->quality);
	snapshot->quality.unconfirmed_reason = intern(draft, snapshot->quality.unconfirmed_reason);
}

int snapshot_draft_new(
	struct snapshot_draft **out, struct session *session, const struct snapshot_scope *scope)
{
	struct snapshot_draft *draft = alloc_zeroed(1, sizeof *draft);
	draft->snapshot = alloc_zeroed(1, sizeof *draft->snapshot);
	int r = string_pool_new(&draft->snapshot->strings);
	if (r < 0) {
		snapshot_draft_free(draft);
		return r;
	}
	snapshot_locations_init(
		&draft->locations, draft->snapshot, module_map_count(session_modules(session)));
	collect_sites(draft, session, scope);
	draft->snapshot->window = snapshot_scope_window(scope, session_heap(session));
	draft->snapshot->family.inherited = snapshot_scope_inherited(scope, session);
	collect_codes(draft, session);
	describe(draft, session);
	*out = draft;
	return 0;
}

struct snapshot_draft *snapshot_draft_free(struct snapshot_draft *draft)
{
	if (draft == NULL)
		return NULL;
	snapshot_free(draft->snapshot);
	snapshot_locations_deinit(&draft->locations);
	hash_index_deinit(&draft->sites);
	free(draft->rows);
	free(draft->codes);
	free(draft);
	return NULL;
}

struct snapshot_locations_module *snapshot_draft_modules(
	struct snapshot_draft *draft, uint32_t *count)
{
	*count = draft->locations.module_count;
	return draft->locations.modules;
}

struct symbol_query *snapshot_draft_queries(const struct snapshot_draft *draft, size_t *count)
{
	return snapshot_locations_queries(&draft->locations, count);
}

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash != NULL ? slash + 1 : path;
}

/* "[libc.so.6+0x1234]", "[vdso+0x12]", "[0x7f0012345678]", "[stack not kept]" */
static const char *unknown_name(struct snapshot_draft *draft, uint32_t location)
{
	char text[300];
	const struct snapshot_location *where = &draft->snapshot->locations[location];
	if (draft->locations.keys[location].module == STACK_MODULE_NOT_KEPT)
		return intern(draft, "[stack not kept]");
	if (where->module == UINT32_MAX) {
		snprintf(text, sizeof text, "[0x%" PRIx64 "]", where->address);
		return intern(draft, text);
	}
	const char *name = base_name(draft->locations.modules[where->module].info.path);
	bool bracketed = name[0] == '[';
	int length = (int)strcspn(name + bracketed, "]");
	snprintf(text, sizeof text, "[%.*s+0x%" PRIx64 "]", length < 255 ? length : 255,
		name + bracketed, draft->locations.keys[location].offset);
	return intern(draft, text);
}

struct line_list {
	struct snapshot_line *items;
	size_t count, room;
};

static void add_line(struct line_list *lines, const struct snapshot_line *line)
{
	ALLOC_GROW(lines->items, lines->room, lines->count);
	lines->items[lines->count++] = *line;
}

static void name_location(struct snapshot_draft *draft, struct symbol_client *client,
	uint32_t index, struct line_list *lines)
{
	struct snapshot_location *location = &draft->snapshot->locations[index];
	struct symbol_lines found = {0};
	uint32_t file = snapshot_locations_file(&draft->locations, index);
	bool known = file != 0 && symbol_client_lookup(client, file,
					  draft->locations.keys[index].offset, &found) == 1;
	location->line_count = known ? found.line_count : 0;
	location->resolved = location->line_count > 0;
	for (uint32_t i = 0; i < location->line_count; i++) {
		const struct symbol_line *line = &found.lines[i];
		bool named = line->function[0] != '\0';
		location->resolved &= named;
		struct snapshot_line copy = {
			.function =
				named ? intern(draft, line->function) : unknown_name(draft, index),
			.function_system = intern(draft, line->function_system),
			.file = intern(draft, line->file),
			.line = line->line,
		};
		add_line(lines, &copy);
	}
	if (location->line_count > 0)
		return;
	struct snapshot_line unknown = {.function = unknown_name(draft, index),
		.function_system = intern(draft, ""),
		.file = intern(draft, "")};
	add_line(lines, &unknown);
	/* That is all there is to know of it. */
	location->resolved = draft->locations.keys[index].module == STACK_MODULE_NOT_KEPT;
	location->line_count = 1;
}

static void name_locations(struct snapshot_draft *draft, struct symbol_client *client)
{
	struct snapshot *snapshot = draft->snapshot;
	const struct snapshot_line *code = draft->codes;
	struct line_list lines = {0};
	for (uint32_t i = 0; i < snapshot->location_count; i++) {
		struct snapshot_location *location = &snapshot->locations[i];
		if (location->python) {
			add_line(&lines, code++);
			location->line_count = 1;
			location->resolved = true;
		} else {
			name_location(draft, client, i, &lines);
		}
		snapshot->quality.locations_unresolved += !snapshot->locations[i].resolved;
	}
	snapshot->quality.locations_total = snapshot->location_count;
	snapshot->lines = lines.items;
	const struct snapshot_line *next = lines.items;
	for (uint32_t i = 0; i < snapshot->location_count; i++) {
		snapshot->locations[i].lines = next;
		next += snapshot->locations[i].line_count;
	}
}

static void name_modules(struct snapshot_draft *draft, struct symbol_client *client)
{
	struct snapshot *snapshot = draft->snapshot;
	snapshot->module_count = draft->locations.module_count;
	snapshot->modules =
		alloc_zeroed(draft->locations.module_count + 1, sizeof *snapshot->modules);
	for (uint32_t i = 0; i < draft->locations.module_count; i++) {
		const struct snapshot_locations_module *module = &draft->locations.modules[i];
		snapshot->modules[i] = (struct snapshot_module){
			.path = module->info.path,
			.build_id = intern(draft,
				module->file != 0 ? symbol_client_build_id(client, module->file)
						  : ""),
			.start = module->info.start,
			.end = module->info.end,
			.file_offset = module->info.file_offset,
		};
	}
}

struct snapshot *snapshot_draft_finish(struct snapshot_draft *draft, struct symbol_client *client)
{
	name_locations(draft, client);
	name_modules(draft, client);
	snapshot_bound(draft->snapshot, SNAPSHOT_BOUND_MAX_TEXT);
	return TAKE(draft->snapshot);
}
