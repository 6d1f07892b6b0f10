/*
 * The files that the symbolizer has open, by the daemon's key. Bounded in number and in memory: the
 * one used least recently is closed, the daemon is told so (ESTALE) when it asks for it again. One
 * thread.
 */
#pragma once
#include <stdint.h>

#define FILE_CACHE_FILES	64
#define FILE_CACHE_MAPPED_BYTES ((uint64_t)2 << 30)
#define FILE_CACHE_HEAP_BYTES	((uint64_t)1 << 30)

struct elf_file;

struct file_cache_slot {
	uint32_t key;	       /* 0: free */
	struct elf_file *file; /* owns */
	uint64_t used;	       /* when, in uses */
};

struct file_cache {
	struct file_cache_slot slots[FILE_CACHE_FILES];
	uint64_t uses;
};

void file_cache_deinit(struct file_cache *cache);
/* Takes the file over; replaces one of the same key. */
void file_cache_put(struct file_cache *cache, uint32_t key, struct elf_file *file);
/* Borrowed, or NULL. Counts as a use. */
struct elf_file *file_cache_get(struct file_cache *cache, uint32_t key);
/* Closes files until the bounds are kept, but never the one used last. */
void file_cache_trim(struct file_cache *cache);
