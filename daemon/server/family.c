#include "server/family.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/alloc.h"
#include "base/hash_index.h"
#include "server/api_access.h"
#include "server/session.h"
#include "server/session_table.h"

struct candidates {
	const struct session *root;
	struct session **items; /* owns the list */
	uint32_t count;
	/* Of those that belong, by what a child says of them: positions in the list and one more; 0: the root. */
	struct hash_index known;
};

static bool is_made_by(const struct session *session, uint64_t load_ns, uint32_t pid_hint)
{
	const struct segment_info *segment = session_segment(session);
	return segment->load_ns == load_ns && segment->pid_hint == pid_hint;
}

static bool claims(const struct session *session, const struct session *ancestor)
{
	const struct segment_info *own = session_segment(session);
	for (uint32_t i = 0; (own->flags & WIRE_FLAG_FORKED) && i < WIRE_ANCESTORS; i++)
		if (own->ancestors[i].load_ns != 0 &&
			is_made_by(ancestor, own->ancestors[i].load_ns, own->ancestors[i].pid_hint))
			return true;
	return false;
}

static void add_candidate(struct session *session, void *data)
{
	struct candidates *candidates = data;
	if (session == candidates->root || session_facts(session)->state == SESSION_EXITED ||
		!(session_segment(session)->flags & WIRE_FLAG_FORKED))
		return;
	candidates->items = alloc_resize(
		candidates->items, candidates->count + (size_t)1, sizeof *candidates->items);
	candidates->items[candidates->count++] = session;
}

static uint32_t hash_of(uint64_t load_ns, uint32_t pid_hint)
{
	const uint64_t key[2] = {load_ns, pid_hint};
	return hash_index_hash(key, sizeof key);
}

static bool is_known(const struct candidates *candidates, uint64_t load_ns, uint32_t pid_hint)
{
	struct hash_cursor at = hash_index_seek(hash_of(load_ns, pid_hint));
	uint32_t place;
	while (hash_index_next(&candidates->known, &at, &place))
		if (is_made_by(place > 0 ? candidates->items[place - 1] : candidates->root, load_ns,
			    pid_hint))
			return true;
	return false;
}

static void make_known(struct candidates *candidates, const struct session *session, uint32_t place)
{
	const struct segment_info *segment = session_segment(session);
	if (!is_known(candidates, segment->load_ns, segment->pid_hint))
		hash_index_insert(
			&candidates->known, hash_of(segment->load_ns, segment->pid_hint), place);
}

/* Of the root, or of one between: a segment tells of its nearest ancestors only. */
static bool descends(const struct candidates *candidates, const struct session *session)
{
	const struct segment_map_ancestor *ancestors = session_segment(session)->ancestors;
	for (uint32_t i = 0; i < WIRE_ANCESTORS; i++)
		if (ancestors[i].load_ns != 0 &&
			is_known(candidates, ancestors[i].load_ns, ancestors[i].pid_hint))
			return true;
	return false;
}

/* Ancestors first: each fork raises the generation. */
static int compare(const void *left, const void *right)
{
	const struct session *const *a = left, *const *b = right;
	const struct segment_info *x = session_segment(*a), *y = session_segment(*b);
	int order = (x->places.generation > y->places.generation) -
		    (x->places.generation < y->places.generation);
	if (order == 0)
		order = (x->load_ns > y->load_ns) - (x->load_ns < y->load_ns);
	return order != 0 ? order : session_facts(*a)->pid - session_facts(*b)->pid;
}

static bool same_user(const struct session *a, const struct session *b)
{
	const struct session_facts *x = session_facts(a), *y = session_facts(b);
	return x->single_uid && y->single_uid && x->uid == y->uid;
}

static bool belongs(const struct candidates *candidates, const bool *accepted, uint32_t i)
{
	struct session *session = candidates->items[i];
	pid_t parent = session_facts(session)->parent_pid;
	if (!descends(candidates, session))
		return false;
	if (same_user(session, candidates->root))
		return true;
	if (parent == 0)
		return false;
	if (parent == session_facts(candidates->root)->pid)
		return true;
	for (uint32_t k = 0; k < i; k++)
		if (accepted[k] && parent == session_facts(candidates->items[k])->pid &&
			claims(session, candidates->items[k]))
			return true;
	return false;
}

void family_init(struct family *family, const struct session_table *table, struct session *root,
	const struct api_peer *peer)
{
	struct candidates candidates = {.root = root};
	*family = (struct family){0};
	session_table_each(table, add_candidate, &candidates);
	if (candidates.count > 0)
		qsort(candidates.items, candidates.count, sizeof *candidates.items, compare);
	bool *accepted = alloc_zeroed(candidates.count + (size_t)1, sizeof *accepted);
	make_known(&candidates, root, 0);
	family->members = alloc_zeroed(FAMILY_MAX, sizeof *family->members);
	family->members[family->count++] = session_ref(root);
	for (uint32_t i = 0; i < candidates.count; i++) {
		accepted[i] = belongs(&candidates, accepted, i);
		if (!accepted[i])
			continue;
		make_known(&candidates, candidates.items[i], i + 1);
		if (family->count < FAMILY_MAX && api_access_session(peer, candidates.items[i]))
			family->members[family->count++] = session_ref(candidates.items[i]);
		else
			family->left_out++;
	}
	hash_index_deinit(&candidates.known);
	free(accepted);
	free(candidates.items);
}

void family_deinit(struct family *family)
{
	for (uint32_t i = 0; i < family->count; i++)
		session_unref(family->members[i]);
	free(family->members);
	*family = (struct family){0};
}

bool family_has_heirs(const struct family *family, uint32_t member)
{
	for (uint32_t i = member + 1; i < family->count; i++)
		if (claims(family->members[i], family->members[member]))
			return true;
	return false;
}
