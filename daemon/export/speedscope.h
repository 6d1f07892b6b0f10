/*
 * speedscope's file format (https://www.speedscope.app/file-format-schema.json): one file, two
 * profiles of type "sampled", live bytes and bytes allocated since the start. Stacks are root
 * first; weights are whole bytes whose sum is the rounded total. The profiles' names say how the
 * data came about.
 */
#pragma once

struct buffer;
struct snapshot;

/* 0 or negative errno: -EFBIG past EXPORT_MAX_BYTES. Appends to `out`. Pure; any thread. */
int speedscope_encode(const struct snapshot *snapshot, struct buffer *out);
