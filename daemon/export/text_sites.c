/* Two stacks are one row exactly if their keys, the numbers of what would be shown, are equal. */
#include "config.h" /* first: qsort_r */
#include "export/text_sites.h"
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "export/text_name.h"
#include "export/utf8.h"
#include "model/snapshot.h"

/* Numbers behind those of the frames: a site without frames, frames that are left out, and for each module its code that
 * has no name. */
enum { OTHER, GAP, MODULES };

/* Python's extensions carry what they were built for in their names: "_json.cpython-311-x86_64-linux-gnu.so". */
static void append_module(struct buffer *out, const struct snapshot_module *module)
{
	const char *name = frames_short_file(module->path), *tag = strstr(name, ".cpython-");
	const char *suffix = tag ? strstr(tag, ".so") : NULL;
	_cleanup_free_ char *stem = suffix ? strndup(name, (size_t)(tag - name)) : NULL;
	utf8_append_ascii(out, stem ? stem : name);
	utf8_append_ascii(out, stem ? suffix : "");
}

/* A frame without a name already says its module in the place of the name. */
static void append_place(struct buffer *out, const struct frames *frames, const struct frame *frame)
{
	const struct snapshot_module *module = frames_module(frames, frame);
	if (*frame->line->file) {
		utf8_append_ascii(out, frames_short_file(frame->line->file));
		if (frame->line->line)
			buffer_printf(out, ":%" PRIu32, frame->line->line);
	} else if (module && frame->line->function[0] != '[') {
		append_module(out, module);
	}
}

/* A name of Python's is short, and none of C++'s. */
static void append_name(struct buffer *out, const struct frame *frame)
{
	if (frame->location->python)
		utf8_append_ascii(out, frame->line->function);
	else
		text_name_short(out, frame->line->function);
}

static void number_pseudo_frames(struct text_sites *sites)
{
	const struct snapshot *snapshot = sites->frames.snapshot;
	uint32_t *names = sites->name_of_frame + sites->frames.count;
	uint32_t *places = sites->place_of_frame + sites->frames.count;
	struct buffer scratch = BUFFER_INIT;
	names[OTHER] = key_set_add_string(&sites->names, FRAMES_OTHER_NAME);
	names[GAP] = key_set_add_string(&sites->names, "...");
	for (uint32_t i = 0; i < snapshot->module_count; i++) {
		buffer_clear(&scratch);
		buffer_putc(&scratch, '[');
		append_module(&scratch, &snapshot->modules[i]);
		buffer_putc(&scratch, ']');
		names[MODULES + i] = key_set_add(&sites->names, scratch.data, scratch.size);
	}
	for (uint32_t i = 0; i < MODULES + snapshot->module_count; i++)
		places[i] = key_set_add_string(&sites->places, "");
	buffer_deinit(&scratch);
}

static void number_frames(struct text_sites *sites)
{
	const struct frames *frames = &sites->frames;
	struct buffer scratch = BUFFER_INIT;
	size_t all = (size_t)frames->count + MODULES + frames->snapshot->module_count;
	sites->name_of_frame = alloc_zeroed(all, sizeof(uint32_t));
	sites->place_of_frame = alloc_zeroed(all, sizeof(uint32_t));
	for (uint32_t i = 0; i < frames->count; i++) {
		buffer_clear(&scratch);
		append_name(&scratch, &frames->all[i]);
		sites->name_of_frame[i] = key_set_add(&sites->names, scratch.data, scratch.size);
		buffer_clear(&scratch);
		append_place(&scratch, frames, &frames->all[i]);
		sites->place_of_frame[i] = key_set_add(&sites->places, scratch.data, scratch.size);
	}
	number_pseudo_frames(sites);
	buffer_deinit(&scratch);
}

static bool is_python(const struct text_sites *sites, uint32_t frame)
{
	return frame < sites->frames.count && sites->frames.all[frame].location->python;
}

enum kind { ORDINARY, ALLOCATOR, WRAPPER };

/* Per name. */
static uint8_t *classify_names(const struct text_sites *sites)
{
	uint8_t *kinds = alloc_zeroed(sites->names.count, sizeof(*kinds));
	for (uint32_t i = 0; i < sites->names.count; i++) {
		const char *name = key_set_get(&sites->names, i);
		if (text_name_is_wrapper(name))
			kinds[i] = WRAPPER;
		else if (text_name_is_allocator(name))
			kinds[i] = ALLOCATOR;
	}
	return kinds;
}

