/*
 * The rows of the text: stacks that look alike in it, merged. A row is named by the innermost
 * frames behind the runtime's wrappers (export/text_name.h), `depth` of them, where up to
 * TEXT_SITES_ALLOCATORS functions named like allocators (zmalloc) do not count at the innermost
 * end; and by where the outermost of these frames is, so that no two rows read the same. Where Python is on the
 * stack, its innermost `depth` lines name the row, behind the innermost frames of what it called. Estimates
 * are merged before an interval is computed. Borrows the snapshot. Not thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "base/buffer.h"
#include "export/frames.h"
#include "export/key_set.h"
#include "model/estimate.h"

#define TEXT_SITES_ALLOCATORS 4u

struct text_site {
	size_t first;	/* in text_sites.shown */
	uint32_t depth; /* frames shown, >= 1 */
	struct estimate_sum live, cumulative;
};

struct text_sites {
	struct frames frames;
	struct key_set names;	  /* as shown, but for the width */
	struct key_set places;	  /* "object.c:41", or the module, or "" */
	uint32_t *name_of_frame;  /* owns; past the last frame are "[other]" and "..." */
	uint32_t *place_of_frame; /* owns; likewise */
	struct buffer shown;	  /* uint32_t: frame numbers of all rows */
	struct buffer chosen;	  /* likewise, of one */
	struct text_site *all;	  /* owns; largest first */
	uint32_t count;
	bool whole_stacks; /* depth was 0: each frame with its place */
};

/* Rows with no sample in what they are ranked by (live, or cumulative) are left out. */
void text_sites_init(
	struct text_sites *sites, const struct snapshot *snapshot, uint32_t depth, bool cumulative);
void text_sites_deinit(struct text_sites *sites);
const char *text_sites_name(
	const struct text_sites *sites, const struct text_site *site, uint32_t i);
/* Whether no other frame follows on its line: in rows with Python's frames each of these is on a line of its own. */
bool text_sites_ends_line(const struct text_sites *sites, const struct text_site *site, uint32_t i);
const char *text_sites_place(
	const struct text_sites *sites, const struct text_site *site, uint32_t i);
/* Whether a frame of the row has no name. */
bool text_sites_unresolved(const struct text_sites *sites, const struct text_site *site);
