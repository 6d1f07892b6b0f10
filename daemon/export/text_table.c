/*
 * Widths are settled here and libsmartcols is told of no terminal width, since it would rather cut
 * a number than know what a chain of functions is. First the number columns are formatted and
 * measured; what is left of the terminal is shared between FUNCTION and WHERE; then the chains are
 * laid out.
 */
#include "export/text_table.h"
#include <errno.h>
#include <inttypes.h>
#include <libsmartcols.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "export/export.h"
#include "export/human.h"
#include "export/text_name.h"
#include "export/text_sites.h"

#define SEPARATOR      "  "
#define ARROW	       "<- "
#define ARROW_WIDTH    3u
#define NAME_MAX_WIDTH 160u /* of one function or place, whatever the width */
#define FUNCTION_MIN   20u  /* narrower terminals get longer lines */
#define WHERE_MIN      10u

enum column { BYTES, SHARE, INTERVAL, SAMPLES, NUMBERS, FUNCTION = NUMBERS, WHERE };

struct layout {
	const struct text_sites *sites; /* borrows */
	const struct export_options *options;
	const struct estimate_sum *total;
	uint32_t count;
	struct buffer cells;   /* text of the number columns, each with a NUL */
	size_t *offsets;       /* owns; count * NUMBERS, into cells */
	size_t width[NUMBERS]; /* of the number columns */
	size_t function_width; /* SIZE_MAX: no limit; 0: not settled yet */
	size_t where_width;    /* 0: the column is left out */
	size_t chain_bytes;    /* laid out so far */
};

static const char *title(const struct layout *l, enum column column)
{
	static const char *const titles[] = {
		[BYTES] = "LIVE",
		[SHARE] = "SHARE",
		[INTERVAL] = "95% INTERVAL",
		[SAMPLES] = "SAMPLES",
		[FUNCTION] = "FUNCTION <- CALLERS",
		[WHERE] = "WHERE",
	};
	if (column == BYTES && l->options->cumulative)
		return "ALLOCATED";
	if (column == FUNCTION && l->function_width && l->function_width < strlen(titles[FUNCTION]))
		return "FUNCTION";
	return titles[column];
}

/* ---- numbers ---- */

static void format_number(struct layout *l, const struct estimate_sum *sum,
	const struct estimate_interval *bytes, enum column column)
{
	switch (column) {
	case BYTES:
		human_bytes(&l->cells, bytes->value);
		break;
	case SHARE:
		buffer_printf(&l->cells, "%.1f%%",
			l->total->bytes > 0 ? 100 * sum->bytes / l->total->bytes : 0.0);
		break;
	case INTERVAL:
		human_range(&l->cells, bytes->low, bytes->high);
		break;
	default:
		buffer_printf(&l->cells, "%" PRIu64, sum->samples);
		break;
	}
}

static void format_row(struct layout *l, const struct estimate_sum *sum, size_t *offsets)
{
	struct estimate_interval bytes = estimate_bytes(sum);
	for (int column = 0; column < NUMBERS; column++) {
		offsets[column] = l->cells.size;
		format_number(l, sum, &bytes, (enum column)column);
		size_t width = l->cells.size - offsets[column];
		if (width > l->width[column])
			l->width[column] = width;
		buffer_putc(&l->cells, '\0');
	}
}

static void format_numbers(struct layout *l)
{
	l->offsets = alloc_zeroed(l->count, NUMBERS * sizeof(*l->offsets));
	for (int column = 0; column < NUMBERS; column++)
		l->width[column] = strlen(title(l, (enum column)column));
	for (uint32_t i = 0; i < l->count; i++) {
		const struct text_site *site = &l->sites->all[i];
		format_row(l, l->options->cumulative ? &site->cumulative : &site->live,
			&l->offsets[(size_t)i * NUMBERS]);
	}
}

/* ---- widths ---- */

static size_t larger(size_t a, size_t b)
{
	return a > b ? a : b;
}

