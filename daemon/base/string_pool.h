/* Interned strings: one copy each, stable pointers until the pool is freed. Not thread-safe. */
#pragma once
#include <stddef.h>

struct string_pool;

int string_pool_new(struct string_pool **out);
struct string_pool *string_pool_free(struct string_pool *pool);
/* Borrowed, NUL-terminated; the same pointer for equal bytes. `size` without NUL; one inside ends
 * it. */
const char *string_pool_add(struct string_pool *pool, const char *bytes, size_t size);
size_t string_pool_bytes(const struct string_pool *pool);
