/* Bytes live in an arena, so pointers stay; an index over an array of them finds equals. */
#include "base/string_pool.h"
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/arena.h"
#include "base/hash_index.h"

struct string_pool {
	struct arena arena;
	struct hash_index index; /* to positions in strings */
	const char **strings;	 /* owns the array; the bytes are the arena's */
	uint32_t count;
	uint32_t capacity;
};

int string_pool_new(struct string_pool **out)
{
	*out = alloc_zeroed(1, sizeof(struct string_pool));
	return 0;
}

struct string_pool *string_pool_free(struct string_pool *pool)
{
	if (!pool)
		return NULL;
	arena_deinit(&pool->arena);
	hash_index_deinit(&pool->index);
	free(pool->strings);
	free(pool);
	return NULL;
}

static const char *find(
	const struct string_pool *pool, uint32_t hash, const char *bytes, size_t size)
{
	uint32_t position;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&pool->index, &at, &position)) {
		const char *s = pool->strings[position];
		if (strncmp(s, bytes, size) == 0 && s[size] == '\0')
			return s;
	}
	return NULL;
}

const char *string_pool_add(struct string_pool *pool, const char *bytes, size_t size)
{
	size = size ? strnlen(bytes, size) : 0;
	if (!size)
		return "";
	uint32_t hash = hash_index_hash(bytes, size);
	const char *known = find(pool, hash, bytes, size);
	if (known)
		return known;
	char *copy = arena_take(&pool->arena, size + 1);
	memcpy(copy, bytes, size);
	copy[size] = '\0';
	ALLOC_GROW(pool->strings, pool->capacity, pool->count);
	pool->strings[pool->count] = copy;
	hash_index_insert(&pool->index, hash, pool->count++);
	return copy;
}

size_t string_pool_bytes(const struct string_pool *pool)
{
	return sizeof(*pool) + pool->arena.bytes + hash_index_bytes(&pool->index) +
	       pool->capacity * sizeof(pool->strings[0]);
}
