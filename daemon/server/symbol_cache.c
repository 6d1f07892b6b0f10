/* Entries are never removed one by one: a forgotten offset keeps its place and is asked again into
 * it. */
#include "server/symbol_cache.h"
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/string_pool.h"
#include "server/process_info.h"

#define NAME_BYTES SPPROF__V1__SYMBOLIZER_BOUND__FUNCTION_NAME_BYTES
#define MAX_LINES  SPPROF__V1__SYMBOLIZER_BOUND__LINES

_Static_assert(
	SPPROF__V1__SYMBOLIZER_BOUND__FILE_NAME_BYTES <= NAME_BYTES, "one buffer for all names");

struct symbol_cache_entry {
	uint64_t offset;
	union {
		uint64_t ticket;     /* asked */
		uint32_t first_line; /* known */
	};
	uint8_t state;
	uint8_t line_count;
};

void symbol_cache_deinit(struct symbol_cache *cache)
{
	hash_index_deinit(&cache->index);
	free(cache->entries);
	free(cache->lines);
	string_pool_free(cache->strings);
	*cache = SYMBOL_CACHE_INIT;
}

static struct symbol_cache_entry *find(const struct symbol_cache *cache, uint64_t offset)
{
	uint32_t position;
	struct hash_cursor at = hash_index_seek(hash_index_hash(&offset, sizeof(offset)));
	while (hash_index_next(&cache->index, &at, &position))
		if (cache->entries[position].offset == offset)
			return &cache->entries[position];
	return NULL;
}

static struct symbol_cache_entry *find_or_add(struct symbol_cache *cache, uint64_t offset)
{
	struct symbol_cache_entry *entry = find(cache, offset);
	if (entry)
		return entry;
	ALLOC_GROW(cache->entries, cache->capacity, cache->count);
	hash_index_insert(&cache->index, hash_index_hash(&offset, sizeof(offset)), cache->count);
	entry = &cache->entries[cache->count++];
	*entry = (struct symbol_cache_entry){.offset = offset, .state = SYMBOL_CACHE_UNKNOWN};
	return entry;
}

enum symbol_cache_state symbol_cache_find(const struct symbol_cache *cache, uint64_t offset,
	struct symbol_lines *lines, uint64_t *ticket)
{
	const struct symbol_cache_entry *entry = find(cache, offset);
	if (!entry)
		return SYMBOL_CACHE_UNKNOWN;
	if (entry->state == SYMBOL_CACHE_ASKED)
		*ticket = entry->ticket;
	if (entry->state == SYMBOL_CACHE_KNOWN)
		*lines = (struct symbol_lines){
			.lines = entry->line_count ? &cache->lines[entry->first_line] : NULL,
			.line_count = entry->line_count,
		};
	return (enum symbol_cache_state)entry->state;
}

void symbol_cache_ask(struct symbol_cache *cache, uint64_t offset, uint64_t ticket)
{
	struct symbol_cache_entry *entry = find_or_add(cache, offset);
	entry->state = SYMBOL_CACHE_ASKED;
	entry->ticket = ticket;
}

void symbol_cache_forget(struct symbol_cache *cache, uint64_t offset)
{
	struct symbol_cache_entry *entry = find(cache, offset);
	if (entry)
		entry->state = SYMBOL_CACHE_UNKNOWN;
}

static const char *intern(struct symbol_cache *cache, ProtobufCBinaryData name)
{
	char text[NAME_BYTES + 1];
	size_t size = name.len < NAME_BYTES ? name.len : NAME_BYTES;
	if (size)
		memcpy(text, name.data, size);
	text[size] = '\0';
	process_info_sanitize(text);
	if (!cache->strings)
		string_pool_new(&cache->strings);
	return string_pool_add(cache->strings, text, size);
}

static void add_line(struct symbol_cache *cache, const Spprof__V1__SymbolizerLine *line)
{
	ALLOC_GROW(cache->lines, cache->line_capacity, cache->line_count);
	const char *function = intern(cache, line->function);
	cache->lines[cache->line_count++] = (struct symbol_line){
		.function = function,
		.function_system =
			line->function_system.len ? intern(cache, line->function_system) : function,
		.file = intern(cache, line->file),
		.line = line->line,
	};
}

void symbol_cache_store(struct symbol_cache *cache, const Spprof__V1__SymbolizerAnswer *answer)
{
	struct symbol_cache_entry *entry = find_or_add(cache, answer->offset);
	size_t count = answer->n_lines < MAX_LINES ? answer->n_lines : MAX_LINES;
	entry->state = SYMBOL_CACHE_KNOWN;
	entry->first_line = cache->line_count;
	entry->line_count = (uint8_t)count;
	for (size_t i = 0; i < count; i++)
		add_line(cache, answer->lines[i]);
}

size_t symbol_cache_bytes(const struct symbol_cache *cache)
{
	return hash_index_bytes(&cache->index) + cache->capacity * sizeof(cache->entries[0]) +
	       cache->line_capacity * sizeof(cache->lines[0]) +
	       (cache->strings ? string_pool_bytes(cache->strings) : 0);
}