static size_t smaller(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* As wide as the widest row would like to be. */
static void measure(const struct layout *l, size_t *function, size_t *where)
{
	*function = strlen(title(l, FUNCTION));
	*where = strlen(title(l, WHERE));
	for (uint32_t i = 0; i < l->count; i++) {
		const struct text_site *site = &l->sites->all[i];
		size_t chain = 0;
		for (uint32_t k = 0; k < site->depth; k++) {
			size_t name =
				strlen(text_sites_name(l->sites, site, k)) + (k ? ARROW_WIDTH : 0);
			chain += name + (chain ? 1 : 0);
			*function = larger(*function, chain);
			if (!text_sites_ends_line(l->sites, site, k))
				continue;
			chain = 0;
			*where = larger(*where, strlen(text_sites_place(l->sites, site, k)));
		}
	}
}

static void share_room(struct layout *l)
{
	size_t function, where, taken = 0;
	if (!l->options->width) {
		l->function_width = l->where_width = SIZE_MAX;
		return;
	}
	for (int column = 0; column < NUMBERS; column++)
		taken += l->width[column] + strlen(SEPARATOR);
	size_t room = l->options->width > taken ? l->options->width - taken : 0;
	measure(l, &function, &where);
	if (room < 2 * WHERE_MIN + strlen(SEPARATOR)) {
		l->function_width = larger(room, FUNCTION_MIN);
		return;
	}
	room -= strlen(SEPARATOR);
	/* WHERE may have what FUNCTION does not need, and two fifths in any case */
	size_t most =
		larger(room > function ? room - function : 0, larger(room * 2 / 5, WHERE_MIN));
	l->where_width = smaller(where, most);
	l->function_width = room - l->where_width;
}

/* ---- chains ---- */

struct cells {
	struct buffer function, where; /* lines of the row's two last cells */
};

/* Too long: the file's name is cut, the line number stays. */
static void put_place(const struct layout *l, struct buffer *out, const char *place)
{
	size_t width = smaller(l->where_width, NAME_MAX_WIDTH), length = strlen(place);
	const char *colon = strrchr(place, ':');
	size_t suffix = colon ? strlen(colon) : 0;
	if (length <= width || width < suffix + 3) {
		buffer_append(out, place, smaller(length, width));
		return;
	}
	buffer_append(out, place, width - suffix - 2);
	buffer_puts(out, "..");
	buffer_append(out, place + length - suffix, suffix);
}

static void put_chain(const struct layout *l, const struct text_site *site, struct cells *cells)
{
	size_t line_start = 0;
	for (uint32_t i = 0; i < site->depth; i++) {
		size_t arrow = i ? ARROW_WIDTH : 0;
		struct buffer name = BUFFER_INIT;
		text_name_fit(&name, text_sites_name(l->sites, site, i),
			smaller(l->function_width - arrow, NAME_MAX_WIDTH));
		size_t line = cells->function.size - line_start;
		bool fits = i && !text_sites_ends_line(l->sites, site, i - 1) &&
			    line + 1 + arrow + name.size <= l->function_width;
		if (i && fits) {
			buffer_putc(&cells->function, ' ');
		} else if (i) {
			buffer_putc(&cells->function, '\n');
			buffer_putc(&cells->where, '\n');
			line_start = cells->function.size;
		}
		buffer_append(&cells->function, ARROW, arrow);
		buffer_append(&cells->function, name.data, name.size);
		if (l->where_width && text_sites_ends_line(l->sites, site, i))
			put_place(l, &cells->where, text_sites_place(l->sites, site, i));
		buffer_deinit(&name);
	}
	buffer_putc(&cells->function, '\0');
	buffer_putc(&cells->where, '\0');
}

/* ---- libsmartcols ---- */

static int add_column(const struct layout *l, struct libscols_table *table, enum column column)
{
	int flags = column < NUMBERS ? SCOLS_FL_RIGHT : SCOLS_FL_WRAP;
	struct libscols_column *added = scols_table_new_column(table, title(l, column), 0, flags);
	if (!added)
		return -ENOMEM;
	if (column >= NUMBERS)
		scols_column_set_wrapfunc(
			added, scols_wrapnl_chunksize, scols_wrapnl_nextchunk, NULL);
	scols_cell_set_color(scols_column_get_header(added), "bold");
	if (column == BYTES)
		scols_column_set_color(added, "bold");
	if (column == WHERE)
		scols_column_set_color(added, "cyan");
	return 0;
}

static int add_row(struct layout *l, struct libscols_table *table, uint32_t number)
{
	struct libscols_line *line = scols_table_new_line(table, NULL);
	struct cells cells = {BUFFER_INIT, BUFFER_INIT};
	int status = line ? 0 : -ENOMEM;
	for (size_t column = 0; column < NUMBERS && status == 0; column++)
		status = scols_line_set_data(line, column,
			(const char *)l->cells.data +
				l->offsets[(size_t)number * NUMBERS + column]);
	put_chain(l, &l->sites->all[number], &cells);
	l->chain_bytes += cells.function.size + cells.where.size;
	if (l->chain_bytes > EXPORT_MAX_BYTES)
		status = -EFBIG;
	if (status == 0)
		status = scols_line_set_data(line, FUNCTION, (const char *)cells.function.data);
	if (status == 0 && l->where_width)
		status = scols_line_set_data(line, WHERE, (const char *)cells.where.data);
	buffer_deinit(&cells.function);
	buffer_deinit(&cells.where);
	return status;
}

static int fill(struct layout *l, struct libscols_table *table)
{
	int status = scols_table_set_column_separator(table, SEPARATOR);
	scols_table_enable_ascii(table, 1);
	scols_table_enable_colors(table, l->options->color);
	scols_table_enable_noencoding(table, 1); /* the cells are printable ASCII */
	scols_table_set_termforce(table, SCOLS_TERMFORCE_NEVER);
	enum column last = l->where_width ? WHERE : FUNCTION;
	for (int column = 0; column <= (int)last && status == 0; column++)
		status = add_column(l, table, (enum column)column);
	for (uint32_t i = 0; i < l->count && status == 0; i++)
		status = add_row(l, table, i);
	return status;
}

static void append_lines(struct buffer *out, const char *text)
{
	while (*text) {
		size_t length = strcspn(text, "\n"), kept = length;
		while (kept && text[kept - 1] == ' ')
			kept--;
		buffer_append(out, text, kept);
		buffer_putc(out, '\n');
		text += length + (text[length] == '\n');
	}
}

static int render(struct layout *l, struct buffer *out)
{
	struct libscols_table *table = scols_new_table();
	_cleanup_free_ char *text = NULL;
	if (!table)
		return -ENOMEM;
	int status = fill(l, table);
	if (status == 0)
		status = scols_print_table_to_string(table, &text);
	if (status == 0)
		append_lines(out, text);
	scols_unref_table(table);
	return status;
}

int text_table_print(struct buffer *out, const struct text_sites *sites, uint32_t count,
	const struct estimate_sum *total, const struct export_options *options)
{
	struct layout l = {.sites = sites, .options = options, .total = total, .count = count};
	format_numbers(&l);
	share_room(&l);
	int status = render(&l, out);
	buffer_deinit(&l.cells);
	free(l.offsets);
	return status;
}
