/*
 * A stack is a row of name numbers, root first, until the moment it is printed: rows are compared
 * number by number and a name is looked at only where they first differ. So memory is 4 bytes a
 * frame, and sorting does not depend on how long the names are.
 */
#include "config.h" /* first: qsort_r */
#include "export/collapsed.h"
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "export/export.h"
#include "export/frames.h"
#include "export/key_set.h"
#include "export/rounding.h"
#include "export/utf8.h"
#include "model/snapshot.h"

struct stack {
	const uint32_t *names; /* borrows */
	uint32_t depth;
	double bytes;
};

struct encoder {
	struct frames frames;
	struct key_set names;
	uint32_t *name_of_frame; /* owns */
	uint32_t *rows;		 /* owns; all stacks one after another */
	struct stack *stacks;	 /* owns */
	size_t stack_count;
};

/* Most functions of Python have a name that others have, too ("<module>"): theirs say where they are. */
static void append_python_place(struct buffer *scratch, const struct snapshot_line *line)
{
	if (!*line->file)
		return;
	buffer_puts(scratch, " (");
	utf8_append_shown(scratch, frames_short_file(line->file));
	if (line->line)
		buffer_printf(scratch, ":%" PRIu32, line->line);
	buffer_putc(scratch, ')');
}

static uint32_t add_name(
	struct key_set *names, struct buffer *scratch, const char *name, const struct frame *frame)
{
	buffer_clear(scratch);
	utf8_append_shown(scratch, *name ? name : "?");
	if (frame && frame->location->python)
		append_python_place(scratch, frame->line);
	for (size_t i = 0; i < scratch->size; i++)
		if (scratch->data[i] == ';')
			scratch->data[i] = ':';
	return key_set_add(names, scratch->data, scratch->size);
}

static void number_names(struct encoder *e)
{
	struct buffer scratch = BUFFER_INIT;
	e->name_of_frame = alloc_zeroed(e->frames.count + (size_t)1, sizeof(*e->name_of_frame));
	for (uint32_t i = 0; i < e->frames.count; i++)
		e->name_of_frame[i] = add_name(
			&e->names, &scratch, e->frames.all[i].line->function, &e->frames.all[i]);
	/* past the last frame: what a site without frames is called */
	e->name_of_frame[e->frames.count] = add_name(&e->names, &scratch, FRAMES_OTHER_NAME, NULL);
	buffer_deinit(&scratch);
}

static size_t row_length(struct frames *frames, const struct snapshot_site *site)
{
	uint32_t depth = frames_expand(frames, site);
	return depth ? depth : 1;
}

static void fill_row(struct encoder *e, const struct snapshot_site *site, uint32_t *row)
{
	uint32_t depth = frames_expand(&e->frames, site);
	for (uint32_t i = 0; i < depth; i++)
		row[i] = e->name_of_frame[e->frames.row[depth - 1 - i]];
	if (!depth)
		row[0] = e->name_of_frame[e->frames.count];
}

static void collect(struct encoder *e, const struct snapshot *snapshot, bool cumulative)
{
	size_t total = 0;
	for (uint32_t i = 0; i < snapshot->site_count; i++)
		total += row_length(&e->frames, &snapshot->sites[i]);
	e->rows = alloc_zeroed(total, sizeof(*e->rows));
	e->stacks = alloc_zeroed(snapshot->site_count, sizeof(*e->stacks));
	uint32_t *row = e->rows;
	for (uint32_t i = 0; i < snapshot->site_count; i++) {
		const struct snapshot_site *site = &snapshot->sites[i];
		const struct estimate_sum *sum = cumulative ? &site->cumulative : &site->live;
		if (!sum->samples)
			continue;
		uint32_t depth = (uint32_t)row_length(&e->frames, site);
		fill_row(e, site, row);
		e->stacks[e->stack_count++] = (struct stack){row, depth, sum->bytes};
		row += depth;
	}
}

/* The name's bytes and what follows it on the line, as `sort` sees them. */
static int compare_names(const char *a, char after_a, const char *b, char after_b)
{
	while (*a && *a == *b)
		a++, b++;
	unsigned char left = (unsigned char)(*a ? *a : after_a);
	unsigned char right = (unsigned char)(*b ? *b : after_b);
	return left < right ? -1 : left > right;
}

static int compare_stacks(const void *left, const void *right, void *data)
{
	const struct key_set *names = data;
	const struct stack *a = left, *b = right;
	for (uint32_t i = 0; i < a->depth && i < b->depth; i++) {
		char after_a = i + 1 < a->depth ? ';' : ' ', after_b = i + 1 < b->depth ? ';' : ' ';
		if (a->names[i] == b->names[i] && after_a == after_b)
			continue;
		return compare_names(key_set_get(names, a->names[i]), after_a,
			key_set_get(names, b->names[i]), after_b);
	}
	return 0;
}

static void merge_equal(struct encoder *e)
{
	size_t kept = 0;
	for (size_t i = 0; i < e->stack_count; i++) {
		if (kept && compare_stacks(&e->stacks[kept - 1], &e->stacks[i], &e->names) == 0)
			e->stacks[kept - 1].bytes += e->stacks[i].bytes;
		else
			e->stacks[kept++] = e->stacks[i];
	}
	e->stack_count = kept;
}

static int print(const struct encoder *e, struct buffer *out)
{
	struct rounding column = {0};
	size_t limit = out->size + EXPORT_MAX_BYTES;
	for (size_t i = 0; i < e->stack_count; i++) {
		const struct stack *stack = &e->stacks[i];
		int64_t bytes = rounding_next(&column, stack->bytes);
		if (!bytes)
			continue;
		for (uint32_t k = 0; k < stack->depth; k++) {
			buffer_puts(out, key_set_get(&e->names, stack->names[k]));
			buffer_putc(out, k + 1 < stack->depth ? ';' : ' ');
		}
		buffer_printf(out, "%" PRId64 "\n", bytes);
		if (out->size > limit)
			return -EFBIG;
	}
	return 0;
}

int collapsed_encode(const struct snapshot *snapshot, bool cumulative, struct buffer *out)
{
	struct encoder e = {0};
	frames_init(&e.frames, snapshot);
	number_names(&e);
	collect(&e, snapshot, cumulative);
	qsort_r(e.stacks, e.stack_count, sizeof(*e.stacks), compare_stacks, &e.names);
	merge_equal(&e);
	int status = print(&e, out);
	frames_deinit(&e.frames);
	key_set_deinit(&e.names);
	free(e.name_of_frame);
	free(e.rows);
	free(e.stacks);
	return status;
}
