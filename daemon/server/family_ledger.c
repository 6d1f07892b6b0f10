/*
 * An entry is known by who gave the id, the id and the address. Besides, by who tells of it: the one that gave it, for
 * everybody, or an heir, for processes of that heir's uid. So a worker cannot make samples of another user's disappear.
 *
 * A segment tells of a few ancestors only; the line goes on with what the nearest of these that came before has told.
 */
#include "server/family_ledger.h"

#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/hash_index.h"
#include "model/heap_model.h"
#include "server/session.h"

#define BY_ITSELF UINT32_MAX /* (uid_t)-1 is nobody's */

struct level { /* of a line: entries from this id on, up to the level before, are this owner's */
	uint64_t first_id;
	uint32_t owner;
};

struct line {		      /* ids fall from level to level, to 0 */
	struct level *levels; /* owns */
	uint32_t count;
};

struct owner { /* a process, which need not be attached */
	uint64_t load_ns;
	uint32_t pid_hint;
	uint32_t before;  /* 1: one of those that this was forked from */
	struct line line; /* itself first; empty: it has not come yet */
};

struct entry_key {
	uint64_t id, address;
	uint32_t owner;
	uint32_t teller;
};

struct entry {
	struct entry_key key;
	uint32_t session; /* by whose turn it was counted */
	bool shared;
};

struct family_ledger {
	struct owner *owners; /* owns */
	uint32_t owner_count;
	struct entry *entries; /* owns */
	uint32_t count;
	size_t room;
	struct hash_index index; /* of entries, by key */
	struct family_ledger_sums sums;
	/* of the session under way */
	uint32_t session; /* from 1 */
	uint32_t owner;
	uint32_t uid;
	bool has_heirs, is_heir;
};

int family_ledger_new(struct family_ledger **out)
{
	*out = alloc_zeroed(1, sizeof **out);
	return 0;
}

struct family_ledger *family_ledger_free(struct family_ledger *ledger)
{
	if (ledger == NULL)
		return NULL;
	for (uint32_t i = 0; i < ledger->owner_count; i++)
		free(ledger->owners[i].line.levels);
	hash_index_deinit(&ledger->index);
	free(ledger->entries);
	free(ledger->owners);
	free(ledger);
	return NULL;
}

bool family_ledger_is_inherited(const struct session *session, const struct heap_birth *entry)
{
	const struct segment_info *segment = session_segment(session);
	return (segment->flags & WIRE_FLAG_FORKED) && entry->id < segment->first_id;
}

/* At most WIRE_ANCESTORS + 2 for each session, so a search of the list is cheap beside a heap. */
static uint32_t use_owner(
	struct family_ledger *ledger, uint64_t load_ns, uint32_t pid_hint, uint32_t before)
{
	for (uint32_t i = 0; i < ledger->owner_count; i++)
		if (ledger->owners[i].load_ns == load_ns &&
			ledger->owners[i].pid_hint == pid_hint &&
			ledger->owners[i].before == before)
			return i;
	ledger->owners =
		alloc_resize(ledger->owners, ledger->owner_count + 1, sizeof *ledger->owners);
	ledger->owners[ledger->owner_count] =
		(struct owner){.load_ns = load_ns, .pid_hint = pid_hint, .before = before};
	return ledger->owner_count++;
}

/* One whose ids are all in those before is left out. */
static void add_level(struct line *line, uint64_t first_id, uint32_t owner)
{
	if (line->count > 0 && first_id >= line->levels[line->count - 1].first_id)
		return;
	line->levels = alloc_resize(line->levels, line->count + (size_t)1, sizeof *line->levels);
	line->levels[line->count++] = (struct level){first_id, owner};
}

static void add_ancestors(
	struct family_ledger *ledger, const struct segment_info *segment, struct line *line)
{
	uint64_t load_ns = segment->load_ns;
	uint32_t pid_hint = segment->pid_hint;
	for (uint32_t i = 0; i < WIRE_ANCESTORS && segment->ancestors[i].load_ns != 0; i++) {
		const struct segment_map_ancestor *ancestor = &segment->ancestors[i];
		load_ns = ancestor->load_ns;
		pid_hint = ancestor->pid_hint;
		uint32_t owner = use_owner(ledger, load_ns, pid_hint, 0);
		const struct line *its = &ledger->owners[owner].line;
		add_level(line, ancestor->first_id, owner);
		for (uint32_t k = 1; k < its->count; k++)
			add_level(line, its->levels[k].first_id, its->levels[k].owner);
		if (its->count > 0)
			return;
	}
	add_level(line, 0, use_owner(ledger, load_ns, pid_hint, 1));
}

