/*
 * What a person reads first: one line on what was sampled and how, notes if something is amiss, the
 * total, the table of sites, what a site that was never sampled may hold, the next step. ASCII;
 * names cannot bring control characters in. The only escape sequences are our own colours, on
 * request.
 */
#pragma once

struct buffer;
struct export_options;
struct snapshot;

/* 0 or negative errno: -EFBIG past EXPORT_MAX_BYTES. Appends to `out`. Pure; any thread. */
int text_encode(
	const struct snapshot *snapshot, const struct export_options *options, struct buffer *out);
