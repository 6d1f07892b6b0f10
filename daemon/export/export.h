/*
 * Encoders: snapshot in, bytes out. Pure; any thread, as long as the snapshot is not changed meanwhile.
 * Every one says in its own way since when, at which interval, what was lost and how sure the numbers are.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct buffer;
struct snapshot;

enum export_format {
	EXPORT_TEXT,
	EXPORT_JSON,
	EXPORT_PPROF,       /* gzip'ed profile.proto */
	EXPORT_COLLAPSED,   /* Brendan Gregg's folded stacks, live bytes */
	EXPORT_SPEEDSCOPE,
	EXPORT_FORMATS
};

struct export_options {
	uint32_t top;    /* text: sites at most, 0: all */
	uint32_t depth;  /* text: frames that identify a site, 0: whole stacks */
	uint32_t width;  /* text: columns of the terminal, 0: no limit */
	bool color;      /* text */
	bool cumulative; /* text, collapsed: rank and print by bytes allocated since the start, not live */
};

const char *export_format_name(enum export_format format);
int export_parse_format(const char *name, enum export_format *out); /* 0 or -EINVAL */
/* 0 or negative errno. Appends to `out`. */
int export_snapshot(const struct snapshot *snapshot, enum export_format format,
	const struct export_options *options, struct buffer *out);
