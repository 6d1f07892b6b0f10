/*
 * A key is a slot's number plus a multiple of the number of slots, so that a key of a file that is
 * no longer known does not find the slot's next file.
 */
#include "server/symbol_files.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/alloc.h"
#include "server/background_close.h"

#define MIN_QUEUE 64

void symbol_files_init(struct symbol_files *files, size_t cache_limit)
{
	memset(files, 0, sizeof(*files));
	TAILQ_INIT(&files->by_use);
	TAILQ_INIT(&files->by_turn);
	files->cache_limit = cache_limit;
}

static uint32_t hash_identity(const struct symbol_file *identity)
{
	const uint64_t key[] = {
		identity->device, identity->inode, identity->mtime_ns, identity->size};
	return hash_index_hash(key, sizeof(key));
}

static bool same_identity(const struct symbol_file *a, const struct symbol_file *b)
{
	return a->device == b->device && a->inode == b->inode && a->mtime_ns == b->mtime_ns &&
	       a->size == b->size;
}

static uint32_t slot_of(uint32_t key)
{
	return (key - 1) % SYMBOL_CLIENT_FILES;
}

struct symbol_files_entry *symbol_files_find(
	const struct symbol_files *files, const struct symbol_file *identity)
{
	uint32_t slot;
	struct hash_cursor at = hash_index_seek(hash_identity(identity));
	while (hash_index_next(&files->by_identity, &at, &slot))
		if (same_identity(&files->slots[slot]->identity, identity))
			return files->slots[slot];
	return NULL;
}

struct symbol_files_entry *symbol_files_get(const struct symbol_files *files, uint32_t key)
{
	struct symbol_files_entry *entry = key ? files->slots[slot_of(key)] : NULL;
	return entry && entry->key == key ? entry : NULL;
}

static bool is_busy(const struct symbol_files_entry *entry)
{
	return entry->pins || entry->queue_count;
}

static void count_cache(struct symbol_files *files, struct symbol_files_entry *entry)
{
	size_t now = symbol_cache_bytes(&entry->cache);
	files->cache_bytes += now - entry->cache_bytes;
	entry->cache_bytes = now;
}

static void drop_cache(struct symbol_files *files, struct symbol_files_entry *entry)
{
	symbol_cache_deinit(&entry->cache);
	count_cache(files, entry);
}

static void erase_identity(struct symbol_files *files, const struct symbol_files_entry *entry)
{
	uint32_t slot;
	struct hash_cursor at = hash_index_seek(hash_identity(&entry->identity));
	while (hash_index_next(&files->by_identity, &at, &slot))
		if (files->slots[slot] == entry) {
			hash_index_erase(&files->by_identity, &at);
			return;
		}
}

static void remove_entry(struct symbol_files *files, struct symbol_files_entry *entry)
{
	erase_identity(files, entry);
	TAILQ_REMOVE(&files->by_use, entry, by_use);
	symbol_files_leave_turn(files, entry);
	if (!symbol_files_close_fd(files, entry))
		files->descriptors--; /* it stays open, and nobody's */
	symbol_files_close_found(entry);
	symbol_files_drop_queue(files, entry);
	drop_cache(files, entry);
	free(entry->queue);
	files->slots[slot_of(entry->key)] = NULL;
	free(entry);
}

void symbol_files_deinit(struct symbol_files *files)
{
	struct symbol_files_entry *entry;
	while ((entry = TAILQ_FIRST(&files->by_use)))
		remove_entry(files, entry);
	hash_index_deinit(&files->by_identity);
}

/* A key for a free slot: of one never used, else of the file used least recently. 0: none. */
static uint32_t free_key(struct symbol_files *files)
{
	if (files->used < SYMBOL_CLIENT_FILES)
		return ++files->used;
	struct symbol_files_entry *entry;
	TAILQ_FOREACH (entry, &files->by_use, by_use)
		if (!is_busy(entry))
			break;
	if (!entry)
		return 0;
	uint32_t key = entry->key, next;
	remove_entry(files, entry);
	return __builtin_add_overflow(key, SYMBOL_CLIENT_FILES, &next) ? slot_of(key) + 1 : next;
}

struct symbol_files_entry *symbol_files_add(
	struct symbol_files *files, const struct symbol_file *identity)
{
	uint32_t key = free_key(files);
	if (!key)
		return NULL;
	struct symbol_files_entry *entry = alloc_zeroed(1, sizeof(*entry));
	entry->key = key;
	entry->identity = *identity;
	entry->fd = entry->found = -1;
	files->slots[slot_of(key)] = entry;
	hash_index_insert(&files->by_identity, hash_identity(identity), slot_of(key));
	TAILQ_INSERT_TAIL(&files->by_use, entry, by_use);
	return entry;
}

void symbol_files_touch(struct symbol_files *files, struct symbol_files_entry *entry)
{
	TAILQ_REMOVE(&files->by_use, entry, by_use);
	TAILQ_INSERT_TAIL(&files->by_use, entry, by_use);
}

bool symbol_files_close_fd(struct symbol_files *files, struct symbol_files_entry *entry)
{
	if (entry->fd < 0)
		return true;
	if (background_close(entry->fd) < 0)
		return false;
	entry->fd = -1;
	files->descriptors--;
	return true;
}

