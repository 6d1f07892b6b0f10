/*
 * Frames stand in a table of their own and sites refer to them by number: with whole frames in
 * every stack a large snapshot would be tens of times larger. One frame and one site a line, for
 * grep and diff.
 */
#include "export/json.h"
#include <errno.h>
#include "base/buffer.h"
#include "config.h"
#include "export/describe.h"
#include "export/export.h"
#include "export/frames.h"
#include "export/human.h"
#include "export/json_writer.h"
#include "export/rounding.h"
#include "model/snapshot.h"
#include "spprof/wire/record.h"

struct columns { /* of one estimate_sum */
	struct rounding bytes, objects;
};

#define COLUMNS_INIT ((struct columns){.bytes = {0}})

struct encoder {
	const struct snapshot *snapshot; /* borrows */
	struct json_writer json;
	struct frames frames;
	struct columns live, cumulative;
	double unseen_bytes; /* what a site without samples may hold */
	size_t limit;	     /* of the output */
};

static const char *stop_name(uint8_t stop)
{
	static const char *const names[WIRE_STOP_KINDS] = {
		[WIRE_STOP_END] = "end",
		[WIRE_STOP_MAX] = "depth_limit",
		[WIRE_STOP_NO_INFO] = "no_unwind_info",
		[WIRE_STOP_BOUNDS] = "stack_bounds",
		[WIRE_STOP_UNSUPPORTED] = "unsupported_unwind_info",
	};
	return stop < WIRE_STOP_KINDS ? names[stop] : "unknown";
}

static void put_count(struct json_writer *json, const char *key, uint64_t count)
{
	json_writer_integer(
		json, key, count < (uint64_t)ROUNDING_MAX ? (int64_t)count : ROUNDING_MAX);
}

static void put_time(
	struct json_writer *json, const char *key, const char *key_ns, uint64_t unix_ns)
{
	struct buffer text = BUFFER_INIT;
	human_time_iso(&text, unix_ns);
	buffer_putc(&text, '\0');
	json_writer_string(json, key, (const char *)text.data);
	put_count(json, key_ns, unix_ns);
	buffer_deinit(&text);
}

static void put_low_and_value(struct json_writer *json, const char *key,
	const struct estimate_interval *interval, int64_t value)
{
	json_writer_open(json, key, '{');
	json_writer_integer(json, "value", value);
	json_writer_integer(json, "low", rounding_down(interval->low));
}

/* Without samples bytes are limited all the same, objects are not: they could be of any size. */
static void put_sum(
	struct encoder *e, const char *key, const struct estimate_sum *sum, struct columns *columns)
{
	struct json_writer *json = &e->json;
	struct estimate_interval bytes = estimate_bytes(sum), objects = estimate_objects(sum);
	json_writer_open(json, key, '{');
	put_low_and_value(json, "bytes", &bytes, rounding_next(&columns->bytes, sum->bytes));
	json_writer_integer(json, "high", rounding_up(sum->samples ? bytes.high : e->unseen_bytes));
	json_writer_close(json, '}');
	put_low_and_value(
		json, "objects", &objects, rounding_next(&columns->objects, sum->objects));
	if (sum->samples)
		json_writer_integer(json, "high", rounding_up(objects.high));
	else
		json_writer_null(json, "high");
	json_writer_close(json, '}');
	put_count(json, "samples", sum->samples);
	json_writer_close(json, '}');
}

static void put_process(struct encoder *e)
{
	const struct snapshot *snapshot = e->snapshot;
	json_writer_break(&e->json);
	json_writer_open(&e->json, "process", '{');
	json_writer_integer(&e->json, "pid", snapshot->pid);
	json_writer_integer(&e->json, "uid", snapshot->uid);
	json_writer_string(&e->json, "comm", snapshot->comm);
	json_writer_string(&e->json, "exe", snapshot->exe);
	json_writer_string(&e->json, "command_line", snapshot->command_line);
	json_writer_bool(&e->json, "exited", snapshot->quality.exited);
	json_writer_close(&e->json, '}');
}

