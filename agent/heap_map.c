/*
 * Keys are address << 3 | tag, so no alignment of addresses is assumed (they have at most 61
 * significant bits). A window is an aligned group of slots; a lookup reads all of every window in use
 * and never stops at a free slot, so buried slots can be reused at once.
 */
#include "heap_map.h"
#include "fence.h"
#include <errno.h>

#define KEY_EMPTY UINT64_C(0)
#define KEY_TOMB  ((uint64_t)WIRE_SLOT_TOMB)

static uint64_t key_of(uintptr_t address, enum wire_slot_tag tag)
{
	return (uint64_t)address << 3 | tag;
}

static uint64_t busy_key(const struct heap_map *map)
{
	return (uint64_t)heap_map_generation(map) << 3 | WIRE_SLOT_BUSY;
}

int heap_map_init(struct heap_map *map, void *memory, size_t size)
{
	struct wire_slot *slots = memory;
	size_t left = size / sizeof *slots;

	*map = (struct heap_map){0};
	/* relaxed: nobody else knows the map yet. */
	atomic_store_explicit(&map->generation, 1, memory_order_relaxed);
	for (uint32_t bits = WIRE_MAP_LEVEL0_BITS; map->level_count < WIRE_MAP_MAX_LEVELS; bits++) {
		size_t count = (size_t)1 << bits;

		if (left < count)
			break;
		map->level[map->level_count++] = (struct heap_map_level){slots, bits};
		map->capacity += count;
		slots += count;
		left -= count;
	}
	/* relaxed: nobody else knows the map yet. */
	atomic_store_explicit(&map->windows, 1, memory_order_relaxed);
	return map->level_count > 0 ? 0 : -ENOMEM;
}

/* Windows in the order in which they are tried: one in each level, and where all of these are full another
 * one in each. Other multipliers than the filter's: what collides there must not collide here. */
static struct wire_slot *window(const struct heap_map *map, uint32_t number, uintptr_t address)
{
	bool second = number >= map->level_count;
	const struct heap_map_level *level =
		&map->level[second ? number - map->level_count : number];
	uint64_t hash = (uint64_t)address *
			(second ? UINT64_C(0xa0761d6478bd642f) : UINT64_C(0xd6e8feb86659fd93));
	uint64_t index = hash >> (64 - level->bits);

	return &level->slots[index & ~(uint64_t)(HEAP_MAP_WINDOW - 1)];
}

/* EMPTY or TOMB → BUSY. */
static bool claim_free(struct heap_map *map, struct wire_slot *slot)
{
	/* relaxed: only a hint, the CAS decides. */
	uint64_t key = atomic_load_explicit(&slot->key, memory_order_relaxed);

	if (key != KEY_EMPTY && key != KEY_TOMB)
		return false;
	/* [MAP-1] acquire: our writes to the fields come after the last owner's; pairs with the
	 * release of TOMB in heap_map_bury. */
	return atomic_compare_exchange_strong_explicit(
		&slot->key, &key, busy_key(map), memory_order_acquire, memory_order_relaxed);
}

static struct wire_slot *claim_in_window(struct heap_map *map, uint32_t number, uintptr_t address)
{
	struct wire_slot *slots = window(map, number, address);

	for (unsigned i = 0; i < HEAP_MAP_WINDOW; i++) {
		if (!claim_free(map, &slots[i]))
			continue;
		if (i > 0 || number > 0) /* relaxed: a statistic. */
			atomic_fetch_add_explicit(&map->collisions, 1, memory_order_relaxed);
		return &slots[i];
	}
	return NULL;
}

static void raise_windows(struct heap_map *map, uint32_t wanted)
{
	/* relaxed: see the header's table. */
	uint32_t windows = atomic_load_explicit(&map->windows, memory_order_relaxed);

	while (windows < wanted && !atomic_compare_exchange_weak_explicit(&map->windows, &windows,
					   wanted, memory_order_relaxed, memory_order_relaxed))
		;
}

static struct wire_slot *claim(struct heap_map *map, uintptr_t address)
{
	for (uint32_t i = 0; i < 2 * map->level_count; i++) {
		struct wire_slot *slot = claim_in_window(map, i, address);

		if (slot) {
			raise_windows(map, i + 1);
			return slot;
		}
	}
	return NULL;
}

