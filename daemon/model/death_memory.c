#include "model/death_memory.h"
#include <stdlib.h>
#include "base/alloc.h"

#define KEPT_CAPACITY 16u

static uint32_t hash_of(uint64_t id)
{
	return hash_index_hash(&id, sizeof(id));
}

static struct death *find_in(const struct death_memory_round *round, uint64_t id)
{
	uint32_t position;
	struct hash_cursor at = hash_index_seek(hash_of(id));
	while (hash_index_next(&round->index, &at, &position))
		if (round->deaths[position].id == id)
			return &round->deaths[position];
	return NULL;
}

struct death *death_memory_find(const struct death_memory *memory, uint64_t id)
{
	struct death *death = find_in(&memory->this_round, id);
	return death ? death : find_in(&memory->last_round, id);
}

bool death_memory_add(struct death_memory *memory, const struct death *death)
{
	struct death_memory_round *round = &memory->this_round;
	uint32_t count = round->index.count;
	if ((uint64_t)count + memory->last_round.index.count >= memory->max)
		return false;
	ALLOC_GROW(round->deaths, round->capacity, count);
	round->deaths[count] = *death;
	hash_index_insert(&round->index, hash_of(death->id), count);
	return true;
}

static void forget_all(struct death_memory_round *round)
{
	uint32_t count = round->index.count;
	hash_index_clear(&round->index);
	if (round->capacity > KEPT_CAPACITY && count < round->capacity / 8) {
		round->capacity /= 2;
		round->deaths =
			alloc_resize(round->deaths, round->capacity, sizeof(round->deaths[0]));
	}
}

uint64_t death_memory_end_round(struct death_memory *memory)
{
	struct death_memory_round oldest = memory->last_round;
	uint64_t unknown = 0;
	for (uint32_t i = 0; i < oldest.index.count; i++)
		unknown += !oldest.deaths[i].born && !oldest.deaths[i].taken_back;
	forget_all(&oldest);
	memory->last_round = memory->this_round;
	memory->this_round = oldest;
	return unknown;
}

static void deinit_round(struct death_memory_round *round)
{
	hash_index_deinit(&round->index);
	free(round->deaths);
}

void death_memory_deinit(struct death_memory *memory)
{
	deinit_round(&memory->this_round);
	deinit_round(&memory->last_round);
}

static size_t round_bytes(const struct death_memory_round *round)
{
	return hash_index_bytes(&round->index) + round->capacity * sizeof(round->deaths[0]);
}

size_t death_memory_bytes(const struct death_memory *memory)
{
	return round_bytes(&memory->this_round) + round_bytes(&memory->last_round);
}
