/* A key's length is the distance to the next offset, so the offsets hold one more than `count`. */
#include "export/key_set.h"
#include <string.h>

void key_set_deinit(struct key_set *set)
{
	hash_index_deinit(&set->index);
	buffer_deinit(&set->bytes);
	buffer_deinit(&set->offsets);
	*set = KEY_SET_INIT;
}

static size_t offset_of(const struct key_set *set, uint32_t number)
{
	return number < set->count ? ((const size_t *)set->offsets.data)[number] : set->bytes.size;
}

const char *key_set_get(const struct key_set *set, uint32_t number)
{
	return (const char *)set->bytes.data + offset_of(set, number);
}

static bool is_equal(const struct key_set *set, uint32_t number, const void *key, size_t size)
{
	size_t own = offset_of(set, number + 1) - offset_of(set, number) - 1;
	return own == size && memcmp(key_set_get(set, number), key, size) == 0;
}

uint32_t key_set_add(struct key_set *set, const void *key, size_t size)
{
	uint32_t hash = hash_index_hash(key, size), number;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&set->index, &at, &number))
		if (is_equal(set, number, key, size))
			return number;
	number = set->count++;
	size_t offset = set->bytes.size;
	buffer_append(&set->offsets, &offset, sizeof(offset));
	buffer_append(&set->bytes, key, size);
	buffer_putc(&set->bytes, '\0');
	hash_index_insert(&set->index, hash, number);
	return number;
}

uint32_t key_set_add_string(struct key_set *set, const char *s)
{
	return key_set_add(set, s, strlen(s));
}
