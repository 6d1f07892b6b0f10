/*
 * The message is a tree of borrowed arrays: one array per kind of message, one array of pointers to
 * its elements, sized before they are filled. Locations keep the snapshot's order, so that location
 * i has the id i + 1; the mappings are renumbered, because the first one must be the main program.
 *
 * A mapping says has_functions as soon as one of its names is known: a reader then keeps our names
 * (unknown ones are "[library+0x12]") instead of looking for the binary on its own machine.
 */
#include "export/pprof.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "config.h"
#include "export/describe.h"
#include "export/frames.h"
#include "export/gzip.h"
#include "export/human.h"
#include "export/key_set.h"
#include "export/rounding.h"
#include "export/utf8.h"
#include "model/snapshot.h"
#include "pprof/profile.pb-c.h"

enum column { ALLOC_OBJECTS, ALLOC_SPACE, INUSE_OBJECTS, INUSE_SPACE, COLUMNS };

static const struct {
	const char *type, *unit;
} column_names[COLUMNS] = {
	[ALLOC_OBJECTS] = {"alloc_objects", "count"},
	[ALLOC_SPACE] = {"alloc_space", "bytes"},
	[INUSE_OBJECTS] = {"inuse_objects", "count"},
	[INUSE_SPACE] = {"inuse_space", "bytes"},
};

#define COMMENTS_MAX 7 /* build_comments and add_quality_comments */

struct encoder {
	const struct snapshot *snapshot; /* borrows */
	Perftools__Profiles__Profile message;
	struct key_set strings;
	struct key_set functions; /* keys are struct function_key */
	struct buffer scratch;
	uint32_t *mapping_ids; /* owns; per module, 0: not in the file */
	/* own what `message` points to */
	Perftools__Profiles__ValueType types[COLUMNS + 1];
	Perftools__Profiles__ValueType *type_pointers[COLUMNS];
	int64_t comments[COMMENTS_MAX];
	Perftools__Profiles__Sample *samples;
	Perftools__Profiles__Mapping *mappings;
	Perftools__Profiles__Location *locations;
	Perftools__Profiles__Line *lines;
	Perftools__Profiles__Line **line_pointers;
	Perftools__Profiles__Function *function_table;
	uint64_t *location_ids;
	int64_t *values;
};

struct function_key {
	uint32_t name, system_name, filename, start_line;
};

static int64_t string_number(struct encoder *e, const char *s)
{
	buffer_clear(&e->scratch);
	utf8_append_shown(&e->scratch, s);
	return key_set_add(&e->strings, e->scratch.data, e->scratch.size);
}

/* A reader takes a name that is the system's, too, for one to be demangled, and "<module>" for template arguments. */
static const char *system_name(const struct snapshot_line *line, bool python)
{
	return *line->function_system || python ? line->function_system : line->function;
}

static uint64_t function_id(struct encoder *e, const struct snapshot_line *line, bool python)
{
	struct function_key key = {
		.name = (uint32_t)string_number(e, line->function),
		.system_name = (uint32_t)string_number(e, system_name(line, python)),
		.filename = (uint32_t)string_number(e, line->file),
		.start_line = line->first_line,
	};
	return key_set_add(&e->functions, &key, sizeof(key)) + 1;
}

/* ---- mappings ---- */

static void *pointers_to(void *elements, size_t count, size_t size)
{
	void **pointers = alloc_zeroed(count, sizeof(*pointers));
	for (size_t i = 0; i < count; i++)
		pointers[i] = (char *)elements + i * size;
	return pointers;
}

static uint32_t main_module(const struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->module_count; i++)
		if (*snapshot->exe && strcmp(snapshot->modules[i].path, snapshot->exe) == 0)
			return i;
	return UINT32_MAX;
}

static void add_mapping(struct encoder *e, uint32_t module)
{
	const struct snapshot_module *from = &e->snapshot->modules[module];
	Perftools__Profiles__Mapping *to = &e->mappings[e->message.n_mapping++];
	perftools__profiles__mapping__init(to);
	to->id = e->message.n_mapping;
	to->memory_start = from->start;
	to->memory_limit = from->end;
	to->file_offset = from->file_offset;
	to->filename = string_number(e, from->path);
	to->build_id = string_number(e, from->build_id);
	e->mapping_ids[module] = (uint32_t)to->id;
}

