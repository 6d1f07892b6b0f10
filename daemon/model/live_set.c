/*
 * Entries are dense: the last one moves into the place of one that goes, so memory follows the count
 * in both directions. They lie in chunks, so growing copies nothing. The index has shards, so that
 * the growing of one touches a sixteenth of the entries.
 *
 * Marks. `now`, `before` and `found` are three different marks, none of them dead; an entry may have
 * older ones, of earlier requests and readings. Those that live mean the same as `before`: not named
 * since the request. live_set_tidy goes over the positions, takes ghosts out and gives `before` to
 * what has an older mark. A mark is used anew when no entry has it.
 *
 * Why a sweep is whole although its ghosts go one by one. Whether an entry is a ghost is its mark's
 * word, which the sweep changes for all of them at once, with the count and the digest. A ghost's
 * mark never changes and no entry gets a dead mark, so nothing comes back and nothing follows. Whoever
 * looks for a ghost finds nothing, as if it had been taken out: a BIRTH, a LIVE or a reading that
 * names it makes a new entry, with the ghost still in the index under the same id. No other request,
 * sweep or reading has to wait, and none is able to see how far the tidying is.
 *
 * Walking downwards: what moves into a gap comes from a position that has been looked at. What has
 * got an old mark since then is left to the next walk.
 */
#include "model/live_set.h"
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "spprof/wire/segment.h"

#define CHUNK_ENTRIES 64u

/* In looks at one entry, about 3 ns each; taking one out costs as much as so many. */
#define TIDY_LOOKS  (1u << 16)
#define TAKING_OUT  32u
#define INSERT_PAYS (4 * TAKING_OUT) /* so ghosts never make up for long what max_live forbids */

static uint32_t hash_of(uint64_t id)
{
	return hash_index_hash(&id, sizeof(id));
}

/* The lower bits choose the slot. */
static struct hash_index *shard_of(const struct live_set *set, uint32_t hash)
{
	return (struct hash_index *)&set->shards[hash / (UINT32_MAX / LIVE_SET_SHARDS + 1)];
}

struct heap_birth *live_set_at(const struct live_set *set, uint32_t position)
{
	return &set->chunks[position / CHUNK_ENTRIES][position % CHUNK_ENTRIES];
}

bool live_set_is_ghost(const struct live_set *set, const struct heap_birth *entry)
{
	return set->marks[entry->named].dead;
}

void live_set_init(
	struct live_set *set, void (*gone)(const struct heap_birth *ghost, void *data), void *data)
{
	*set = (struct live_set){.now = 0, .before = 1, .found = 2, .gone = gone, .data = data};
}

void live_set_deinit(struct live_set *set)
{
	for (uint32_t i = 0; i < set->chunk_count; i++)
		free(set->chunks[i]);
	free(set->chunks);
	for (uint32_t i = 0; i < LIVE_SET_SHARDS; i++)
		hash_index_deinit(&set->shards[i]);
}

struct heap_birth *live_set_find(const struct live_set *set, uint64_t id)
{
	uint32_t hash = hash_of(id), position;
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(shard_of(set, hash), &at, &position)) {
		struct heap_birth *entry = live_set_at(set, position);
		if (entry->id == id && !live_set_is_ghost(set, entry))
			return entry;
	}
	return NULL;
}

/* By place, not by id: an entry and a ghost may have the same. */
static struct hash_cursor seek_entry(
	const struct live_set *set, const struct heap_birth *entry, uint32_t *position)
{
	uint32_t hash = hash_of(entry->id);
	struct hash_cursor at = hash_index_seek(hash);
	while (hash_index_next(shard_of(set, hash), &at, position))
		if (live_set_at(set, *position) == entry)
			break;
	return at;
}

static void count_in(struct live_set *set, uint32_t mark, uint64_t id)
{
	set->marks[mark].count++;
	set->marks[mark].digest += wire_digest(id);
}

static void count_out(struct live_set *set, uint32_t mark, uint64_t id)
{
	struct live_mark *counts = &set->marks[mark];
	counts->count--;
	counts->digest -= wire_digest(id);
	set->ghosts -= counts->dead;
	if (counts->count == 0)
		counts->dead = false;
}

static void add_chunk(struct live_set *set)
{
	ALLOC_GROW(set->chunks, set->chunk_capacity, set->chunk_count);
	set->chunks[set->chunk_count++] =
		alloc_resize(NULL, CHUNK_ENTRIES, sizeof(struct heap_birth));
}

