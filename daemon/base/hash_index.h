/*
 * The hash table under every table of the daemon: from a hash to 32-bit values, which are the
 * caller's (positions in an array of its own). The caller compares keys; the index keeps 8 bytes
 * per slot and nothing else. Open addressing, linear probing, removal without tombstones; grows and
 * shrinks by itself. Not thread-safe; failure to allocate ends the process (base/alloc.h), so the
 * caller bounds the count.
 *
 *     struct hash_cursor at = hash_index_seek(hash);
 *     while (hash_index_next(&index, &at, &value))
 *             if (entries[value].key == key)
 *                     return value;
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define HASH_INDEX_MAX_COUNT (1u << 30) /* of values; each is below it too */

struct hash_slot {
	uint32_t hash;
	uint32_t value_plus_one; /* 0: free */
};

struct hash_index {
	struct hash_slot *slots; /* owns; NULL while empty */
	uint32_t slot_count;	 /* 0 or a power of two */
	uint32_t count;
};

struct hash_cursor {
	uint32_t hash;
	uint32_t slot;	 /* of the value returned last */
	uint32_t probes; /* slots looked at */
};

#define HASH_INDEX_INIT ((struct hash_index){0})

void hash_index_deinit(struct hash_index *index);
/* Forgets all; memory follows what the count was. */
void hash_index_clear(struct hash_index *index);

/* Keyed by a secret of this process: who chooses keys cannot choose where they land. */
uint32_t hash_index_hash(const void *key, size_t size);

struct hash_cursor hash_index_seek(uint32_t hash);
bool hash_index_next(const struct hash_index *index, struct hash_cursor *at, uint32_t *value);

void hash_index_insert(struct hash_index *index, uint32_t hash, uint32_t value);
/* Both act on the value that hash_index_next returned last; no change in between. */
void hash_index_replace(struct hash_index *index, const struct hash_cursor *at, uint32_t value);
void hash_index_erase(struct hash_index *index, const struct hash_cursor *at);

size_t hash_index_bytes(const struct hash_index *index);
/* What hash_index_bytes will be after one insert: for callers that keep a limit. */
size_t hash_index_bytes_after_insert(const struct hash_index *index);
