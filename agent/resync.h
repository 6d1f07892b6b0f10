/*
 * Telling the map again, to a daemon that asks for it (header.control.resync): in turns of at most
 * WIRE_SLICE_SLOTS slots, taken by whichever threads come by on their slow paths. Nobody waits for
 * anybody; a turn that stalls delays the answer and makes nothing wrong of it. Any thread.
 *
 * One word says how far it is: {epoch, cursor, lives}. A turn looks at the slots from the cursor
 * on, passes over what does not live, and claims the first that does by a CAS that moves the cursor
 * past it, after it holds a ring with room: what was claimed is told. Whoever finds nothing left
 * claims the end and writes END with the number of LIVEs. Why that is enough: docs/concurrency.md.
 *
 *   field           writer       reader  order
 *   walk            any, by CAS  any     [SYNC-2] acq_rel: whoever sees an epoch in it sees that it
 *                                        was asked for, and never goes back to an older one; what
 *                                        the slots hold is ordered by MAP-1 and ANN-1
 *   control.resync  daemon       any     [SYNC-1] release/acquire: what the daemon had drained was
 *                                        in the map before we look
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include "segment.h"

struct heap_map;
struct stack_store;

struct resync {
	_Atomic uint64_t walk;
};

/* What a turn works on; all borrowed. */
struct resync_parts {
	struct segment *segment;
	struct heap_map *map;
	struct stack_store *stacks;
};

/* Whether there is something to tell; one or two loads. */
bool resync_is_due(const struct resync *resync, const struct segment *segment);
void resync_turn(struct resync *resync, const struct resync_parts *parts);
/* In a forked child: nobody has asked it yet. */
void resync_reset(struct resync *resync);