/* Frames from `first` on in the stack in frames.row that are of this kind, at most `limit`. */
static uint32_t count_kind(const struct text_sites *sites, const uint8_t *kinds, enum kind kind,
	uint32_t first, uint32_t limit)
{
	uint32_t count = 0;
	while (count < limit && !is_python(sites, sites->frames.row[first + count]) &&
		kinds[sites->name_of_frame[sites->frames.row[first + count]]] == kind)
		count++;
	return count;
}

/* Of the stack in frames.row, the innermost frame of Python; `total` if there is none. */
static uint32_t find_python(const struct text_sites *sites, uint32_t total)
{
	uint32_t i = 0;
	while (i < total && !is_python(sites, sites->frames.row[i]))
		i++;
	return i;
}

static void choose(struct text_sites *sites, uint32_t first, uint32_t end)
{
	buffer_append(&sites->chosen, &sites->frames.row[first], (end - first) * sizeof(uint32_t));
}

/* Of [first, end) of the stack in frames.row, the end of the innermost ones that are shown. */
static uint32_t innermost(const struct text_sites *sites, const uint8_t *kinds, uint32_t first,
	uint32_t end, uint32_t depth)
{
	uint32_t left = end - first;
	uint32_t most = left < TEXT_SITES_ALLOCATORS ? left : TEXT_SITES_ALLOCATORS;
	uint32_t allocators = count_kind(sites, kinds, ALLOCATOR, first, most);
	return depth && depth < left - allocators ? first + allocators + depth : end;
}

/* The frame, or that of its module if it has no name. */
static uint32_t shortened(const struct text_sites *sites, uint32_t number)
{
	const struct frame *frame = &sites->frames.all[number];
	if (frame->location->resolved || !frames_module(&sites->frames, frame))
		return number;
	return sites->frames.count + MODULES + frame->location->module;
}

/* Of a stack with frames of Python in frames.row: code without a name is its module's, once. Ends with the outermost frame
 * of Python, since what started it says nothing of who wants memory. Returns how many are left. */
static uint32_t shorten(struct text_sites *sites, uint32_t total)
{
	uint32_t *row = sites->frames.row, count = 0;
	while (total > 0 && !is_python(sites, row[total - 1]))
		total--;
	for (uint32_t i = 0; i < total; i++) {
		uint32_t frame = shortened(sites, row[i]);
		if (frame < sites->frames.count || count == 0 || row[count - 1] != frame)
			row[count++] = frame;
	}
	return count;
}

static bool is_import(const struct text_sites *sites, uint32_t frame)
{
	return is_python(sites, frame) &&
	       strcmp(sites->frames.all[frame].line->function, SNAPSHOT_IMPORT_NAME) == 0;
}

/* Behind so many frames from `first` on; the import system's say too little to count. */
static uint32_t end_of_callers(
	const struct text_sites *sites, uint32_t first, uint32_t total, uint32_t depth)
{
	uint32_t end = first;
	for (uint32_t seen = 0; end < total && seen < depth; end++)
		seen += !is_import(sites, sites->frames.row[end]);
	return end;
}

/* What Python called is shown like a stack of its own, and then the lines of Python that led to it. */
static void choose_python(
	struct text_sites *sites, const uint8_t *kinds, uint32_t total, uint32_t depth)
{
	const uint32_t gap = sites->frames.count + GAP;
	total = shorten(sites, total);
	uint32_t first = count_kind(sites, kinds, WRAPPER, 0, total);
	uint32_t python = find_python(sites, total);
	uint32_t end = innermost(sites, kinds, first, python, depth);
	choose(sites, first, end);
	if (end < python)
		buffer_append(&sites->chosen, &gap, sizeof(gap));
	choose(sites, python, end_of_callers(sites, python, total, depth));
}

/* Of the stack in frames.row, what is shown. */
static void choose_frames(
	struct text_sites *sites, const uint8_t *kinds, uint32_t total, uint32_t depth)
{
	const uint32_t other = sites->frames.count;
	buffer_clear(&sites->chosen);
	if (!total)
		buffer_append(&sites->chosen, &other, sizeof(other));
	if (depth && find_python(sites, total) < total) {
		choose_python(sites, kinds, total, depth);
		return;
	}
	uint32_t first = count_kind(sites, kinds, WRAPPER, 0, total);
	if (first == total)
		first = 0;
	choose(sites, first, innermost(sites, kinds, first, total, depth));
}

/* Whether a line ends behind this frame, and says where it is. */
static bool has_place(
	const struct text_sites *sites, const uint32_t *shown, uint32_t count, uint32_t i)
{
	return sites->whole_stacks || i + 1 == count || is_python(sites, shown[i]) ||
	       is_python(sites, shown[i + 1]);
}

