/*
 * What is known and what was asked about one file's offsets. One thread. Owns its strings, so that
 * dropping a file's cache gives all of its memory back.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/hash_index.h"
#include "server/symbol_client.h"
#include "spprof/v1/symbolizer.pb-c.h"

struct string_pool;
struct symbol_cache_entry;

struct symbol_cache {
	struct hash_index index; /* to positions in entries */
	struct symbol_cache_entry *entries;
	uint32_t count;
	uint32_t capacity;
	struct symbol_line *lines; /* owns; those of one offset are next to each other */
	uint32_t line_count;
	uint32_t line_capacity;
	struct string_pool *strings; /* owns; NULL while there are none */
};

#define SYMBOL_CACHE_INIT ((struct symbol_cache){0})

enum symbol_cache_state {
	SYMBOL_CACHE_UNKNOWN,
	SYMBOL_CACHE_ASKED, /* *ticket is what was given to symbol_cache_ask */
	SYMBOL_CACHE_KNOWN, /* *lines is filled; borrowed until the cache is changed */
};

void symbol_cache_deinit(struct symbol_cache *cache);
enum symbol_cache_state symbol_cache_find(const struct symbol_cache *cache, uint64_t offset,
	struct symbol_lines *lines, uint64_t *ticket);
/* Unknown becomes asked. */
void symbol_cache_ask(struct symbol_cache *cache, uint64_t offset, uint64_t ticket);
/* Asked becomes known. Names are distrusted: cut and made valid, printable UTF-8. */
void symbol_cache_store(struct symbol_cache *cache, const Spprof__V1__SymbolizerAnswer *answer);
/* Asked becomes unknown. */
void symbol_cache_forget(struct symbol_cache *cache, uint64_t offset);
size_t symbol_cache_bytes(const struct symbol_cache *cache);
