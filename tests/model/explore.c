/*
 * States lie in one growing array in the order they were found; an open-addressed table of indices
 * finds duplicates by comparing whole states, so nothing is skipped by a hash collision. Of a
 * state's history only the state it came from is kept: the labels of a trace are found by stepping
 * those again.
 */
#include "model/explore.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_SIZE 48

struct explore {
	const struct explore_system *system;
	size_t stride;	 /* state, then the index it came from */
	uint8_t *states; /* owns */
	uint64_t count, capacity;
	uint32_t *table; /* owns; index + 1, 0: empty */
	uint64_t table_size;
	uint32_t expanding; /* index of the state being stepped */
	const void *wanted; /* while a trace is written: the successor whose label is looked for */
	char label[LABEL_SIZE];
};

static void *state_at(const struct explore *search, uint64_t index)
{
	return search->states + index * search->stride;
}

static uint32_t origin_of(const struct explore *search, uint64_t index)
{
	uint32_t from;
	memcpy(&from, search->states + (index + 1) * search->stride - sizeof from, sizeof from);
	return from;
}

static void set_origin(struct explore *search, uint64_t index, uint32_t from)
{
	memcpy(search->states + (index + 1) * search->stride - sizeof from, &from, sizeof from);
}

static void *checked(void *memory)
{
	if (!memory) {
		perror("explore");
		abort();
	}
	return memory;
}

/* FNV-1a over words, and a finalizer for the table's low bits. */
static uint64_t hash_bytes(const void *bytes, size_t size)
{
	const uint8_t *p = bytes;
	uint64_t hash = UINT64_C(0xcbf29ce484222325);
	for (size_t i = 0; i < size; i += sizeof hash) {
		uint64_t word = 0;
		memcpy(&word, p + i, size - i < sizeof word ? size - i : sizeof word);
		hash = (hash ^ word) * UINT64_C(0x100000001b3);
		hash ^= hash >> 32;
	}
	return hash ^ (hash >> 29) ^ (hash >> 47);
}

static uint64_t find_slot(const struct explore *search, const void *state)
{
	size_t size = search->system->state_size;
	uint64_t slot = hash_bytes(state, size) & (search->table_size - 1);
	while (search->table[slot] &&
		memcmp(state_at(search, search->table[slot] - 1), state, size) != 0)
		slot = (slot + 1) & (search->table_size - 1);
	return slot;
}

static void grow(struct explore *search)
{
	search->capacity = search->capacity ? search->capacity * 2 : 1024;
	search->states = checked(realloc(search->states, search->capacity * search->stride));
	free(search->table);
	search->table_size = search->capacity * 2;
	search->table = checked(calloc(search->table_size, sizeof *search->table));
	for (uint64_t i = 0; i < search->count; i++)
		search->table[find_slot(search, state_at(search, i))] = (uint32_t)(i + 1);
}

void explore_reached(struct explore *search, const void *state, const char *label)
{
	if (search->wanted) {
		if (memcmp(state, search->wanted, search->system->state_size) == 0)
			snprintf(search->label, sizeof search->label, "%s", label);
		return;
	}
	uint64_t slot = find_slot(search, state);
	if (search->table[slot])
		return;
	if (search->count == search->capacity) {
		/* `state` is the caller's own: growing moves only ours. */
		grow(search);
		slot = find_slot(search, state);
	}
	memcpy(state_at(search, search->count), state, search->system->state_size);
	set_origin(search, search->count, search->expanding);
	search->table[slot] = (uint32_t)++search->count;
}

static void write_trace(struct explore *search, uint32_t index, struct explore_result *result)
{
	uint32_t path[512];
	size_t depth = 0, used = 0;
	for (; index != 0 && depth < sizeof path / sizeof *path; index = origin_of(search, index))
		path[depth++] = index;
	while (depth > 0 && used < sizeof result->trace - LABEL_SIZE - 2) {
		uint32_t to = path[--depth];
		search->wanted = state_at(search, to);
		search->system->step(
			search, state_at(search, origin_of(search, to)), search->system->config);
		used += (size_t)snprintf(
			result->trace + used, sizeof result->trace - used, "%s\n", search->label);
	}
}

void explore_run(const struct explore_system *system, const void *initial, uint64_t max_states,
	struct explore_result *result)
{
	struct explore search = {.system = system};
	search.stride = (system->state_size + sizeof(uint32_t) + 3) & ~(size_t)3;
	memset(result, 0, sizeof *result);
	void *current = checked(malloc(system->state_size));
	grow(&search);
	explore_reached(&search, initial, "start");
	uint32_t next = 0;
	for (; next < search.count && next < max_states; next++) {
		/* A copy, since stepping may move the array. */
		memcpy(current, state_at(&search, next), system->state_size);
		result->broken = system->broken(current, system->config);
		if (result->broken) {
			write_trace(&search, next, result);
			break;
		}
		search.expanding = next;
		system->step(&search, current, system->config);
	}
	result->states = search.count;
	result->complete = !result->broken && next == search.count;
	free(current);
	free(search.states);
	free(search.table);
}
