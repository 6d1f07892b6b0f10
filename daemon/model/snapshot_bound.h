/*
 * How many bytes of names a snapshot tells: a stack repeats them, and a worker chooses its stacks and
 * names. Pure; one thread at a time.
 */
#pragma once
#include <stdint.h>

struct snapshot;
struct snapshot_location;

/* At most so many in one answer. */
#define SNAPSHOT_BOUND_MAX_TEXT (UINT64_C(256) << 20)

/* One stack's frame there. */
uint64_t snapshot_bound_text(const struct snapshot_location *location);
/* Past `max_text` bytes, counted as often as stacks repeat them, the sites with the fewest live bytes
 * are folded into one, "[other]". The snapshot's `sites` have room for one more; it is finished
 * afterwards. */
void snapshot_bound(struct snapshot *snapshot, uint64_t max_text);
