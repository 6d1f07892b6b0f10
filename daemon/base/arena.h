/*
 * Bytes that live as long as their owner and never move: taken one after another from chunks, freed
 * all at once. Not thread-safe. The caller bounds what it asks for; failure ends the process
 * (base/alloc.h).
 */
#pragma once
#include <stddef.h>

struct arena_chunk;

struct arena {
	struct arena_chunk *chunks; /* owns; the newest first */
	size_t left;		    /* free bytes at the end of the newest */
	size_t bytes;		    /* taken from the system, bookkeeping included */
};

#define ARENA_INIT ((struct arena){0})

void arena_deinit(struct arena *arena);
/* Uninitialised, aligned to 8; size > 0. */
void *arena_take(struct arena *arena, size_t size);
/* What `bytes` will be after a take of `size`: for callers that keep a limit. */
size_t arena_bytes_after(const struct arena *arena, size_t size);
