/*
 * The truth: which live addresses are sampled, and what each stands for. Lock-free open addressing
 * over a fixed window of slots; where a window is full, the next level (twice as large) is tried,
 * so memory follows the number of live samples. Slots never move and their memory keeps its type.
 * Any thread, also in signal handlers; a thread that dies half-way leaves one slot BUSY for good.
 *
 * A slot's key:  EMPTY → BUSY → FINAL(p) → BUSY → TOMB → BUSY → …,  FINAL(p) ⇄ LIMBO(p) in realloc.
 * BUSY belongs to one thread; LIMBO never matches a lookup.
 *
 *   field     writer                     reader              order
 *   key       whoever wins the CAS       any                 [MAP-1] acquire/release: the slot's
 * fields id … tid  the slot's BUSY owner      who saw FINAL       relaxed: re-checked by key and id
 *   announced announcer                  retire              [ANN-1] full fences on both sides
 * (announce.c) levels    inserter, before FINAL     lookups             relaxed: ordered by the
 * hand-over of p itself
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HEAP_MAP_WINDOW	     16u
#define HEAP_MAP_MAX_LEVELS  12u
#define HEAP_MAP_LEVEL0_BITS 13u /* 8,192 slots, 384 KiB of addresses; touched page by page */

struct heap_map_slot {
	_Atomic uint64_t key;
	_Atomic uint64_t id_mark; /* id << 1 | announced; 0 once retired. The id is drawn while the
				     slot is BUSY and never reused, so a CAS on it cannot mistake
				     the slot's next tenant. */
	_Atomic uint64_t size_bytes;
	_Atomic uint64_t interval_bytes;
	_Atomic uint64_t birth_ns;
	_Atomic uint64_t meta; /* stack reference 32 | thread id 32 */
};

_Static_assert(sizeof(struct heap_map_slot) == 48, "at most 64 bytes per live sample at 75 % load");

struct heap_map_level {
	struct heap_map_slot *slots;
	uint32_t bits; /* 2^bits slots */
};

struct heap_map {
	struct heap_map_level level[HEAP_MAP_MAX_LEVELS];
	uint32_t level_count;	     /* that memory was reserved for */
	uint32_t generation;	     /* of BUSY keys */
	_Atomic uint32_t levels;     /* in use */
	_Atomic uint64_t next_id;    /* last id drawn */
	_Atomic uint64_t used_slots; /* not EMPTY and not TOMB */
	_Atomic uint64_t collisions;
	uint64_t capacity; /* slots of all levels */
};

/* A block as its owner hands it in; `id` is filled in by the insert. */
struct heap_map_entry {
	uintptr_t address;
	uint64_t id;
	uint64_t size_bytes;
	uint64_t interval_bytes;
	uint64_t birth_ns;
	uint32_t stack_ref; /* 0: stack not kept */
	uint32_t tid;
};

/* Lays levels of slots out in `size` bytes of zeroed memory. -ENOMEM if not even the first fits. */
int heap_map_init(struct heap_map *map, void *memory, size_t size);

/* NULL: no slot (counted by the caller). The caller owns entry->address and has no FINAL slot of
 * it. */
struct heap_map_slot *heap_map_insert(struct heap_map *map, struct heap_map_entry *entry);

/* FINAL(address) → BUSY, owned by the caller, who reads it and then calls heap_map_bury. NULL: not
 * sampled. */
struct heap_map_slot *heap_map_take(struct heap_map *map, uintptr_t address);
/* FINAL(address) → LIMBO(address), for the time of a realloc. NULL: not sampled. */
struct heap_map_slot *heap_map_suspend(struct heap_map *map, uintptr_t address);
/* LIMBO → FINAL: the realloc failed. */
void heap_map_resume(struct heap_map *map, struct heap_map_slot *slot);
/* LIMBO → BUSY: the realloc succeeded; then as after heap_map_take. */
void heap_map_take_suspended(struct heap_map *map, struct heap_map_slot *slot);
/* BUSY → TOMB: the slot may be used again. */
void heap_map_bury(struct heap_map *map, struct heap_map_slot *slot);

/* The announcer has told the daemon of `id`: leaves the mark that obliges retire to tell of its
 * death. False: the block has been retired meanwhile, and the announcer must tell. Exactly one of
 * the two does. */
bool heap_map_mark_announced(struct heap_map_slot *slot, uint64_t id);
/* On a slot that is ours (BUSY): its id, and whether its death must be told. */
uint64_t heap_map_retire(struct heap_map_slot *slot, bool *announced);

/* Whether the slot still is FINAL(address) with this id. */
bool heap_map_holds(const struct heap_map_slot *slot, uintptr_t address, uint64_t id);
/* At least 3/4 of all slots are in use. */
bool heap_map_crowded(const struct heap_map *map);

/* Calls visit for every FINAL slot; entries that change under it are skipped. */
void heap_map_each(
	struct heap_map *map, void (*visit)(const struct heap_map_entry *, void *), void *data);
