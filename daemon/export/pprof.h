/*
 * profile.proto, gzip'ed, as Go's heap profiles: alloc_objects, alloc_space, inuse_objects,
 * inuse_space. Whole stacks, nothing dropped. Values are unbiased estimates, rounded so that each
 * column adds up (export/rounding.h). What was lost and how sure the numbers are stands in the
 * comments.
 */
#pragma once

struct buffer;
struct snapshot;

/* 0 or negative errno. Appends to `out`. Pure; any thread. */
int pprof_encode(const struct snapshot *snapshot, struct buffer *out);