static void put_quality(struct encoder *e)
{
	const struct snapshot_quality *quality = &e->snapshot->quality;
	struct json_writer *json = &e->json;
	json_writer_break(json);
	json_writer_open(json, "quality", '{');
	json_writer_bool(json, "from_start", quality->from_start);
	json_writer_bool(json, "unconfirmed", quality->unconfirmed);
	json_writer_string(json, "unconfirmed_reason", quality->unconfirmed_reason);
	json_writer_bool(json, "being_told_again", quality->told_again);
	put_count(json, "cumulative_since_unix_ns",
		quality->allocated_since_unix_ns ? quality->allocated_since_unix_ns
						 : e->snapshot->since_unix_ns);
	put_count(json, "lost_samples", quality->lost_samples);
	json_writer_integer(json, "lost_bytes", rounding_nearest(quality->lost_bytes));
	put_count(json, "lost_deaths", quality->lost_deaths);
	put_count(json, "folded_samples", quality->folded_samples);
	json_writer_integer(json, "folded_bytes", rounding_nearest(quality->folded_bytes));
	put_count(json, "stacks_whole", quality->stacks_whole);
	put_count(json, "stacks_truncated", quality->stacks_truncated);
	put_count(json, "stacks_stopped", quality->stacks_stopped);
	put_count(json, "stacks_guessed", quality->stacks_guessed);
	put_count(json, "locations_total", quality->locations_total);
	put_count(json, "locations_unresolved", quality->locations_unresolved);
	json_writer_close(json, '}');
}

static void put_totals(struct encoder *e)
{
	struct columns live = COLUMNS_INIT, cumulative = COLUMNS_INIT;
	json_writer_break(&e->json);
	json_writer_open(&e->json, "totals", '{');
	put_sum(e, "live", &e->snapshot->live, &live);
	put_sum(e, "cumulative", &e->snapshot->cumulative, &cumulative);
	json_writer_close(&e->json, '}');
}

static void put_window(struct encoder *e)
{
	const struct snapshot_window *window = &e->snapshot->window;
	if (!window->set)
		return;
	json_writer_break(&e->json);
	json_writer_open(&e->json, "window", '{');
	put_count(&e->json, "since_id", window->since_id);
	put_count(&e->json, "until_id", window->until_id);
	put_count(&e->json, "thread", window->thread);
	json_writer_bool(&e->json, "cumulative_complete", window->complete);
	json_writer_close(&e->json, '}');
}

static void put_family(struct encoder *e)
{
	const struct snapshot_family *family = &e->snapshot->family;
	struct columns inherited = COLUMNS_INIT;
	if (family->processes == 0 && family->inherited.samples == 0)
		return;
	json_writer_break(&e->json);
	json_writer_open(&e->json, "family", '{');
	put_count(&e->json, "processes", family->processes > 0 ? family->processes : 1);
	put_count(&e->json, "left_out", family->left_out);
	put_sum(e, "inherited", &family->inherited, &inherited);
	put_count(&e->json, "heirs", family->processes > 0 ? family->heirs : 1);
	put_count(&e->json, "unmatched_samples", family->unmatched);
	json_writer_close(&e->json, '}');
}

static void put_header(struct encoder *e)
{
	const struct snapshot *snapshot = e->snapshot;
	json_writer_string(&e->json, "format", "spprof.snapshot/1");
	json_writer_string(&e->json, "generator", "spprofd " PACKAGE_VERSION);
	put_process(e);
	json_writer_break(&e->json);
	put_time(&e->json, "since", "since_unix_ns", snapshot->since_unix_ns);
	put_time(&e->json, "taken", "taken_unix_ns", snapshot->taken_unix_ns);
	json_writer_break(&e->json);
	json_writer_integer(&e->json, "interval_bytes", rounding_nearest(snapshot->interval_bytes));
	json_writer_integer(&e->json, "interval_max_bytes",
		rounding_nearest(describe_largest_interval(snapshot)));
	json_writer_integer(&e->json, "unseen_site_high_bytes", rounding_up(e->unseen_bytes));
	put_quality(e);
	put_totals(e);
	put_window(e);
	put_family(e);
}

static void put_modules(struct encoder *e)
{
	json_writer_break(&e->json);
	json_writer_open(&e->json, "modules", '[');
	for (uint32_t i = 0; i < e->snapshot->module_count; i++) {
		const struct snapshot_module *module = &e->snapshot->modules[i];
		json_writer_break(&e->json);
		json_writer_open(&e->json, NULL, '{');
		json_writer_string(&e->json, "path", module->path);
		json_writer_string(&e->json, "build_id", module->build_id);
		json_writer_hex(&e->json, "start", module->start);
		json_writer_hex(&e->json, "end", module->end);
		json_writer_hex(&e->json, "file_offset", module->file_offset);
		json_writer_close(&e->json, '}');
	}
	json_writer_close(&e->json, ']');
}

/* A module's mapping may be gone or another one by now: no offset rather than a wrong one. */
static void put_place(struct encoder *e, const struct frame *frame)
{
	const struct snapshot_module *module = frames_module(&e->frames, frame);
	uint64_t address = frame->location->address;
	if (frame->location->python)
		json_writer_null(&e->json, "address");
	else
		json_writer_hex(&e->json, "address", address);
	if (!module) {
		json_writer_null(&e->json, "module");
		json_writer_null(&e->json, "offset");
		return;
	}
	json_writer_integer(&e->json, "module", frame->location->module);
	if (address >= module->start && address < module->end)
		json_writer_hex(&e->json, "offset", address - module->start + module->file_offset);
	else
		json_writer_null(&e->json, "offset");
}

