/*
 * Telling the daemon of births and deaths so that its copy of the live set equals the map, whatever
 * the rings' order (docs/concurrency.md; tests/model explores it). Any thread.
 *
 *   announce  slot FINAL → record → head → CAS on the slot's id: leave the mark; failed: DEATH at
 * once retire    FINAL → BUSY → exchange of the slot's id: DEATH if the mark was there → TOMB
 *
 * One word decides ([ANN-1] in heap_map.h), so of an announced block's death exactly one side
 * tells, and BIRTH's head is always released before that DEATH's.
 */
#pragma once
#include <stdint.h>
#include "heap_map.h"
#include "segment.h"

/* The record that tells a block's birth; `birth` has room for WIRE_MAX_FRAMES and its frames are in
 * place. */
struct wire_birth;
struct ring_lease;

/* `slot` is FINAL and described by `birth`. No room: it stays unannounced and the loss is counted.
 */
void announce_birth(struct segment *segment, const struct heap_map *map, struct wire_slot *slot,
	const struct wire_birth *birth);

/* The same for a BIRTH or a LIVE in a ring that the caller has leased with announce_room bytes. A
 * LIVE whose block has died meanwhile is taken back. */
uint32_t announce_room(const struct wire_birth *birth);
void announce_in_lease(struct segment *segment, const struct heap_map *map, struct wire_slot *slot,
	const struct wire_birth *birth, struct ring_lease *lease);

/* `slot` is BUSY and ours (heap_map_take). Writes its DEATH if it was announced, and buries it.
 * now_ns 0: the moment is unknown. */
void announce_death(
	struct segment *segment, struct heap_map *map, struct wire_slot *slot, uint64_t now_ns);
/* Of an entry that was announced and is out of the map already (heap_map_forget). */
void announce_forgotten(struct segment *segment, uint64_t id, uint64_t now_ns);
