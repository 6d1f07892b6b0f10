/*
 * Encoders: snapshot in, bytes out. Pure; any thread, as long as the snapshot is not changed
 * meanwhile. Every one says in its own way since when, at which interval, what was lost and how
 * sure the numbers are; only collapsed has no place for it. docs/formats.md describes each format
 * for its readers.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct buffer;
struct snapshot;

/* What a client asks for unless told otherwise. */
#define EXPORT_DEFAULT_TOP   20u
#define EXPORT_DEFAULT_DEPTH 3u
/* Formats that repeat names stop here: a worker chooses its names, the daemon holds the answer. */
#define EXPORT_MAX_BYTES ((size_t)256 << 20)

enum export_format {
	EXPORT_TEXT,
	EXPORT_JSON,
	EXPORT_PPROF,	  /* gzip'ed profile.proto */
	EXPORT_COLLAPSED, /* Brendan Gregg's folded stacks */
	EXPORT_SPEEDSCOPE,
	EXPORT_FORMATS
};

struct export_options {
	/* text: sites at most, 0: all */
	uint32_t top;
	/* text: functions that name a site, 0: whole stacks (export/text_sites.h has the rule) */
	uint32_t depth;
	/* text: columns of the terminal, 0: no limit */
	uint32_t width;
	/* text: our own colours */
	bool color;
	/* text, collapsed: rank and print by bytes allocated since the start, not live */
	bool cumulative;
};

/* "text", "json", "pprof", "collapsed", "speedscope"; "unknown" for anything else. */
const char *export_format_name(enum export_format format);
int export_parse_format(const char *name, enum export_format *out); /* 0 or -EINVAL */
/*
 * Appends to `out`; 0 or negative errno, and then `out` is as it was: -EINVAL for an unknown
 * format, -EFBIG past EXPORT_MAX_BYTES (next step for a person: pprof, which repeats nothing),
 * -ENOMEM. `options` may be NULL: the defaults above, no limit of width, no colours, live.
 */
int export_snapshot(const struct snapshot *snapshot, enum export_format format,
	const struct export_options *options, struct buffer *out);
