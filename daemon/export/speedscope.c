/* Frames with equal name, file and line are one frame, whatever their address: that is what is
 * shown. */
#include "export/speedscope.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "config.h"
#include "export/describe.h"
#include "export/export.h"
#include "export/frames.h"
#include "export/json_writer.h"
#include "export/key_set.h"
#include "export/rounding.h"
#include "model/snapshot.h"

struct encoder {
	const struct snapshot *snapshot; /* borrows */
	struct json_writer json;
	struct frames frames;
	struct key_set shown;	  /* keys: line number, name, NUL, file */
	uint32_t *shown_of_frame; /* owns */
	size_t limit;		  /* of the output */
};

static uint32_t add_shown(
	struct encoder *e, struct buffer *scratch, const struct snapshot_line *line)
{
	uint32_t known = e->shown.count;
	buffer_clear(scratch);
	buffer_append(scratch, &line->line, sizeof(line->line));
	buffer_append(scratch, line->function, strlen(line->function) + 1);
	buffer_puts(scratch, line->file);
	uint32_t number = key_set_add(&e->shown, scratch->data, scratch->size);
	if (number < known)
		return number;
	json_writer_break(&e->json);
	json_writer_open(&e->json, NULL, '{');
	json_writer_string(&e->json, "name", line->function);
	if (*line->file)
		json_writer_string(&e->json, "file", line->file);
	if (line->line)
		json_writer_integer(&e->json, "line", line->line);
	json_writer_close(&e->json, '}');
	return number;
}

static void put_frames(struct encoder *e)
{
	static const struct snapshot_line other = {.function = FRAMES_OTHER_NAME, .file = ""};
	struct buffer scratch = BUFFER_INIT;
	e->shown_of_frame = alloc_zeroed(e->frames.count + (size_t)1, sizeof(*e->shown_of_frame));
	json_writer_open(&e->json, "frames", '[');
	for (uint32_t i = 0; i < e->frames.count; i++)
		e->shown_of_frame[i] = add_shown(e, &scratch, e->frames.all[i].line);
	e->shown_of_frame[e->frames.count] = add_shown(e, &scratch, &other);
	json_writer_break(&e->json);
	json_writer_close(&e->json, ']');
	buffer_deinit(&scratch);
}

static const struct estimate_sum *sum_of(const struct snapshot_site *site, bool cumulative)
{
	return cumulative ? &site->cumulative : &site->live;
}

static int put_samples(struct encoder *e, bool cumulative)
{
	json_writer_open(&e->json, "samples", '[');
	for (uint32_t i = 0; i < e->snapshot->site_count; i++) {
		const struct snapshot_site *site = &e->snapshot->sites[i];
		if (!sum_of(site, cumulative)->samples)
			continue;
		uint32_t depth = frames_expand(&e->frames, site);
		json_writer_break(&e->json);
		json_writer_open(&e->json, NULL, '[');
		for (uint32_t k = depth; k > 0; k--)
			json_writer_integer(
				&e->json, NULL, e->shown_of_frame[e->frames.row[k - 1]]);
		if (!depth)
			json_writer_integer(&e->json, NULL, e->shown_of_frame[e->frames.count]);
		json_writer_close(&e->json, ']');
		if (e->json.out->size > e->limit)
			return -EFBIG;
	}
	json_writer_close(&e->json, ']');
	return 0;
}

static int64_t put_weights(struct encoder *e, bool cumulative)
{
	struct rounding column = {0};
	json_writer_break(&e->json);
	json_writer_open(&e->json, "weights", '[');
	for (uint32_t i = 0; i < e->snapshot->site_count; i++) {
		const struct estimate_sum *sum = sum_of(&e->snapshot->sites[i], cumulative);
		if (sum->samples)
			json_writer_integer(&e->json, NULL, rounding_next(&column, sum->bytes));
	}
	json_writer_close(&e->json, ']');
	return column.given;
}

static void put_name(struct encoder *e, bool cumulative)
{
	struct buffer name = BUFFER_INIT;
	const struct snapshot *snapshot = e->snapshot;
	buffer_puts(&name, cumulative ? "allocated bytes: " : "live bytes: ");
	describe_bytes(&name, cumulative ? &snapshot->cumulative : &snapshot->live, snapshot);
	buffer_puts(&name, ", ");
	describe_sampling(&name, snapshot);
	if (snapshot->quality.unconfirmed)
		buffer_printf(&name, ", unconfirmed: %s", snapshot->quality.unconfirmed_reason);
	buffer_putc(&name, '\0');
	json_writer_string(&e->json, "name", (const char *)name.data);
	buffer_deinit(&name);
}

static int put_profile(struct encoder *e, bool cumulative)
{
	json_writer_break(&e->json);
	json_writer_open(&e->json, NULL, '{');
	json_writer_string(&e->json, "type", "sampled");
	put_name(e, cumulative);
	json_writer_string(&e->json, "unit", "bytes");
	json_writer_integer(&e->json, "startValue", 0);
	int status = put_samples(e, cumulative);
	if (status < 0)
		return status;
	int64_t sum = put_weights(e, cumulative);
	json_writer_integer(&e->json, "endValue", sum);
	json_writer_close(&e->json, '}');
	return 0;
}

static int put_file(struct encoder *e)
{
	struct buffer name = BUFFER_INIT;
	describe_process(&name, e->snapshot);
	buffer_putc(&name, '\0');
	json_writer_open(&e->json, NULL, '{');
	json_writer_string(
		&e->json, "$schema", "https://www.speedscope.app/file-format-schema.json");
	json_writer_string(&e->json, "exporter", "spprofd " PACKAGE_VERSION);
	json_writer_string(&e->json, "name", (const char *)name.data);
	buffer_deinit(&name);
	json_writer_integer(&e->json, "activeProfileIndex", 0);
	json_writer_open(&e->json, "shared", '{');
	put_frames(e);
	json_writer_close(&e->json, '}');
	json_writer_open(&e->json, "profiles", '[');
	int status = put_profile(e, false);
	if (status == 0)
		status = put_profile(e, true);
	json_writer_close(&e->json, ']');
	json_writer_close(&e->json, '}');
	buffer_putc(e->json.out, '\n');
	return status;
}

int speedscope_encode(const struct snapshot *snapshot, struct buffer *out)
{
	struct encoder e = {.snapshot = snapshot, .limit = out->size + EXPORT_MAX_BYTES};
	json_writer_init(&e.json, out);
	frames_init(&e.frames, snapshot);
	int status = put_file(&e);
	frames_deinit(&e.frames);
	key_set_deinit(&e.shown);
	free(e.shown_of_frame);
	return status;
}
