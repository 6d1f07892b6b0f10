/*
 * The truth: which live addresses are sampled, and what each stands for. Lock-free open addressing
 * over fixed windows of slots; where a window is full, one in the next level (twice as large) is
 * tried, and where all levels' are, a second one in each: memory follows the number of live samples,
 * and inserts are refused from a load of about two thirds on. Slots never move and their memory keeps its type.
 * Any thread, also in signal handlers; a thread that dies half-way leaves one slot BUSY for good.
 *
 * A slot's key:  EMPTY → BUSY → FINAL(p) → BUSY → TOMB → BUSY → …,  FINAL(p) ⇄ LIMBO(p) in realloc.
 * BUSY belongs to one thread; LIMBO never matches a lookup.
 *
 *   field      writer                 reader       order
 *   key        whoever wins the CAS   any          [MAP-1] acquire/release: the slot's fields
 *   id_mark    BUSY's owner;          any          [ANN-1] release/acquire: a BIRTH's head before
 *              announcer by CAS                    the mark, before a DEATH written because of it
 *   size … tid BUSY's owner           who saw      relaxed: re-checked by the id
 *                                     FINAL
 *   windows    inserter, before FINAL lookups      relaxed: ordered by the hand-over of p itself
 *   generation settling child         any          relaxed: ordered by FORK-1
 */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "spprof/wire/map.h"

#define HEAP_MAP_WINDOW 16u

struct heap_map_level {
	struct wire_slot *slots;
	uint32_t bits; /* 2^bits slots */
};

struct heap_map {
	struct heap_map_level level[WIRE_MAP_MAX_LEVELS];
	uint32_t level_count;	     /* that memory was reserved for */
	_Atomic uint32_t generation; /* of BUSY keys and marks; rises in forked children */
	_Atomic uint32_t windows;    /* per address in use: one in each level, then a second one */
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

static inline uint32_t heap_map_generation(const struct heap_map *map)
{
	/* relaxed: changed once, in a child that has just been forked. */
	return atomic_load_explicit(&map->generation, memory_order_relaxed);
}

/* NULL: no slot (counted by the caller). The caller owns entry->address and has no FINAL slot of
 * it. */
struct wire_slot *heap_map_insert(struct heap_map *map, struct heap_map_entry *entry);

/* FINAL(address) → BUSY, owned by the caller, who reads it and then calls heap_map_bury. NULL: not
 * sampled. */
struct wire_slot *heap_map_take(struct heap_map *map, uintptr_t address);
/* FINAL(address) → TOMB in one step, for a forked child that has not settled: there BUSY would be
 * taken for a thread that does not exist. False: not sampled. */
struct heap_map_forgotten {
	uint64_t id;
	uint32_t stack_ref;
	bool announced; /* in this generation */
};
bool heap_map_forget(struct heap_map *map, uintptr_t address, struct heap_map_forgotten *out);
/* FINAL(address) → LIMBO(address), for the time of a realloc. NULL: not sampled. */
struct wire_slot *heap_map_suspend(struct heap_map *map, uintptr_t address);
/* LIMBO → FINAL: the realloc failed. */
void heap_map_resume(struct heap_map *map, struct wire_slot *slot);
/* LIMBO → BUSY: the realloc succeeded; then as after heap_map_take. */
void heap_map_take_suspended(struct heap_map *map, struct wire_slot *slot);
/* BUSY → TOMB: the slot may be used again. */
void heap_map_bury(struct heap_map *map, struct wire_slot *slot);

/* The announcer has told the daemon of `id`: leaves the mark that obliges retire to tell of its
 * death, and says who has to tell now. */
enum heap_map_mark {
	HEAP_MAP_GONE,	 /* retired meanwhile: the announcer tells of the death */
	HEAP_MAP_MARKED, /* retire will */
	HEAP_MAP_KNOWN,	 /* likewise; another announcer was faster */
};
enum heap_map_mark heap_map_mark_announced(
	const struct heap_map *map, struct wire_slot *slot, uint64_t id);
/* On a slot that is ours (BUSY): its id, and whether its death must be told. */
uint64_t heap_map_retire(const struct heap_map *map, struct wire_slot *slot, bool *announced);

/* Whether the slot still is FINAL(address) with this id. */
bool heap_map_holds(const struct wire_slot *slot, uintptr_t address, uint64_t id);
/* Whether the slot still is that id's, in whatever state. */
bool heap_map_has_id(const struct wire_slot *slot, uint64_t id);
/* On a slot that is ours (BUSY or LIMBO). */
uint32_t heap_map_stack_ref(const struct wire_slot *slot);
/* At least half of all slots are in use: it is time to sample less, before inserts are refused. */
bool heap_map_crowded(const struct heap_map *map);

/* Slots by number, over all levels in use. */
uint32_t heap_map_levels_in_use(const struct heap_map *map);
uint32_t heap_map_slots_in_use(const struct heap_map *map);
struct wire_slot *heap_map_slot(struct heap_map *map, uint32_t number);
/* A copy of what lives there, all of it one block's: FINAL, in the middle of a realloc, or about to
 * die without having told so (`address` is 0 then). False: nothing, or it changed meanwhile. */
bool heap_map_read(
	const struct heap_map *map, const struct wire_slot *slot, struct heap_map_entry *out);
/* Calls visit for every slot that heap_map_read takes. */
void heap_map_each(
	struct heap_map *map, void (*visit)(const struct heap_map_entry *, void *), void *data);

/* In a forked child, before anything else changes in it: what the threads that do not exist here
 * were at is resolved. A block in the middle of a realloc is there still; one in the middle of
 * malloc or free is out of everybody's reach. */
void heap_map_settle(struct heap_map *map, uint32_t generation);
