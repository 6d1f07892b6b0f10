/*
 * Byte strings, each distinct one once, numbered 0, 1, 2 … in the order they came. Owns copies of
 * the keys. Not thread-safe.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/buffer.h"
#include "base/hash_index.h"

struct key_set {
	struct hash_index index;
	struct buffer bytes;   /* keys one after another, each with a NUL behind it */
	struct buffer offsets; /* size_t per key */
	uint32_t count;
};

#define KEY_SET_INIT ((struct key_set){0})

void key_set_deinit(struct key_set *set);
uint32_t key_set_add(struct key_set *set, const void *key, size_t size);
uint32_t key_set_add_string(struct key_set *set, const char *s);
/* Borrows until the next add. A key that is a string is NUL-terminated. */
const char *key_set_get(const struct key_set *set, uint32_t number);