static void fill(struct wire_slot *slot, const struct heap_map_entry *entry)
{
	uint64_t meta = (uint64_t)entry->stack_ref << 32 | entry->tid;

	/* BUSY is seen before any new field, so that read_slot's second look tells. */
	fence_release();
	/* relaxed: published by the release of FINAL that follows. */
	atomic_store_explicit(
		&slot->id_mark, entry->id << WIRE_SLOT_MARK_BITS, memory_order_relaxed);
	atomic_store_explicit(&slot->size_bytes, entry->size_bytes, memory_order_relaxed);
	atomic_store_explicit(&slot->interval_bytes, entry->interval_bytes, memory_order_relaxed);
	atomic_store_explicit(&slot->birth_ns, entry->birth_ns, memory_order_relaxed);
	atomic_store_explicit(&slot->meta, meta, memory_order_relaxed);
}

/* BUSY → FINAL. By CAS, because a signal handler may have forked, and the child that returns from
 * it has settled: the slot is somebody else's there. */
static bool publish(struct wire_slot *slot, uint64_t busy, uint64_t key)
{
	/* [MAP-1] release: the fields are visible to whoever finds FINAL; pairs with acquire in
	 * change_key. */
	return atomic_compare_exchange_strong_explicit(
		&slot->key, &busy, key, memory_order_release, memory_order_relaxed);
}

struct wire_slot *heap_map_insert(struct heap_map *map, struct heap_map_entry *entry)
{
	uint64_t busy = busy_key(map);
	/* Counted before: a fork between the two would leave the child a slot that was never counted.
	 * relaxed: a statistic. */
	atomic_fetch_add_explicit(&map->used_slots, 1, memory_order_relaxed);
	struct wire_slot *slot = claim(map, entry->address);

	if (!slot) {
		atomic_fetch_sub_explicit(&map->used_slots, 1, memory_order_relaxed);
		return NULL;
	}
	/* relaxed: ids need to be unique, and drawn while the slot is BUSY; program order gives the
	 * second. */
	entry->id = atomic_fetch_add_explicit(&map->next_id, 1, memory_order_relaxed) + 1;
	fill(slot, entry);
	return publish(slot, busy, key_of(entry->address, WIRE_SLOT_FINAL)) ? slot : NULL;
}

/* The slot with key FINAL(address). It stays so: whoever asks owns the address. */
static struct wire_slot *find(struct heap_map *map, uintptr_t address)
{
	uint64_t key = key_of(address, WIRE_SLOT_FINAL);
	/* relaxed: see the header's table. */
	uint32_t windows = atomic_load_explicit(&map->windows, memory_order_relaxed);

	for (uint32_t number = 0; number < windows; number++) {
		struct wire_slot *slots = window(map, number, address);

		for (unsigned i = 0; i < HEAP_MAP_WINDOW; i++)
			/* relaxed: a hint, change_key decides. */
			if (atomic_load_explicit(&slots[i].key, memory_order_relaxed) == key)
				return &slots[i];
	}
	return NULL;
}

/* FINAL(address) → `to`, if there is such a slot. */
static struct wire_slot *change_key(struct heap_map *map, uintptr_t address, uint64_t to)
{
	struct wire_slot *slot = find(map, address);
	uint64_t from = key_of(address, WIRE_SLOT_FINAL);

	/* [MAP-1] acquire: the fields as they were published; pairs with the release of FINAL in
	 * publish and heap_map_resume. */
	if (slot && !atomic_compare_exchange_strong_explicit(
			    &slot->key, &from, to, memory_order_acquire, memory_order_relaxed))
		return NULL; /* a double free */
	return slot;
}

struct wire_slot *heap_map_take(struct heap_map *map, uintptr_t address)
{
	return change_key(map, address, busy_key(map));
}

bool heap_map_forget(struct heap_map *map, uintptr_t address, struct heap_map_forgotten *out)
{
	struct wire_slot *slot = find(map, address);

	if (!slot)
		return false;
	out->stack_ref = heap_map_stack_ref(slot);
	/* The id goes first, so that a tombstone has none. */
	out->id = heap_map_retire(map, slot, &out->announced);
	if (!change_key(map, address, KEY_TOMB))
		return false;
	/* relaxed: a statistic. */
	atomic_fetch_sub_explicit(&map->used_slots, 1, memory_order_relaxed);
	return true;
}

struct wire_slot *heap_map_suspend(struct heap_map *map, uintptr_t address)
{
	return change_key(map, address, key_of(address, WIRE_SLOT_LIMBO));
}