static void note_names(
	Perftools__Profiles__Mapping *mapping, const struct snapshot_location *location)
{
	if (!location->resolved)
		return;
	mapping->has_functions = true;
	for (uint32_t i = 0; i < location->line_count; i++) {
		if (*location->lines[i].file)
			mapping->has_filenames = true;
		/* where lines are known, inlined functions are too: both come from the debug
		 * information */
		if (location->lines[i].line)
			mapping->has_line_numbers = mapping->has_inline_frames = true;
	}
}

/* The main program, then the modules that some location lies in. */
static void build_mappings(struct encoder *e)
{
	const struct snapshot *snapshot = e->snapshot;
	uint32_t main = main_module(snapshot);
	e->mapping_ids = alloc_zeroed(snapshot->module_count, sizeof(*e->mapping_ids));
	e->mappings = alloc_zeroed(snapshot->module_count, sizeof(*e->mappings));
	if (main != UINT32_MAX)
		add_mapping(e, main);
	for (uint32_t i = 0; i < snapshot->location_count; i++) {
		uint32_t module = snapshot->locations[i].module;
		if (module >= snapshot->module_count)
			continue;
		if (!e->mapping_ids[module])
			add_mapping(e, module);
		note_names(&e->mappings[e->mapping_ids[module] - 1], &snapshot->locations[i]);
	}
	e->message.mapping = pointers_to(e->mappings, e->message.n_mapping, sizeof(*e->mappings));
}

/* ---- locations and functions ---- */

static bool has_other_site(const struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->site_count; i++)
		if (!snapshot->sites[i].depth)
			return true;
	return false;
}

static const struct snapshot_line other_line = {
	.function = FRAMES_OTHER_NAME, .function_system = "", .file = ""};
static const struct snapshot_location other_location = {
	.module = UINT32_MAX, .line_count = 1, .lines = &other_line};

static void fill_location(
	struct encoder *e, uint32_t number, const struct snapshot_location *from, size_t *next_line)
{
	Perftools__Profiles__Location *to = &e->locations[number];
	perftools__profiles__location__init(to);
	to->id = number + 1;
	to->address = from->address;
	if (from->module < e->snapshot->module_count)
		to->mapping_id = e->mapping_ids[from->module];
	to->line = &e->line_pointers[*next_line];
	to->n_line = from->line_count;
	for (uint32_t i = 0; i < from->line_count; i++) {
		Perftools__Profiles__Line *line = &e->lines[*next_line];
		perftools__profiles__line__init(line);
		line->function_id = function_id(e, &from->lines[i], from->python);
		line->line = from->lines[i].line;
		e->line_pointers[(*next_line)++] = line;
	}
}

/* One location more than the snapshot has where a site without frames needs it; it comes last. */
static void build_locations(struct encoder *e)
{
	const struct snapshot *snapshot = e->snapshot;
	size_t locations = snapshot->location_count, lines = 1, next_line = 0;
	for (uint32_t i = 0; i < snapshot->location_count; i++)
		lines += snapshot->locations[i].line_count;
	e->locations = alloc_zeroed(locations + 1, sizeof(*e->locations));
	e->lines = alloc_zeroed(lines, sizeof(*e->lines));
	e->line_pointers = alloc_zeroed(lines, sizeof(*e->line_pointers));
	for (uint32_t i = 0; i < snapshot->location_count; i++)
		fill_location(e, i, &snapshot->locations[i], &next_line);
	if (has_other_site(snapshot))
		fill_location(e, (uint32_t)locations++, &other_location, &next_line);
	e->message.n_location = locations;
	e->message.location = pointers_to(e->locations, locations, sizeof(*e->locations));
}