void family_ledger_begin(
	struct family_ledger *ledger, const struct session *session, bool has_heirs)
{
	const struct segment_info *segment = session_segment(session);
	struct line line = {0};
	ledger->session++;
	ledger->uid = (uint32_t)session_facts(session)->uid;
	ledger->has_heirs = has_heirs;
	ledger->is_heir = false;
	ledger->owner = use_owner(ledger, segment->load_ns, segment->pid_hint, 0);
	add_level(&line, segment->flags & WIRE_FLAG_FORKED ? segment->first_id : 0, ledger->owner);
	add_ancestors(ledger, segment, &line);
	free(ledger->owners[ledger->owner].line.levels);
	ledger->owners[ledger->owner].line = line;
}

/* The first level that begins at this id or before. */
static uint32_t find_level(const struct line *line, uint64_t id)
{
	uint32_t low = 0, high = line->count - 1;
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (line->levels[middle].first_id > id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static uint32_t hash_of(const struct entry_key *key)
{
	return hash_index_hash(key, sizeof *key);
}

static struct entry *find(struct family_ledger *ledger, const struct entry_key *key)
{
	struct hash_cursor at = hash_index_seek(hash_of(key));
	uint32_t known;
	while (hash_index_next(&ledger->index, &at, &known))
		if (memcmp(&ledger->entries[known].key, key, sizeof *key) == 0)
			return &ledger->entries[known];
	return NULL;
}

static bool enter(struct family_ledger *ledger, const struct entry_key *key)
{
	if (ledger->count == FAMILY_LEDGER_MAX)
		return false;
	if (ledger->count == ledger->room) {
		ledger->room = ledger->room > 0 ? 2 * ledger->room : 256;
		ledger->entries =
			alloc_resize(ledger->entries, ledger->room, sizeof *ledger->entries);
	}
	ledger->entries[ledger->count] = (struct entry){.key = *key, .session = ledger->session};
	hash_index_insert(&ledger->index, hash_of(key), ledger->count++);
	return true;
}

static void count_again(
	struct family_ledger *ledger, struct entry *known, const struct heap_birth *entry)
{
	ledger->sums.heirs += !ledger->is_heir;
	ledger->is_heir = true;
	if (!known->shared)
		estimate_add(&ledger->sums.shared, entry->size_bytes, entry->interval_bytes);
	known->shared = true;
}

/* Of the session's line, at which the sample was born; 0: its own. */
static uint32_t level_of(const struct family_ledger *ledger, const struct heap_birth *entry)
{
	return find_level(&ledger->owners[ledger->owner].line, entry->id);
}

static struct entry_key key_of(
	const struct family_ledger *ledger, const struct heap_birth *entry, uint32_t teller)
{
	const struct line *line = &ledger->owners[ledger->owner].line;
	return (struct entry_key){.id = entry->id,
		.address = entry->address,
		.owner = line->levels[find_level(line, entry->id)].owner,
		.teller = teller};
}

static struct entry *find_inherited(struct family_ledger *ledger, const struct heap_birth *entry)
{
	struct entry_key own = key_of(ledger, entry, BY_ITSELF),
			 told = key_of(ledger, entry, ledger->uid);
	struct entry *known = find(ledger, &own);
	return known != NULL ? known : find(ledger, &told);
}

bool family_ledger_has_counted(const struct heap_birth *entry, struct family_ledger *ledger)
{
	if (level_of(ledger, entry) == 0)
		return true;
	const struct entry *known = find_inherited(ledger, entry);
	return known == NULL || known->session == ledger->session;
}

bool family_ledger_counts(const struct heap_birth *entry, void *data)
{
	struct family_ledger *ledger = data;
	if (level_of(ledger, entry) == 0) {
		struct entry_key own = key_of(ledger, entry, BY_ITSELF);
		if (ledger->has_heirs)
			enter(ledger, &own);
		return true;
	}
	struct entry *known = find_inherited(ledger, entry);
	struct entry_key key = key_of(ledger, entry, ledger->uid);
	if (known != NULL)
		count_again(ledger, known, entry);
	else if (!enter(ledger, &key))
		ledger->sums.unmatched++;
	return known == NULL;
}

void family_ledger_sums(const struct family_ledger *ledger, struct family_ledger_sums *out)
{
	*out = ledger->sums;
}