void heap_map_resume(struct heap_map *map, struct wire_slot *slot)
{
	(void)map;
	/* relaxed: in LIMBO the slot is ours alone. */
	uint64_t key = atomic_load_explicit(&slot->key, memory_order_relaxed);

	/* [MAP-1] release: as in heap_map_insert; pairs with acquire in change_key. */
	atomic_store_explicit(&slot->key, (key & ~(uint64_t)WIRE_SLOT_TAG_MASK) | WIRE_SLOT_FINAL,
		memory_order_release);
}

void heap_map_take_suspended(struct heap_map *map, struct wire_slot *slot)
{
	/* relaxed: LIMBO is already ours alone; nobody else acts on either key. */
	atomic_store_explicit(&slot->key, busy_key(map), memory_order_relaxed);
}

void heap_map_bury(struct heap_map *map, struct wire_slot *slot)
{
	uint64_t busy = busy_key(map);

	/* [MAP-1] release: our reads of the fields come before the next owner's writes; pairs with
	 * acquire in claim_free. By CAS, as in publish. */
	if (atomic_compare_exchange_strong_explicit(
		    &slot->key, &busy, KEY_TOMB, memory_order_release, memory_order_relaxed))
		/* relaxed: a statistic. */
		atomic_fetch_sub_explicit(&map->used_slots, 1, memory_order_relaxed);
}

enum heap_map_mark heap_map_mark_announced(
	const struct heap_map *map, struct wire_slot *slot, uint64_t id)
{
	uint64_t known = id << WIRE_SLOT_MARK_BITS | heap_map_generation(map);
	/* relaxed: a first guess for the CAS. */
	uint64_t word = atomic_load_explicit(&slot->id_mark, memory_order_relaxed);

	/* A mark of an older generation was made for a daemon that reads the parent's segment. Ends
	 * after two turns: only another announcer, or retire, changes the word in between. */
	while (word >> WIRE_SLOT_MARK_BITS == id && word != known)
		/* [ANN-1] release: the BIRTH's head comes before the mark, hence before a DEATH
		 * written because of it; pairs with acquire in heap_map_retire. */
		if (atomic_compare_exchange_strong_explicit(&slot->id_mark, &word, known,
			    memory_order_release, memory_order_relaxed))
			return HEAP_MAP_MARKED;
	return word == known ? HEAP_MAP_KNOWN : HEAP_MAP_GONE;
}

uint64_t heap_map_retire(const struct heap_map *map, struct wire_slot *slot, bool *announced)
{
	/* [ANN-1] acquire: pairs with release in heap_map_mark_announced. */
	uint64_t word = atomic_exchange_explicit(&slot->id_mark, 0, memory_order_acquire);

	*announced = (word & WIRE_SLOT_MARK_MASK) == heap_map_generation(map);
	return word >> WIRE_SLOT_MARK_BITS;
}

bool heap_map_holds(const struct wire_slot *slot, uintptr_t address, uint64_t id)
{
	/* relaxed: for readers who come after an acquire fence. A slot that was reused for the same
	 * address has another id. */
	return atomic_load_explicit(&slot->key, memory_order_relaxed) ==
		       key_of(address, WIRE_SLOT_FINAL) &&
	       atomic_load_explicit(&slot->id_mark, memory_order_relaxed) >> WIRE_SLOT_MARK_BITS ==
		       id;
}

bool heap_map_has_id(const struct wire_slot *slot, uint64_t id)
{
	/* relaxed: as in heap_map_holds. */
	return atomic_load_explicit(&slot->id_mark, memory_order_relaxed) >> WIRE_SLOT_MARK_BITS ==
	       id;
}

uint32_t heap_map_stack_ref(const struct wire_slot *slot)
{
	/* relaxed: the slot is ours. */
	return (uint32_t)(atomic_load_explicit(&slot->meta, memory_order_relaxed) >> 32);
}

bool heap_map_crowded(const struct heap_map *map)
{
	/* relaxed: a statistic. */
	return atomic_load_explicit(&map->used_slots, memory_order_relaxed) >= map->capacity / 2;
}

uint32_t heap_map_levels_in_use(const struct heap_map *map)
{
	/* relaxed: a level is raised before its first slot is FINAL, hence before that birth is told. */
	uint32_t windows = atomic_load_explicit(&map->windows, memory_order_relaxed);

	return windows < map->level_count ? windows : map->level_count;
}