static int put_frames(struct encoder *e)
{
	json_writer_break(&e->json);
	json_writer_open(&e->json, "frames", '[');
	for (uint32_t i = 0; i < e->frames.count; i++) {
		const struct frame *frame = &e->frames.all[i];
		json_writer_break(&e->json);
		json_writer_open(&e->json, NULL, '{');
		json_writer_string(&e->json, "function", frame->line->function);
		json_writer_string(&e->json, "function_system", frame->line->function_system);
		json_writer_string(&e->json, "file", frame->line->file);
		json_writer_integer(&e->json, "line", frame->line->line);
		json_writer_integer(&e->json, "first_line", frame->line->first_line);
		json_writer_bool(&e->json, "python", frame->location->python);
		json_writer_bool(&e->json, "inlined", frame->inlined);
		json_writer_bool(&e->json, "resolved", frame->location->resolved);
		put_place(e, frame);
		json_writer_close(&e->json, '}');
		if (e->json.out->size > e->limit)
			return -EFBIG;
	}
	json_writer_close(&e->json, ']');
	return 0;
}

static void put_site(struct encoder *e, const struct snapshot_site *site)
{
	uint32_t depth = frames_expand(&e->frames, site);
	json_writer_break(&e->json);
	json_writer_open(&e->json, NULL, '{');
	put_sum(e, "live", &site->live, &e->live);
	put_sum(e, "cumulative", &site->cumulative, &e->cumulative);
	json_writer_string(&e->json, "stop", stop_name(site->stop));
	json_writer_integer(&e->json, "guessed_frames", site->guessed);
	json_writer_open(&e->json, "stack", '[');
	for (uint32_t i = 0; i < depth; i++)
		json_writer_integer(&e->json, NULL, e->frames.row[i]);
	json_writer_close(&e->json, ']');
	json_writer_close(&e->json, '}');
}

static int put_sites(struct encoder *e)
{
	json_writer_break(&e->json);
	json_writer_open(&e->json, "sites", '[');
	for (uint32_t i = 0; i < e->snapshot->site_count; i++) {
		put_site(e, &e->snapshot->sites[i]);
		if (e->json.out->size > e->limit)
			return -EFBIG;
	}
	json_writer_close(&e->json, ']');
	return 0;
}

static void put_sample(struct json_writer *json, const struct snapshot_sample *sample, bool of_many)
{
	json_writer_break(json);
	json_writer_open(json, NULL, '{');
	put_count(json, "id", sample->id);
	if (of_many)
		json_writer_integer(json, "pid", sample->pid);
	json_writer_hex(json, "address", sample->address);
	put_count(json, "size", sample->size_bytes);
	put_count(json, "interval", sample->interval_bytes);
	put_count(json, "time_unix_ns", sample->time_unix_ns);
	if (sample->freed_unix_ns > 0)
		put_count(json, "freed_unix_ns", sample->freed_unix_ns);
	put_count(json, "thread", sample->thread);
	put_count(json, "site", sample->site);
	json_writer_close(json, '}');
}

static int put_samples(struct encoder *e)
{
	if (!e->snapshot->samples)
		return 0;
	json_writer_break(&e->json);
	json_writer_open(&e->json, "samples", '[');
	for (uint32_t i = 0; i < e->snapshot->sample_count; i++) {
		put_sample(&e->json, &e->snapshot->samples[i], e->snapshot->family.processes > 0);
		if (e->json.out->size > e->limit)
			return -EFBIG;
	}
	json_writer_close(&e->json, ']');
	return 0;
}

int json_encode(const struct snapshot *snapshot, struct buffer *out)
{
	struct encoder e = {.snapshot = snapshot, .limit = out->size + EXPORT_MAX_BYTES};
	e.unseen_bytes = estimate_unseen_bytes(describe_largest_interval(snapshot));
	json_writer_init(&e.json, out);
	frames_init(&e.frames, snapshot);
	json_writer_open(&e.json, NULL, '{');
	put_header(&e);
	put_modules(&e);
	int status = put_frames(&e);
	if (status == 0)
		status = put_sites(&e);
	if (status == 0)
		status = put_samples(&e);
	json_writer_break(&e.json);
	json_writer_close(&e.json, '}');
	buffer_putc(out, '\n');
	frames_deinit(&e.frames);
	return status;
}
