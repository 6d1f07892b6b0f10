/*
 * Folded stacks, one per line: root;caller;...;leaf bytes. Sorted bytewise, equal stacks merged,
 * whole bytes whose sum is the rounded total, lines of 0 left out. In names ';' becomes ':' and a
 * control character '?'. The format has no place for the quality of the data: json and text have.
 */
#pragma once
#include <stdbool.h>

struct buffer;
struct snapshot;

/* 0 or negative errno: -EFBIG past EXPORT_MAX_BYTES. Appends to `out`. Pure; any thread. */
int collapsed_encode(const struct snapshot *snapshot, bool cumulative, struct buffer *out);
