/*
 * What a file costs is known only for the whole process (libdw allocates as it reads), so memory is
 * measured as a sum and files are closed until it fits. With 64 slots a scan is as good as a list.
 */
#include "symbolizer/file_cache.h"
#include <malloc.h>
#include <stddef.h>
#include "symbolizer/elf_file.h"

static void close_slot(struct file_cache_slot *slot)
{
	elf_file_free(slot->file);
	*slot = (struct file_cache_slot){0};
}

void file_cache_deinit(struct file_cache *cache)
{
	for (size_t i = 0; i < FILE_CACHE_FILES; i++)
		close_slot(&cache->slots[i]);
}

static struct file_cache_slot *find(struct file_cache *cache, uint32_t key)
{
	for (size_t i = 0; i < FILE_CACHE_FILES; i++)
		if (cache->slots[i].key == key)
			return &cache->slots[i];
	return NULL;
}

static struct file_cache_slot *oldest(struct file_cache *cache)
{
	struct file_cache_slot *found = NULL;
	for (size_t i = 0; i < FILE_CACHE_FILES; i++) {
		struct file_cache_slot *slot = &cache->slots[i];
		if (slot->key && (!found || slot->used < found->used))
			found = slot;
	}
	return found;
}

void file_cache_put(struct file_cache *cache, uint32_t key, struct elf_file *file)
{
	struct file_cache_slot *slot = find(cache, key);
	if (!slot)
		slot = find(cache, 0);
	if (!slot)
		slot = oldest(cache);
	close_slot(slot);
	*slot = (struct file_cache_slot){.key = key, .file = file, .used = ++cache->uses};
}

struct elf_file *file_cache_get(struct file_cache *cache, uint32_t key)
{
	struct file_cache_slot *slot = key ? find(cache, key) : NULL;
	if (!slot)
		return NULL;
	slot->used = ++cache->uses;
	return slot->file;
}

static uint64_t mapped_bytes(const struct file_cache *cache)
{
	uint64_t sum = 0;
	for (size_t i = 0; i < FILE_CACHE_FILES; i++)
		if (cache->slots[i].key)
			sum += elf_file_mapped_bytes(cache->slots[i].file);
	return sum;
}

/* 0 where the C library cannot tell: the number of files and the address space limit are left then.
 */
static uint64_t heap_bytes(void)
{
#if defined(__GLIBC_PREREQ)
#if __GLIBC_PREREQ(2, 33)
	struct mallinfo2 info = mallinfo2();
	return (uint64_t)info.uordblks + info.hblkhd;
#endif
#endif
	return 0;
}

void file_cache_make_room(struct file_cache *cache, uint64_t bytes)
{
	struct file_cache_slot *slot;
	uint64_t mapped;
	while ((mapped = mapped_bytes(cache)) > 0 &&
		(bytes > cache->bounds.mapped_bytes ||
			mapped > cache->bounds.mapped_bytes - bytes) &&
		(slot = oldest(cache)) != NULL)
		close_slot(slot);
}

void file_cache_trim(struct file_cache *cache)
{
	while (mapped_bytes(cache) > cache->bounds.mapped_bytes ||
		heap_bytes() > cache->bounds.heap_bytes) {
		struct file_cache_slot *slot = oldest(cache);
		if (!slot || slot->used == cache->uses)
			break;
		close_slot(slot);
	}
}
