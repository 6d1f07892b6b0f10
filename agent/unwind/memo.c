/*
 * Invariants: list[i] for all i below the walk's frame number was written by this walk, or would
 * have been the same; `next` is at that number or ahead of it; from `next` on there is a mark that
 * no stack pointer passes and no key fits, at list[MEMO_FRAMES] at the latest, where nothing else
 * is ever written. None of this rests on what the entries hold.
 */
#include "unwind/memo.h"
#include "unwind/cfi.h"

static void mark_end(struct memo_entry *entry)
{
	*entry = (struct memo_entry){.word = 0, .sp = UINTPTR_MAX};
}

struct memo_entry *memo_begin(struct memo *memo)
{
	mark_end(&memo->list[memo->count <= MEMO_FRAMES ? memo->count : 0]);
	mark_end(&memo->list[MEMO_FRAMES]);
	return memo->list;
}

void memo_end(struct memo *memo, uint32_t count)
{
	memo->count = count < MEMO_FRAMES ? count : MEMO_FRAMES;
}

/* Moves what is left of the last walk to the very end. If it is there already, it is given up: it
 * would be cut off. */
static struct memo_entry *move_away(struct memo *memo, struct memo_entry *next)
{
	struct memo_entry *from = next, *to = &memo->list[MEMO_FRAMES];

	while (from->sp != UINTPTR_MAX)
		from++;
	mark_end(to);
	if (from == to)
		return to;
	while (from > next)
		*--to = *--from;
	return to;
}

struct memo_entry *memo_learn(struct memo *memo, struct memo_entry *next, uint32_t index,
	uintptr_t sp, uint64_t key, uint32_t rule)
{
	if (index >= MEMO_FRAMES)
		return next;
	/* What the last walk had at this place it has no more. */
	if (next->sp == sp && next < &memo->list[MEMO_FRAMES])
		next++;
	if (next == &memo->list[index])
		next = move_away(memo, next);
	memo->list[index].sp = sp;
	memo->list[index].word =
		rule == rule_cache_of(CFI_NO_INFO) ? 0 : key << RULE_CACHE_BITS | rule;
	return next;
}
