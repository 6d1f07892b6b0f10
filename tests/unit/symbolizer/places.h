/* What a fixture program says about itself (fixture/place.h), for comparing with what the
 * symbolizer finds. Test code: any trouble ends the test. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define PLACES_MAX	 16
#define PLACES_MAX_LINES 4

struct place_line {
	char function[256];
	uint32_t line;
};

struct place {
	uint64_t offset;
	struct place_line lines[PLACES_MAX_LINES];
	size_t line_count;
};

struct places {
	struct place items[PLACES_MAX];
	size_t count;
};

/* Runs the program. */
void places_read(struct places *out, const char *program);
/* Of the place whose outermost function is this. */
const struct place *places_find(const struct places *places, const char *function);
/* "BUILDDIR/tests/unit/symbolizer/NAME", in a static buffer for each call in turn (4). */
const char *places_path(const char *name);
