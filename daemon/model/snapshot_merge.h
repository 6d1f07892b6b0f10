/*
 * Several processes' snapshots as one: sites with equal stacks are one site, estimates add up, and the quality is that of
 * the worst. Locations are equal by module (path and build ID) and offset in its file, or by function, file and line
 * where they are Python's; the same library may lie elsewhere in each process. No sample may be in two of the
 * snapshots. Pure; one thread at a time.
 */
#pragma once
#include <stdint.h>

struct snapshot;
struct snapshot_merge;

/* Past `max_text` bytes of names, counted as often as stacks repeat them, sites are folded into "[other]". */
int snapshot_merge_new(struct snapshot_merge **out, uint64_t max_text);
struct snapshot_merge *snapshot_merge_free(struct snapshot_merge *merge);
/* Copies from `part`, whose sites come in the order of snapshot_finish. The first one says what process it is all about;
 * a part without a single site counts as a process, too, unless it has ended. Windows are left out. -EFBIG: more than
 * SNAPSHOT_MERGE_MAX_SAMPLES, which no answer has room for. */
#define SNAPSHOT_MERGE_MAX_SAMPLES (UINT32_C(1) << 21)
int snapshot_merge_add(struct snapshot_merge *merge, const struct snapshot *part);
/* The caller's, finished; the merge is empty after. NULL: nothing was added. */
struct snapshot *snapshot_merge_finish(struct snapshot_merge *merge);
