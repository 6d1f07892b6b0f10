/*
 * The files that the symbolizer has open, by the daemon's key. Bounded in number and in memory: the
 * one used least recently is closed, the daemon is told so (ESTALE) when it asks for it again. One
 * thread.
 */
#pragma once
#include <stdint.h>

#define FILE_CACHE_FILES 64

struct elf_file;

struct file_cache_bounds {
	uint64_t mapped_bytes; /* of address space, by files */
	uint64_t heap_bytes;
	uint64_t file_bytes; /* of a file; the caller does not open larger ones */
};

struct file_cache_slot {
	uint32_t key;	       /* 0: free */
	struct elf_file *file; /* owns */
	uint64_t used;	       /* when, in uses */
};

struct file_cache {
	struct file_cache_slot slots[FILE_CACHE_FILES];
	uint64_t uses;
	struct file_cache_bounds bounds; /* the owner's to set */
};

void file_cache_deinit(struct file_cache *cache);
/* Closes files until one of this size fits within the bounds, or none is left. */
void file_cache_make_room(struct file_cache *cache, uint64_t bytes);
/* Takes the file over; replaces one of the same key. */
void file_cache_put(struct file_cache *cache, uint32_t key, struct elf_file *file);
/* Borrowed, or NULL. Counts as a use. */
struct elf_file *file_cache_get(struct file_cache *cache, uint32_t key);
/* Closes files until the bounds are kept, but never the one used last. */
void file_cache_trim(struct file_cache *cache);
