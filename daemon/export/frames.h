/*
 * A snapshot's frames, numbered: every line of every location, inlined functions included. A site's
 * stack is then a row of numbers, and what is costly about a frame is done once per frame instead
 * of once per stack. Borrows the snapshot. Not thread-safe (frames_expand reuses its row).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct snapshot;
struct snapshot_line;
struct snapshot_location;
struct snapshot_module;
struct snapshot_site;

#define FRAMES_OTHER_NAME "[other]" /* what a site without frames is called */

struct frame {
	const struct snapshot_line *line;
	const struct snapshot_location *location;
	bool inlined; /* into the next frame outwards */
};

struct frames {
	const struct snapshot *snapshot; /* borrows */
	struct frame *all;		 /* owns */
	uint32_t count;
	uint32_t *first; /* owns; per location, the number of its innermost frame */
	uint32_t *row;	 /* owns; of the site expanded last */
	uint32_t row_capacity;
};

void frames_init(struct frames *frames, const struct snapshot *snapshot);
void frames_deinit(struct frames *frames);
/* Fills frames->row, innermost first; returns how many. */
uint32_t frames_expand(struct frames *frames, const struct snapshot_site *site);
/* The part of a file's name that people know it by, within it: its last component; of a Python package's own file
 * the package, too. */
const char *frames_short_file(const char *file);
/* NULL if none is known. */
const struct snapshot_module *frames_module(const struct frames *frames, const struct frame *frame);
