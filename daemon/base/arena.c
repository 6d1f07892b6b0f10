/*
 * Chunks start small, since there is an arena per worker, and grow with what was taken so far, so
 * that their number stays logarithmic until CHUNK_MAX. A request larger than the next chunk gets
 * one of its own size.
 */
#include "base/arena.h"
#include <stdint.h>
#include <stdlib.h>
#include "base/alloc.h"

#define CHUNK_MIN ((size_t)1 << 10)
#define CHUNK_MAX ((size_t)64 << 10)

struct arena_chunk {
	struct arena_chunk *next;
	size_t size; /* of data */
	uint64_t data[];
};

void arena_deinit(struct arena *arena)
{
	while (arena->chunks) {
		struct arena_chunk *chunk = arena->chunks;
		arena->chunks = chunk->next;
		free(chunk);
	}
	*arena = ARENA_INIT;
}

static size_t rounded(size_t size)
{
	return size > SIZE_MAX - 7 ? SIZE_MAX : (size + 7) & ~(size_t)7;
}

static size_t next_chunk_size(const struct arena *arena, size_t size)
{
	size_t wanted = arena->bytes / 4 & ~(size_t)7;
	if (wanted < CHUNK_MIN)
		wanted = CHUNK_MIN;
	if (wanted > CHUNK_MAX)
		wanted = CHUNK_MAX;
	return size > wanted ? size : wanted;
}

size_t arena_bytes_after(const struct arena *arena, size_t size)
{
	size = rounded(size);
	if (size <= arena->left)
		return arena->bytes;
	size_t more = next_chunk_size(arena, size), after;
	if (__builtin_add_overflow(arena->bytes + sizeof(struct arena_chunk), more, &after))
		return SIZE_MAX;
	return after;
}

void *arena_take(struct arena *arena, size_t size)
{
	size = rounded(size);
	if (size > arena->left) {
		size_t chunk_size = next_chunk_size(arena, size), whole;
		if (__builtin_add_overflow(sizeof(struct arena_chunk), chunk_size, &whole))
			whole = SIZE_MAX;
		struct arena_chunk *chunk = alloc_resize(NULL, whole, 1);
		chunk->next = arena->chunks;
		chunk->size = chunk_size;
		arena->chunks = chunk;
		arena->left = chunk_size;
		arena->bytes += whole;
	}
	struct arena_chunk *chunk = arena->chunks;
	uint8_t *place = (uint8_t *)chunk->data + (chunk->size - arena->left);
	arena->left -= size;
	return place;
}
