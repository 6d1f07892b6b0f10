/*
 * Files answer in the order of their tickets and tickets only go up, so a need that was met stays
 * met: each look at a resolve goes on where the last one stopped.
 */
#include "server/symbol_waits.h"
#include <stdlib.h>
#include "base/alloc.h"
#include "server/symbol_files.h"

void symbol_waits_init(struct symbol_waits *waits)
{
	LIST_INIT(&waits->all);
	waits->last_handle = 0;
	waits->ended = false;
}

static void free_item(struct symbol_waits_item *wait)
{
	for (size_t i = 0; i < wait->need_count; i++)
		wait->needs[i].file->pins--;
	LIST_REMOVE(wait, all);
	hash_index_deinit(&wait->by_file);
	free(wait->needs);
	free(wait);
}

void symbol_waits_deinit(struct symbol_waits *waits)
{
	waits->ended = true;
	while (!LIST_EMPTY(&waits->all))
		free_item(LIST_FIRST(&waits->all));
}

struct symbol_waits_item *symbol_waits_add(
	struct symbol_waits *waits, uint64_t deadline_ms, void (*done)(void *), void *data)
{
	struct symbol_waits_item *wait = alloc_zeroed(1, sizeof(*wait));
	wait->handle = ++waits->last_handle;
	wait->deadline_ms = deadline_ms;
	wait->done = done;
	wait->data = data;
	LIST_INSERT_HEAD(&waits->all, wait, all);
	return wait;
}

static struct symbol_waits_need *need_of(
	struct symbol_waits_item *wait, struct symbol_files_entry *file)
{
	uint32_t position, hash = hash_index_hash(&file->key, sizeof(file->key));
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(&wait->by_file, &at, &position))
		if (wait->needs[position].file == file)
			return &wait->needs[position];
	ALLOC_GROW(wait->needs, wait->need_capacity, wait->need_count);
	hash_index_insert(&wait->by_file, hash, (uint32_t)wait->need_count);
	file->pins++;
	wait->needs[wait->need_count] = (struct symbol_waits_need){.file = file};
	return &wait->needs[wait->need_count++];
}

void symbol_waits_need(
	struct symbol_waits_item *wait, struct symbol_files_entry *file, uint64_t ticket)
{
	struct symbol_waits_need *need = need_of(wait, file);
	if (ticket > need->ticket)
		need->ticket = ticket;
}

void symbol_waits_cancel(struct symbol_waits *waits, uint64_t handle)
{
	struct symbol_waits_item *wait;
	LIST_FOREACH (wait, &waits->all, all)
		if (wait->handle == handle && !wait->told) {
			free_item(wait);
			return;
		}
}

static bool is_answered(struct symbol_waits_item *wait)
{
	while (wait->met < wait->need_count) {
		const struct symbol_waits_need *need = &wait->needs[wait->met];
		if (need->file->answered < need->ticket)
			return false;
		wait->met++;
	}
	return true;
}

static struct symbol_waits_item *find_due(struct symbol_waits *waits, uint64_t now_ms)
{
	struct symbol_waits_item *wait;
	LIST_FOREACH (wait, &waits->all, all)
		if (!wait->told && (now_ms >= wait->deadline_ms || is_answered(wait)))
			return wait;
	return NULL;
}

bool symbol_waits_any_due(struct symbol_waits *waits, uint64_t now_ms)
{
	return find_due(waits, now_ms) != NULL;
}

bool symbol_waits_tell_one(struct symbol_waits *waits, uint64_t now_ms)
{
	struct symbol_waits_item *wait = find_due(waits, now_ms);
	if (!wait)
		return false;
	wait->told = true;
	wait->done(wait->data);
	if (waits->ended)
		return false;
	free_item(wait);
	return true;
}

uint64_t symbol_waits_next_deadline(const struct symbol_waits *waits)
{
	const struct symbol_waits_item *wait;
	uint64_t next = UINT64_MAX;
	LIST_FOREACH (wait, &waits->all, all)
		if (!wait->told && wait->deadline_ms < next)
			next = wait->deadline_ms;
	return next;
}

bool symbol_waits_any(const struct symbol_waits *waits)
{
	return !LIST_EMPTY(&waits->all);
}