void live_set_remove(struct live_set *set, struct heap_birth *entry)
{
	uint32_t position, position_of_last;
	struct heap_birth *last = live_set_at(set, set->count - 1);
	count_out(set, entry->named, entry->id);
	if (entry != last) {
		struct hash_cursor at = seek_entry(set, entry, &position);
		struct hash_cursor at_last = seek_entry(set, last, &position_of_last);
		hash_index_replace(shard_of(set, at_last.hash), &at_last, position);
		hash_index_erase(shard_of(set, at.hash), &at);
		*entry = *last;
	} else {
		struct hash_cursor at = seek_entry(set, entry, &position);
		hash_index_erase(shard_of(set, at.hash), &at);
	}
	set->count--;
	/* one empty chunk is kept: a count may swing around a boundary */
	if (set->count + CHUNK_ENTRIES <= (set->chunk_count - 1) * CHUNK_ENTRIES)
		free(set->chunks[--set->chunk_count]);
}

void live_set_mark(struct live_set *set, struct heap_birth *entry, uint32_t mark)
{
	if (entry->named == mark)
		return;
	count_out(set, entry->named, entry->id);
	count_in(set, mark, entry->id);
	entry->named = mark;
}

static bool is_tidy(const struct live_set *set)
{
	return set->count == set->marks[set->now].count + set->marks[set->before].count +
				     set->marks[set->found].count;
}

/* What it cost. */
static uint32_t tidy_entry(struct live_set *set, struct heap_birth *entry)
{
	uint32_t mark = entry->named;
	if (live_set_is_ghost(set, entry)) {
		set->gone(entry, set->data);
		live_set_remove(set, entry);
		return TAKING_OUT;
	}
	if (mark != set->now && mark != set->found)
		live_set_mark(set, entry, set->before);
	return 1;
}

static bool tidy(struct live_set *set, uint32_t looks)
{
	for (uint32_t cost = 0; cost < looks && !is_tidy(set);) {
		if (set->walk == 0 || set->walk > set->count)
			set->walk = set->count;
		cost += tidy_entry(set, live_set_at(set, --set->walk));
	}
	return !is_tidy(set);
}

bool live_set_tidy(struct live_set *set)
{
	return tidy(set, TIDY_LOOKS);
}

void live_set_insert(struct live_set *set, const struct heap_birth *birth, uint32_t mark)
{
	if (set->ghosts > 0)
		tidy(set, INSERT_PAYS);
	uint32_t position = set->count++, hash = hash_of(birth->id);
	if (position == set->chunk_count * CHUNK_ENTRIES)
		add_chunk(set);
	struct heap_birth *entry = live_set_at(set, position);
	*entry = *birth;
	entry->named = mark;
	hash_index_insert(shard_of(set, hash), hash, position);
	count_in(set, mark, birth->id);
}

static uint32_t unused_mark(const struct live_set *set)
{
	uint32_t mark = 0;
	while (mark < LIVE_SET_MARKS && (set->marks[mark].count > 0 || mark == set->now ||
						mark == set->before || mark == set->found))
		mark++;
	return mark;
}

/* Nearly always after one slice: each mark that was given up is free after one walk, and there are
 * 29 of them. */
static uint32_t take_mark(struct live_set *set)
{
	live_set_tidy(set);
	while (unused_mark(set) == LIVE_SET_MARKS)
		live_set_tidy(set);
	return unused_mark(set);
}

void live_set_request(struct live_set *set)
{
	uint32_t mark = take_mark(set);
	set->before = set->now;
	set->now = mark;
}

void live_set_begin_reading(struct live_set *set)
{
	set->found = take_mark(set);
}

uint32_t live_set_sweep(struct live_set *set, bool spare_found)
{
	uint32_t swept = 0, mark = take_mark(set), spared = set->found;
	for (uint32_t i = 0; i < LIVE_SET_MARKS; i++) {
		struct live_mark *counts = &set->marks[i];
		if (i == set->now || (spare_found && i == spared) || counts->dead ||
			counts->count == 0)
			continue;
		counts->dead = true;
		swept += counts->count;
	}
	set->ghosts += swept;
	/* Neither may be a dead one. */
	set->before = spare_found ? spared : mark;
	set->found = spare_found ? mark : take_mark(set);
	return swept;
}

uint32_t live_set_count(const struct live_set *set)
{
	return set->count - set->ghosts;
}

uint64_t live_set_digest(const struct live_set *set)
{
	uint64_t digest = 0;
	for (uint32_t i = 0; i < LIVE_SET_MARKS; i++)
		if (!set->marks[i].dead)
			digest += set->marks[i].digest;
	return digest;
}

size_t live_set_bytes(const struct live_set *set)
{
	size_t bytes = (size_t)set->chunk_count * CHUNK_ENTRIES * sizeof(struct heap_birth) +
		       set->chunk_capacity * sizeof(set->chunks[0]);
	for (uint32_t i = 0; i < LIVE_SET_SHARDS; i++)
		bytes += hash_index_bytes(&set->shards[i]);
	return bytes;
}