void symbol_files_close_found(struct symbol_files_entry *entry)
{
	if (entry->found >= 0)
		background_close(entry->found);
	entry->found = -1;
}

static bool make_room_for_fd(struct symbol_files *files)
{
	struct symbol_files_entry *entry;
	if (files->descriptors < SYMBOL_CLIENT_DESCRIPTORS)
		return true;
	TAILQ_FOREACH (entry, &files->by_use, by_use)
		if (entry->fd >= 0 && !is_busy(entry))
			return symbol_files_close_fd(files, entry);
	return false;
}

void symbol_files_set_fd(struct symbol_files *files, struct symbol_files_entry *entry, int fd)
{
	if (fd < 0)
		return;
	if (entry->fd >= 0 || entry->stage == SYMBOL_FILES_GIVEN_UP || !make_room_for_fd(files)) {
		background_close(fd);
		return;
	}
	entry->fd = fd;
	files->descriptors++;
}

static bool make_room_in_cache(struct symbol_files *files)
{
	struct symbol_files_entry *entry;
	if (files->cache_bytes < files->cache_limit)
		return true;
	TAILQ_FOREACH (entry, &files->by_use, by_use) {
		if (!is_busy(entry))
			drop_cache(files, entry);
		if (files->cache_bytes < files->cache_limit)
			return true;
	}
	return false;
}

static void make_room_in_queue(struct symbol_files_entry *entry)
{
	if (entry->queue_head + entry->queue_count < entry->queue_capacity)
		return;
	if (entry->queue_head > entry->queue_count) {
		memcpy(entry->queue, entry->queue + entry->queue_head,
			entry->queue_count * sizeof(entry->queue[0]));
		entry->queue_head = 0;
		return;
	}
	entry->queue_capacity = entry->queue_capacity ? entry->queue_capacity * 2 : MIN_QUEUE;
	entry->queue = alloc_resize(entry->queue, entry->queue_capacity, sizeof(entry->queue[0]));
}

uint64_t symbol_files_ask(
	struct symbol_files *files, struct symbol_files_entry *entry, uint64_t offset)
{
	if (files->queued >= SYMBOL_CLIENT_QUEUE || !make_room_in_cache(files))
		return 0;
	make_room_in_queue(entry);
	entry->queue[entry->queue_head + entry->queue_count++] = offset;
	files->queued++;
	symbol_cache_ask(&entry->cache, offset, ++entry->asked);
	count_cache(files, entry);
	return entry->asked;
}

static void pop(struct symbol_files *files, struct symbol_files_entry *entry)
{
	entry->queue_head++;
	entry->queue_count--;
	entry->answered++;
	files->queued--;
	if (entry->queue_count)
		return;
	free(entry->queue);
	entry->queue = NULL;
	entry->queue_head = entry->queue_capacity = 0;
}

bool symbol_files_answer(struct symbol_files *files, struct symbol_files_entry *entry,
	const Spprof__V1__SymbolizerAnswer *answer)
{
	bool fits = make_room_in_cache(files);
	if (fits)
		symbol_cache_store(&entry->cache, answer);
	else
		symbol_cache_forget(&entry->cache, answer->offset);
	count_cache(files, entry);
	pop(files, entry);
	return fits;
}

uint32_t symbol_files_drop_queue(struct symbol_files *files, struct symbol_files_entry *entry)
{
	uint32_t count = entry->queue_count;
	while (entry->queue_count) {
		symbol_cache_forget(&entry->cache, entry->queue[entry->queue_head]);
		pop(files, entry);
	}
	return count;
}

void symbol_files_give_up(struct symbol_files *files, struct symbol_files_entry *entry)
{
	symbol_files_drop_queue(files, entry);
	symbol_files_leave_turn(files, entry);
	symbol_files_close_fd(files, entry);
	symbol_files_close_found(entry);
	drop_cache(files, entry);
	entry->stage = SYMBOL_FILES_GIVEN_UP;
}

const char *symbol_files_describe(const struct symbol_files_entry *entry, char *text, size_t room)
{
	char name[32];
	snprintf(name, sizeof(name), "/proc/self/fd/%d", entry->fd);
	ssize_t size = entry->fd < 0 ? -1 : readlink(name, text, room - 1);
	if (size > 0)
		text[size] = '\0';
	else
		snprintf(text, room, "inode %ju", (uintmax_t)entry->identity.inode);
	return text;
}

void symbol_files_take_turn(struct symbol_files *files, struct symbol_files_entry *entry)
{
	if (entry->in_turn)
		return;
	entry->in_turn = true;
	if (entry->stage == SYMBOL_FILES_CLOSED)
		TAILQ_INSERT_TAIL(&files->by_turn, entry, by_turn);
	else
		TAILQ_INSERT_HEAD(&files->by_turn, entry, by_turn);
}

void symbol_files_leave_turn(struct symbol_files *files, struct symbol_files_entry *entry)
{
	if (!entry->in_turn)
		return;
	entry->in_turn = false;
	TAILQ_REMOVE(&files->by_turn, entry, by_turn);
}
