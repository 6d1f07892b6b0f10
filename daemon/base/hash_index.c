/*
 * Invariants: at most 3/4 of the slots are used, so every probe ends at a free one; between a
 * value's home slot and its own there is no free slot. Removal restores the second by moving later
 * values back, which is why slots keep the hash. Shrinking waits for 1/8, so that a count that
 * swings does not rebuild.
 */
#include "base/hash_index.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <xxhash.h>
#include "base/alloc.h"

#define MIN_SLOTS 16u

void hash_index_deinit(struct hash_index *index)
{
	free(index->slots);
	*index = HASH_INDEX_INIT;
}

/* From the 16 random bytes that the kernel gives each process: no call that could fail. Relaxed:
 * every thread that finds 0 computes the same value. */
static uint64_t secret_seed(void)
{
	static _Atomic uint64_t cached;
	uint64_t seed = atomic_load_explicit(&cached, memory_order_relaxed);
	if (seed)
		return seed;
	const void *random_bytes = (const void *)getauxval(AT_RANDOM);
	if (random_bytes)
		memcpy(&seed, random_bytes, sizeof(seed));
	atomic_store_explicit(&cached, seed, memory_order_relaxed);
	return seed;
}

uint32_t hash_index_hash(const void *key, size_t size)
{
	return (uint32_t)XXH3_64bits_withSeed(key, size, secret_seed());
}

struct hash_cursor hash_index_seek(uint32_t hash)
{
	return (struct hash_cursor){.hash = hash};
}

bool hash_index_next(const struct hash_index *index, struct hash_cursor *at, uint32_t *value)
{
	uint32_t mask = index->slot_count - 1;
	while (at->probes < index->slot_count) {
		at->slot = (at->hash + at->probes++) & mask;
		const struct hash_slot *slot = &index->slots[at->slot];
		if (!slot->value_plus_one)
			break;
		if (slot->hash == at->hash) {
			*value = slot->value_plus_one - 1;
			return true;
		}
	}
	return false;
}

static void place(struct hash_index *index, struct hash_slot slot)
{
	uint32_t mask = index->slot_count - 1, i = slot.hash & mask;
	while (index->slots[i].value_plus_one)
		i = (i + 1) & mask;
	index->slots[i] = slot;
}

static void rebuild(struct hash_index *index, uint32_t slot_count)
{
	struct hash_slot *old = index->slots;
	uint32_t old_count = index->slot_count;
	index->slots = alloc_zeroed(slot_count, sizeof(struct hash_slot));
	index->slot_count = slot_count;
	for (uint32_t i = 0; i < old_count; i++)
		if (old[i].value_plus_one)
			place(index, old[i]);
	free(old);
}

static bool is_crowded(const struct hash_index *index)
{
	return (uint64_t)(index->count + 1) * 4 > (uint64_t)index->slot_count * 3;
}

static uint32_t grown(uint32_t slot_count)
{
	return slot_count < MIN_SLOTS ? MIN_SLOTS : slot_count * 2;
}

void hash_index_insert(struct hash_index *index, uint32_t hash, uint32_t value)
{
	if (is_crowded(index))
		rebuild(index, grown(index->slot_count));
	place(index, (struct hash_slot){.hash = hash, .value_plus_one = value + 1});
	index->count++;
}

void hash_index_replace(struct hash_index *index, const struct hash_cursor *at, uint32_t value)
{
	index->slots[at->slot].value_plus_one = value + 1;
}

void hash_index_erase(struct hash_index *index, const struct hash_cursor *at)
{
	uint32_t mask = index->slot_count - 1, hole = at->slot;
	for (uint32_t i = (hole + 1) & mask; index->slots[i].value_plus_one; i = (i + 1) & mask) {
		uint32_t from_home = (i - index->slots[i].hash) & mask;
		if (from_home >= ((i - hole) & mask)) {
			index->slots[hole] = index->slots[i];
			hole = i;
		}
	}
	index->slots[hole] = (struct hash_slot){0};
	index->count--;
	if (index->slot_count > MIN_SLOTS && index->count < index->slot_count / 8)
		rebuild(index, index->slot_count / 2);
}

void hash_index_clear(struct hash_index *index)
{
	uint32_t slot_count = index->slot_count, count = index->count;
	index->count = 0;
	if (slot_count > MIN_SLOTS && count < slot_count / 8) {
		free(index->slots);
		index->slot_count = slot_count / 2;
		index->slots = alloc_zeroed(index->slot_count, sizeof(struct hash_slot));
	} else if (count > 0) {
		memset(index->slots, 0, (size_t)slot_count * sizeof(struct hash_slot));
	}
}

size_t hash_index_bytes(const struct hash_index *index)
{
	return (size_t)index->slot_count * sizeof(struct hash_slot);
}

size_t hash_index_bytes_after_insert(const struct hash_index *index)
{
	uint32_t slot_count = is_crowded(index) ? grown(index->slot_count) : index->slot_count;
	return (size_t)slot_count * sizeof(struct hash_slot);
}
