#include "config.h"
#include "line_samples.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "ingest/line_table.h"

#define MAX_UNITS (1u << 24) /* wherever the text says that it ends */

struct sample {
	unsigned form;
	int32_t first_line;
	uint8_t *table; /* owns */
	size_t size;
	char *runs; /* borrows: "UNIT:LINE,...,END" */
};

static bool parse_hex(const char *text, struct sample *sample)
{
	size_t size = strcmp(text, "-") == 0 ? 0 : strlen(text) / 2;
	sample->table = malloc(size + 1);
	for (sample->size = 0; sample->size < size; sample->size++) {
		unsigned byte;
		if (sscanf(text + 2 * sample->size, "%2x", &byte) != 1)
			return false;
		sample->table[sample->size] = (uint8_t)byte;
	}
	return true;
}

static bool parse(char *line, struct sample *sample)
{
	char *form = strtok(line, " "), *first = strtok(NULL, " "), *table = strtok(NULL, " ");
	sample->runs = strtok(NULL, "\n");
	if (!sample->runs)
		return false;
	sample->form = (unsigned)atoi(form);
	sample->first_line = atoi(first);
	return parse_hex(table, sample);
}

/* What line_table says of a unit, which is at or behind that of the call before. */
struct walk {
	struct line_table table;
	struct line_range now, next;
	bool has_next;
};

static uint32_t line_at(struct walk *walk, uint32_t unit)
{
	while (walk->has_next && walk->next.unit <= unit) {
		walk->now = walk->next;
		walk->has_next = line_table_next(&walk->table, &walk->next);
	}
	return walk->now.line;
}

static void compare(const struct sample *sample, struct line_samples *out)
{
	struct walk walk = {.now = {0, LINE_TABLE_NONE}};
	line_table_init(&walk.table, (uint8_t)sample->form, false, sample->first_line,
		sample->table, sample->size);
	walk.has_next = line_table_next(&walk.table, &walk.next);
	uint32_t line = 0;
	char *at = sample->runs;
	for (uint32_t unit = 0; unit < MAX_UNITS; unit++) {
		if (unit == strtoul(at, NULL, 10)) {
			char *colon = at + strspn(at, "0123456789");
			if (*colon != ':')
				break;
			line = (uint32_t)strtoul(colon + 1, &at, 10);
			at += *at == ',';
		}
		uint32_t got = line_at(&walk, unit);
		out->units++;
		if (got != line && out->wrong++ == 0)
			snprintf(out->first_wrong, sizeof out->first_wrong,
				"code %" PRIu64 " (form %u, first line %" PRId32 "): unit %" PRIu32
				" is of line %" PRIu32 ", not %" PRIu32,
				out->codes, sample->form, sample->first_line, unit, line, got);
	}
}

void line_samples_compare(FILE *file, struct line_samples *out)
{
	char *line = NULL;
	size_t room = 0;
	*out = (struct line_samples){0};
	while (getline(&line, &room, file) > 0) {
		struct sample sample = {0};
		if (line[0] == '#')
			continue;
		out->codes++;
		if (parse(line, &sample))
			compare(&sample, out);
		else
			out->wrong++;
		free(sample.table);
	}
	free(line);
}
