/*
 * Frames lie in an arena, in the order of their ids; views of them are the table. What an insert
 * will cost is known before it is made, so the limit is never exceeded and a full table still finds
 * what it has.
 */
#include "model/stack_table.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/hash_index.h"

struct stack_table {
	struct stack_view *views; /* owns the array; the frames are the arena's */
	uint32_t count;
	uint32_t capacity;
	struct hash_index index; /* to ids */
	struct arena frames;
	uint32_t max_stacks;
	size_t max_bytes;
	uint64_t folded;
};

static uint32_t hash_of(const struct stack_view *stack)
{
	struct {
		uint64_t offset;
		uint32_t module;
		uint32_t so_far;
	} link = {0};
	link.so_far = hash_index_hash(&(const uint8_t[]){stack->stop, stack->guessed}, 2);
	for (uint32_t i = 0; i < stack->frame_count; i++) {
		link.offset = stack->frames[i].offset;
		link.module = stack->frames[i].module;
		link.so_far = hash_index_hash(&link, sizeof(link));
	}
	return link.so_far;
}

static bool equal(const struct stack_view *a, const struct stack_view *b)
{
	if (a->frame_count != b->frame_count || a->stop != b->stop || a->guessed != b->guessed)
		return false;
	for (uint32_t i = 0; i < a->frame_count; i++)
		if (a->frames[i].offset != b->frames[i].offset ||
			a->frames[i].module != b->frames[i].module)
			return false;
	return true;
}

static uint32_t grown_capacity(const struct stack_table *table)
{
	if (table->count < table->capacity)
		return table->capacity;
	return table->capacity ? table->capacity + table->capacity / 2 : 16;
}

static size_t frames_size(const struct stack_view *stack)
{
	return (size_t)stack->frame_count * sizeof(struct stack_frame);
}

static bool has_room(const struct stack_table *table, const struct stack_view *stack)
{
	if (table->count >= table->max_stacks)
		return false;
	size_t bytes = sizeof(*table) + hash_index_bytes_after_insert(&table->index) +
		       (size_t)grown_capacity(table) * sizeof(struct stack_view);
	size_t frames = arena_bytes_after(&table->frames, frames_size(stack));
	return bytes <= table->max_bytes && frames <= table->max_bytes - bytes;
}

static uint32_t insert(struct stack_table *table, const struct stack_view *stack, uint32_t hash)
{
	struct stack_frame *frames = NULL;
	if (stack->frame_count) {
		frames = arena_take(&table->frames, frames_size(stack));
		memcpy(frames, stack->frames, frames_size(stack));
	}
	uint32_t capacity = grown_capacity(table);
	if (capacity != table->capacity)
		table->views = alloc_resize(table->views, capacity, sizeof(table->views[0]));
	table->capacity = capacity;
	table->views[table->count] = *stack;
	table->views[table->count].frames = frames;
	hash_index_insert(&table->index, hash, table->count);
	return table->count++;
}

int stack_table_new(struct stack_table **out, uint32_t max_stacks, size_t max_bytes)
{
	if (max_stacks == 0 || max_stacks > HASH_INDEX_MAX_COUNT)
		return -EINVAL;
	struct stack_table *table = alloc_zeroed(1, sizeof(*table));
	table->max_stacks = max_stacks;
	table->max_bytes = max_bytes;
	const struct stack_view other = {0};
	insert(table, &other, hash_of(&other));
	*out = table;
	return 0;
}

struct stack_table *stack_table_free(struct stack_table *table)
{
	if (!table)
		return NULL;
	arena_deinit(&table->frames);
	hash_index_deinit(&table->index);
	free(table->views);
	free(table);
	return NULL;
}

uint32_t stack_table_intern(struct stack_table *table, const struct stack_view *stack)
{
	uint32_t hash = hash_of(stack), id;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&table->index, &at, &id))
		if (equal(&table->views[id], stack))
			return id;
	if (has_room(table, stack))
		return insert(table, stack, hash);
	table->folded++;
	return STACK_TABLE_OTHER;
}

struct stack_view stack_table_get(const struct stack_table *table, uint32_t id)
{
	return table->views[id];
}

uint32_t stack_table_count(const struct stack_table *table)
{
	return table->count;
}

uint64_t stack_table_folded(const struct stack_table *table)
{
	return table->folded;
}

size_t stack_table_bytes(const struct stack_table *table)
{
	return sizeof(*table) + (size_t)table->capacity * sizeof(table->views[0]) +
	       hash_index_bytes(&table->index) + table->frames.bytes;
}
