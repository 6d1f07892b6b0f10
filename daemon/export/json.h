/*
 * Our own format, "spprof.snapshot/1", described in docs/formats.md. Fields may be added under the
 * same number; a reader that meets a higher one must refuse. Bytes and counts are integers:
 * `value`s are rounded so that the sites add up to the total, `low` is rounded down and `high` up.
 */
#pragma once

struct buffer;
struct snapshot;

/* 0 or negative errno: -EFBIG past EXPORT_MAX_BYTES. Appends to `out`. Pure; any thread. */
int json_encode(const struct snapshot *snapshot, struct buffer *out);
