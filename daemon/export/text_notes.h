/*
 * What the reader of a text must know before trusting it: one line each, only where something is
 * amiss, with what to do about it. Pure; any thread.
 */
#pragma once
#include <stdbool.h>

struct buffer;
struct snapshot;

struct text_notes_options {
	bool color;
	bool cumulative;
	bool unresolved_shown; /* a frame in the table has no name */
};

void text_notes_put(struct buffer *out, const struct snapshot *snapshot,
	const struct text_notes_options *options);