static void build_functions(struct encoder *e)
{
	uint32_t count = e->functions.count;
	e->function_table = alloc_zeroed(count, sizeof(*e->function_table));
	for (uint32_t i = 0; i < count; i++) {
		struct function_key key;
		memcpy(&key, key_set_get(&e->functions, i), sizeof(key));
		Perftools__Profiles__Function *function = &e->function_table[i];
		perftools__profiles__function__init(function);
		function->id = i + 1;
		function->name = key.name;
		function->system_name = key.system_name;
		function->filename = key.filename;
		function->start_line = key.start_line;
	}
	e->message.n_function = count;
	e->message.function = pointers_to(e->function_table, count, sizeof(*e->function_table));
}

/* ---- samples ---- */

static void fill_sample(struct encoder *e, const struct snapshot_site *site, uint64_t **next_id,
	struct rounding columns[COLUMNS])
{
	size_t number = e->message.n_sample++;
	Perftools__Profiles__Sample *to = &e->samples[number];
	perftools__profiles__sample__init(to);
	to->location_id = *next_id;
	for (uint32_t i = 0; i < site->depth; i++)
		*(*next_id)++ = site->locations[i] + 1u;
	if (!site->depth)
		*(*next_id)++ = e->message.n_location;
	to->n_location_id = (size_t)(*next_id - to->location_id);
	to->value = &e->values[number * COLUMNS];
	to->n_value = COLUMNS;
	to->value[ALLOC_OBJECTS] = rounding_next(&columns[ALLOC_OBJECTS], site->cumulative.objects);
	to->value[ALLOC_SPACE] = rounding_next(&columns[ALLOC_SPACE], site->cumulative.bytes);
	to->value[INUSE_OBJECTS] = rounding_next(&columns[INUSE_OBJECTS], site->live.objects);
	to->value[INUSE_SPACE] = rounding_next(&columns[INUSE_SPACE], site->live.bytes);
}

static void build_samples(struct encoder *e)
{
	const struct snapshot *snapshot = e->snapshot;
	size_t ids = 0;
	for (uint32_t i = 0; i < snapshot->site_count; i++)
		ids += snapshot->sites[i].depth ? snapshot->sites[i].depth : 1;
	e->samples = alloc_zeroed(snapshot->site_count, sizeof(*e->samples));
	e->values = alloc_zeroed(snapshot->site_count, COLUMNS * sizeof(*e->values));
	e->location_ids = alloc_zeroed(ids, sizeof(*e->location_ids));
	uint64_t *next_id = e->location_ids;
	struct rounding columns[COLUMNS] = {{0}};
	for (uint32_t i = 0; i < snapshot->site_count; i++)
		fill_sample(e, &snapshot->sites[i], &next_id, columns);
	e->message.sample = pointers_to(e->samples, e->message.n_sample, sizeof(*e->samples));
}

/* ---- what the numbers mean ---- */

static void add_comment(struct encoder *e, struct buffer *text)
{
	buffer_putc(text, '\0');
	e->comments[e->message.n_comment++] = string_number(e, (const char *)text->data);
	buffer_clear(text);
}

/* Nothing where there is nothing to say. */
static void append_flaw(struct buffer *text, uint64_t count, const char *what)
{
	if (count)
		buffer_printf(text, "%s%" PRIu64 " %s", text->size ? "; " : "", count, what);
}

static void add_quality_comments(struct encoder *e, struct buffer *text)
{
	const struct snapshot_quality *quality = &e->snapshot->quality;
	if (quality->unconfirmed) {
		buffer_printf(text, "unconfirmed: %s", quality->unconfirmed_reason);
		add_comment(e, text);
	}
	if (!quality->from_start) {
		buffer_puts(text, "alloc_* counts from when spprofd first saw the process");
		if (quality->allocated_since_unix_ns) {
			buffer_puts(text, ", ");
			human_time(text, quality->allocated_since_unix_ns);
		}
		add_comment(e, text);
	}
	append_flaw(text, quality->stacks_truncated, "samples' stacks are cut at the depth limit");
	append_flaw(text, quality->stacks_stopped, "samples' stacks end early");
	append_flaw(text, quality->stacks_guessed, "samples' stacks are guessed in part");
	append_flaw(text, quality->folded_samples, "samples are folded into [other]");
	append_flaw(text, quality->locations_unresolved, "locations have no name");
	if (text->size)
		add_comment(e, text);
}

