#include "places.h"
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *places_path(const char *name)
{
	static char paths[4][4096];
	static unsigned next;
	const char *build = getenv("BUILDDIR");
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/tests/unit/symbolizer/%s", build ? build : ".", name);
	return path;
}

static void parse_line(struct place_line *out, char *text)
{
	char *colon = strrchr(text, ':');
	ck_assert_ptr_nonnull(colon);
	*colon = '\0';
	ck_assert_uint_lt(strlen(text), sizeof(out->function));
	strcpy(out->function, text);
	out->line = (uint32_t)strtoul(colon + 1, NULL, 10);
}

static void parse(struct place *out, char *text)
{
	char *rest = NULL, *word = strtok_r(text, "\t\n", &rest);
	out->offset = strtoull(word, NULL, 16);
	while ((word = strtok_r(NULL, "\t\n", &rest))) {
		ck_assert_uint_lt(out->line_count, PLACES_MAX_LINES);
		parse_line(&out->lines[out->line_count++], word);
	}
	ck_assert_uint_gt(out->line_count, 0);
}

void places_read(struct places *out, const char *program)
{
	char text[1024];
	memset(out, 0, sizeof(*out));
	FILE *output = popen(program, "r");
	ck_assert_ptr_nonnull(output);
	while (fgets(text, sizeof(text), output)) {
		ck_assert_uint_lt(out->count, PLACES_MAX);
		parse(&out->items[out->count++], text);
	}
	ck_assert_int_eq(pclose(output), 0);
	ck_assert_uint_ge(out->count, 5);
}

const struct place *places_find(const struct places *places, const char *function)
{
	for (size_t i = 0; i < places->count; i++) {
		const struct place *place = &places->items[i];
		if (strcmp(place->lines[place->line_count - 1].function, function) == 0)
			return place;
	}
	ck_abort_msg("the fixture says nothing of %s", function);
}