static uint32_t place_of(const struct text_sites *sites, const uint32_t *shown, uint32_t i)
{
	bool is_gap = shown[i] == sites->frames.count + GAP;
	return sites->place_of_frame[shown[is_gap ? i - 1 : i]];
}

static void build_key(
	const struct text_sites *sites, const uint32_t *shown, uint32_t count, struct buffer *key)
{
	buffer_clear(key);
	for (uint32_t i = 0; i < count; i++) {
		buffer_append(key, &sites->name_of_frame[shown[i]], sizeof(uint32_t));
		uint32_t place =
			has_place(sites, shown, count, i) ? place_of(sites, shown, i) + 1 : 0;
		buffer_append(key, &place, sizeof(place));
	}
}

static void add_stack(struct text_sites *sites, const uint8_t *kinds,
	const struct snapshot_site *from, uint32_t depth, struct key_set *keys, struct buffer *key)
{
	choose_frames(sites, kinds, frames_expand(&sites->frames, from), depth);
	const uint32_t *shown = (const uint32_t *)sites->chosen.data;
	uint32_t count = (uint32_t)(sites->chosen.size / sizeof(uint32_t));
	build_key(sites, shown, count, key);
	uint32_t number = key_set_add(keys, key->data, key->size);
	if (number == sites->count) {
		sites->all[sites->count++] = (struct text_site){
			.first = sites->shown.size / sizeof(uint32_t), .depth = count};
		buffer_append(&sites->shown, shown, count * sizeof(uint32_t));
	}
	estimate_merge(&sites->all[number].live, &from->live);
	estimate_merge(&sites->all[number].cumulative, &from->cumulative);
}

static int compare_sites(const void *left, const void *right, void *data)
{
	const struct text_site *a = left, *b = right;
	bool cumulative = *(const bool *)data;
	double bytes_a = cumulative ? a->cumulative.bytes : a->live.bytes;
	double bytes_b = cumulative ? b->cumulative.bytes : b->live.bytes;
	if (bytes_a != bytes_b)
		return bytes_a > bytes_b ? -1 : 1;
	return a->first < b->first ? -1 : a->first > b->first;
}

void text_sites_init(
	struct text_sites *sites, const struct snapshot *snapshot, uint32_t depth, bool cumulative)
{
	*sites = (struct text_sites){.whole_stacks = depth == 0};
	frames_init(&sites->frames, snapshot);
	number_frames(sites);
	sites->all = alloc_zeroed(snapshot->site_count, sizeof(*sites->all));
	uint8_t *kinds = classify_names(sites);
	struct key_set keys = KEY_SET_INIT;
	struct buffer key = BUFFER_INIT;
	for (uint32_t i = 0; i < snapshot->site_count; i++) {
		const struct snapshot_site *from = &snapshot->sites[i];
		if (cumulative ? from->cumulative.samples : from->live.samples)
			add_stack(sites, kinds, from, depth, &keys, &key);
	}
	qsort_r(sites->all, sites->count, sizeof(*sites->all), compare_sites, &cumulative);
	key_set_deinit(&keys);
	buffer_deinit(&key);
	free(kinds);
}

void text_sites_deinit(struct text_sites *sites)
{
	frames_deinit(&sites->frames);
	key_set_deinit(&sites->names);
	key_set_deinit(&sites->places);
	buffer_deinit(&sites->shown);
	buffer_deinit(&sites->chosen);
	free(sites->name_of_frame);
	free(sites->place_of_frame);
	free(sites->all);
	*sites = (struct text_sites){0};
}

static const uint32_t *shown_of(const struct text_sites *sites, const struct text_site *site)
{
	return (const uint32_t *)sites->shown.data + site->first;
}

const char *text_sites_name(
	const struct text_sites *sites, const struct text_site *site, uint32_t i)
{
	return key_set_get(&sites->names, sites->name_of_frame[shown_of(sites, site)[i]]);
}

bool text_sites_ends_line(const struct text_sites *sites, const struct text_site *site, uint32_t i)
{
	return has_place(sites, shown_of(sites, site), site->depth, i);
}

const char *text_sites_place(
	const struct text_sites *sites, const struct text_site *site, uint32_t i)
{
	return key_set_get(&sites->places, place_of(sites, shown_of(sites, site), i));
}

bool text_sites_unresolved(const struct text_sites *sites, const struct text_site *site)
{
	for (uint32_t i = 0; i < site->depth; i++) {
		uint32_t frame = shown_of(sites, site)[i];
		if (frame >= sites->frames.count + MODULES ||
			(frame < sites->frames.count &&
				!sites->frames.all[frame].location->resolved))
			return true;
	}
	return false;
}