static void build_comments(struct encoder *e)
{
	struct buffer text = BUFFER_INIT;
	e->message.comment = e->comments;
	buffer_puts(&text, "spprofd " PACKAGE_VERSION ": ");
	describe_process(&text, e->snapshot);
	buffer_puts(&text, ", ");
	describe_sampling(&text, e->snapshot);
	add_comment(e, &text);
	buffer_puts(&text, "inuse_space ");
	describe_bytes(&text, &e->snapshot->live, e->snapshot);
	add_comment(e, &text);
	buffer_puts(&text, "alloc_space ");
	describe_bytes(&text, &e->snapshot->cumulative, e->snapshot);
	add_comment(e, &text);
	buffer_puts(&text,
		"values are unbiased estimates: V bytes in blocks far below the interval T "
		"have a 95% interval of about V +- 1.96 sqrt(V T)");
	add_comment(e, &text);
	add_quality_comments(e, &text);
	buffer_deinit(&text);
}

static void set_type(
	struct encoder *e, Perftools__Profiles__ValueType *to, const char *type, const char *unit)
{
	perftools__profiles__value_type__init(to);
	to->type = string_number(e, type);
	to->unit = string_number(e, unit);
}

static void build_header(struct encoder *e)
{
	const struct snapshot *snapshot = e->snapshot;
	for (int i = 0; i < COLUMNS; i++) {
		set_type(e, &e->types[i], column_names[i].type, column_names[i].unit);
		e->type_pointers[i] = &e->types[i];
	}
	e->message.n_sample_type = COLUMNS;
	e->message.sample_type = e->type_pointers;
	e->message.default_sample_type = e->types[INUSE_SPACE].type;
	set_type(e, &e->types[COLUMNS], "space", "bytes");
	e->message.period_type = &e->types[COLUMNS];
	e->message.period = rounding_nearest(snapshot->interval_bytes);
	e->message.time_nanos = (int64_t)snapshot->taken_unix_ns;
	if (snapshot->taken_unix_ns > snapshot->since_unix_ns)
		e->message.duration_nanos =
			(int64_t)(snapshot->taken_unix_ns - snapshot->since_unix_ns);
}

static void build_strings(struct encoder *e)
{
	uint32_t count = e->strings.count;
	e->message.n_string_table = count;
	e->message.string_table = alloc_zeroed(count, sizeof(char *));
	for (uint32_t i = 0; i < count; i++)
		e->message.string_table[i] = (char *)key_set_get(&e->strings, i);
}

/* ---- the file ---- */

struct gzip_sink {
	ProtobufCBuffer base;
	struct gzip gzip;
};

static void append_to_gzip(ProtobufCBuffer *base, size_t size, const uint8_t *bytes)
{
	gzip_write(&((struct gzip_sink *)base)->gzip, bytes, size);
}

static void encoder_deinit(struct encoder *e)
{
	free(e->message.sample);
	free(e->message.mapping);
	free(e->message.location);
	free(e->message.function);
	free(e->message.string_table);
	free(e->mapping_ids);
	free(e->samples);
	free(e->mappings);
	free(e->locations);
	free(e->lines);
	free(e->line_pointers);
	free(e->function_table);
	free(e->location_ids);
	free(e->values);
	key_set_deinit(&e->strings);
	key_set_deinit(&e->functions);
	buffer_deinit(&e->scratch);
}

int pprof_encode(const struct snapshot *snapshot, struct buffer *out)
{
	struct encoder e = {.snapshot = snapshot};
	perftools__profiles__profile__init(&e.message);
	key_set_add_string(&e.strings, "");
	build_header(&e);
	build_comments(&e);
	build_mappings(&e);
	build_locations(&e);
	build_functions(&e);
	build_samples(&e);
	build_strings(&e);

	struct gzip_sink sink = {.base.append = append_to_gzip};
	gzip_init(&sink.gzip, out);
	protobuf_c_message_pack_to_buffer(&e.message.base, &sink.base);
	encoder_deinit(&e);
	return gzip_finish(&sink.gzip);
}