uint32_t heap_map_slots_in_use(const struct heap_map *map)
{
	/* 2^k + 2^(k+1) + … */
	return ((1u << heap_map_levels_in_use(map)) - 1) << WIRE_MAP_LEVEL0_BITS;
}

struct wire_slot *heap_map_slot(struct heap_map *map, uint32_t number)
{
	/* heap_map_init lays the levels out one after the other. */
	return &map->level[0].slots[number];
}

/* FINAL and LIMBO live. So does what somebody has taken but not retired yet, if it was announced:
 * should that thread never go on, the digest counts it for ever. */
static bool is_living(const struct heap_map *map, uint64_t key, uint64_t id_mark)
{
	uint64_t tag = key & WIRE_SLOT_TAG_MASK;

	if (id_mark >> WIRE_SLOT_MARK_BITS == 0)
		return false;
	if (tag == WIRE_SLOT_FINAL || tag == WIRE_SLOT_LIMBO)
		return true;
	return tag == WIRE_SLOT_BUSY && (id_mark & WIRE_SLOT_MARK_MASK) == heap_map_generation(map);
}

static uintptr_t address_of(uint64_t key)
{
	return (key & WIRE_SLOT_TAG_MASK) == WIRE_SLOT_BUSY ? 0 : key >> 3;
}

bool heap_map_read(
	const struct heap_map *map, const struct wire_slot *slot, struct heap_map_entry *out)
{
	/* The id first: read after the key, it could be the next tenant's at the same address, and
	 * the second look would find nothing wrong with the last one's fields (tests/model).
	 * relaxed: the fence keeps it before the key. */
	uint64_t id_mark = atomic_load_explicit(&slot->id_mark, memory_order_relaxed);

	if (id_mark == 0)
		return false;
	fence_acquire();
	/* [MAP-1] acquire: the fields as published with this key; pairs with release in
	 * publish and heap_map_resume. */
	uint64_t key = atomic_load_explicit(&slot->key, memory_order_acquire);

	if (!is_living(map, key, id_mark))
		return false;
	/* relaxed: the second look at the id below tells whether they belong together; an id has
	 * one address, whatever the state. */
	uint64_t meta = atomic_load_explicit(&slot->meta, memory_order_relaxed);
	*out = (struct heap_map_entry){
		.address = address_of(key),
		.id = id_mark >> WIRE_SLOT_MARK_BITS,
		.size_bytes = atomic_load_explicit(&slot->size_bytes, memory_order_relaxed),
		.interval_bytes = atomic_load_explicit(&slot->interval_bytes, memory_order_relaxed),
		.birth_ns = atomic_load_explicit(&slot->birth_ns, memory_order_relaxed),
		.stack_ref = (uint32_t)(meta >> 32),
		.tid = (uint32_t)meta,
	};
	fence_acquire();
	return heap_map_has_id(slot, out->id);
}

void heap_map_each(
	struct heap_map *map, void (*visit)(const struct heap_map_entry *, void *), void *data)
{
	struct heap_map_entry entry;
	uint32_t slots = heap_map_slots_in_use(map);

	for (uint32_t i = 0; i < slots; i++)
		if (heap_map_read(map, heap_map_slot(map, i), &entry))
			visit(&entry, data);
}

/* Other threads of the child may be freeing already: each key is changed by CAS. */
static void settle_slot(struct heap_map *map, struct wire_slot *slot)
{
	/* relaxed throughout: what the parent's threads wrote is in our memory since the fork. */
	uint64_t key = atomic_load_explicit(&slot->key, memory_order_relaxed);
	uint64_t settled;

	if ((key & WIRE_SLOT_TAG_MASK) == WIRE_SLOT_LIMBO) {
		settled = key_of(key >> 3, WIRE_SLOT_FINAL);
	} else if (key == busy_key(map)) {
		settled = KEY_TOMB;
		atomic_fetch_sub_explicit(&map->used_slots, 1, memory_order_relaxed);
		atomic_store_explicit(&slot->id_mark, 0, memory_order_relaxed);
	} else {
		return;
	}
	atomic_compare_exchange_strong_explicit(
		&slot->key, &key, settled, memory_order_relaxed, memory_order_relaxed);
}

void heap_map_settle(struct heap_map *map, uint32_t generation)
{
	uint32_t slots = heap_map_slots_in_use(map);

	for (uint32_t i = 0; i < slots; i++)
		settle_slot(map, heap_map_slot(map, i));
	/* relaxed: published with the fork word. */
	atomic_store_explicit(&map->generation, generation, memory_order_relaxed);
}
