/*
 * Live entries are dense: the last one moves into the place of one that dies, so memory follows the
 * live count in both directions. They lie in chunks, so growing copies nothing. Deaths are kept in
 * two generations, this round's and the last one's; ending a round drops the older.
 *
 * A remembered death knows whether its birth was counted. That makes the events commute: whichever
 * of a sample's events come, in whatever order within two rounds, each counts once.
 */
#include "model/heap_model.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/hash_index.h"
#include "spprof/wire/segment.h"

#define CHUNK_ENTRIES 64u

_Static_assert(sizeof(struct heap_birth) == 48, "heap_model.h states what a live sample costs");

struct death {
	uint64_t id;
	uint64_t time_ns : 63;
	uint64_t born : 1;
};

struct death_set {
	struct hash_index index; /* by id, to positions in deaths */
	struct death *deaths;	 /* owns */
	uint32_t capacity;	 /* the count is the index's */
};

struct heap_model {
	struct heap_limits limits;
	struct hash_index index; /* by id, to positions of live entries */
	struct heap_birth **chunks;
	uint32_t chunk_count, chunk_capacity;
	struct death_set this_round, last_round;
	struct estimate_sum *cumulative; /* by stack id */
	uint32_t stack_count, stack_capacity;
	struct heap_totals totals;
};

static uint32_t hash_of(uint64_t id)
{
	return hash_index_hash(&id, sizeof(id));
}

static struct heap_birth *entry_at(const struct heap_model *model, uint32_t position)
{
	return &model->chunks[position / CHUNK_ENTRIES][position % CHUNK_ENTRIES];
}

static bool find_live(
	const struct heap_model *model, uint64_t id, struct hash_cursor *at, uint32_t *position)
{
	*at = hash_index_seek(hash_of(id));
	while (hash_index_next(&model->index, at, position))
		if (entry_at(model, *position)->id == id)
			return true;
	return false;
}

static void add_chunk(struct heap_model *model)
{
	if (model->chunk_count == model->chunk_capacity) {
		model->chunk_capacity = model->chunk_capacity ? model->chunk_capacity * 2 : 4;
		model->chunks = alloc_resize(
			model->chunks, model->chunk_capacity, sizeof(model->chunks[0]));
	}
	model->chunks[model->chunk_count++] =
		alloc_resize(NULL, CHUNK_ENTRIES, sizeof(struct heap_birth));
}

static void insert_live(struct heap_model *model, const struct heap_birth *birth)
{
	uint32_t position = model->index.count;
	if (position == model->chunk_count * CHUNK_ENTRIES)
		add_chunk(model);
	*entry_at(model, position) = *birth;
	hash_index_insert(&model->index, hash_of(birth->id), position);
	model->totals.digest += wire_digest(birth->id);
}

static void remove_live(struct heap_model *model, const struct hash_cursor *at, uint32_t position)
{
	uint32_t last = model->index.count - 1;
	model->totals.digest -= wire_digest(entry_at(model, position)->id);
	if (position != last) {
		struct hash_cursor at_last;
		find_live(model, entry_at(model, last)->id, &at_last, &(uint32_t){0});
		hash_index_replace(&model->index, &at_last, position);
		*entry_at(model, position) = *entry_at(model, last);
	}
	hash_index_erase(&model->index, at);
	/* one empty chunk is kept: a count may swing around a boundary */
	if (last + CHUNK_ENTRIES <= (model->chunk_count - 1) * CHUNK_ENTRIES)
		free(model->chunks[--model->chunk_count]);
}

static struct death *find_death(const struct death_set *set, uint64_t id)
{
	uint32_t position;
	struct hash_cursor at = hash_index_seek(hash_of(id));
	while (hash_index_next(&set->index, &at, &position))
		if (set->deaths[position].id == id)
			return &set->deaths[position];
	return NULL;
}

static struct death *find_remembered(const struct heap_model *model, uint64_t id)
{
	struct death *death = find_death(&model->this_round, id);
	return death ? death : find_death(&model->last_round, id);
}

static bool remember(struct heap_model *model, const struct death *death)
{
	struct death_set *set = &model->this_round;
	uint32_t count = set->index.count;
	if ((uint64_t)count + model->last_round.index.count >= model->limits.max_deaths)
		return false;
	if (count == set->capacity) {
		set->capacity = set->capacity ? set->capacity * 2 : 16;
		set->deaths = alloc_resize(set->deaths, set->capacity, sizeof(set->deaths[0]));
	}
	set->deaths[count] = *death;
	hash_index_insert(&set->index, hash_of(death->id), count);
	return true;
}

static void forget_all(struct death_set *set)
{
	uint32_t count = set->index.count;
	hash_index_clear(&set->index);
	if (set->capacity > 16 && count < set->capacity / 8) {
		set->capacity /= 2;
		set->deaths = alloc_resize(set->deaths, set->capacity, sizeof(set->deaths[0]));
	}
}

static void deinit_deaths(struct death_set *set)
{
	hash_index_deinit(&set->index);
	free(set->deaths);
}

static void count_birth(struct heap_model *model, const struct heap_birth *birth)
{
	if (birth->stack >= model->stack_count) {
		if (birth->stack >= model->stack_capacity) {
			uint32_t wanted = birth->stack + birth->stack / 2 + 16;
			model->cumulative = alloc_resize(
				model->cumulative, wanted, sizeof(model->cumulative[0]));
			model->stack_capacity = wanted;
		}
		memset(model->cumulative + model->stack_count, 0,
			(birth->stack + 1 - model->stack_count) * sizeof(model->cumulative[0]));
		model->stack_count = birth->stack + 1;
	}
	estimate_add(&model->cumulative[birth->stack], birth->size_bytes, birth->interval_bytes);
	model->totals.births++;
}

static void count_death(struct heap_model *model, uint64_t birth_ns, uint64_t death_ns)
{
	model->totals.deaths++;
	if (!death_ns)
		return;
	uint64_t lifetime_ns = death_ns > birth_ns ? death_ns - birth_ns : 1;
	uint32_t bucket = 63 - (uint32_t)__builtin_clzll(lifetime_ns);
	model->totals.lifetimes[bucket < HEAP_LIFETIMES ? bucket : HEAP_LIFETIMES - 1]++;
}

int heap_model_new(struct heap_model **out, const struct heap_limits *limits)
{
	if (limits->max_live > HASH_INDEX_MAX_COUNT || limits->max_deaths > HASH_INDEX_MAX_COUNT)
		return -EINVAL;
	struct heap_model *model = alloc_zeroed(1, sizeof(*model));
	model->limits = *limits;
	*out = model;
	return 0;
}

struct heap_model *heap_model_free(struct heap_model *model)
{
	if (!model)
		return NULL;
	for (uint32_t i = 0; i < model->chunk_count; i++)
		free(model->chunks[i]);
	free(model->chunks);
	hash_index_deinit(&model->index);
	deinit_deaths(&model->this_round);
	deinit_deaths(&model->last_round);
	free(model->cumulative);
	free(model);
	return NULL;
}

void heap_model_birth(struct heap_model *model, const struct heap_birth *birth)
{
	struct heap_totals *totals = &model->totals;
	struct hash_cursor at;
	struct death *death = find_remembered(model, birth->id);
	if ((death && death->born) || find_live(model, birth->id, &at, &(uint32_t){0})) {
		totals->duplicate_births++;
		return;
	}
	count_birth(model, birth);
	if (death) {
		death->born = true;
		count_death(model, birth->time_ns, death->time_ns);
	} else if (model->index.count < model->limits.max_live) {
		insert_live(model, birth);
	} else {
		totals->folded_samples++;
		totals->folded_bytes +=
			(double)birth->size_bytes /
			estimate_probability(birth->size_bytes, birth->interval_bytes);
	}
}

void heap_model_death(struct heap_model *model, uint64_t id, uint64_t time_ns)
{
	struct hash_cursor at;
	uint32_t position;
	struct death death = {.id = id, .time_ns = time_ns};
	if (find_live(model, id, &at, &position)) {
		count_death(model, entry_at(model, position)->time_ns, time_ns);
		remove_live(model, &at, position);
		death.born = true;
	} else if (find_remembered(model, id)) {
		model->totals.duplicate_deaths++;
		return;
	}
	if (remember(model, &death))
		return;
	if (death.born)
		model->totals.unguarded_deaths++;
	else
		model->totals.forgotten_deaths++;
}

void heap_model_end_round(struct heap_model *model)
{
	struct death_set oldest = model->last_round;
	for (uint32_t i = 0; i < oldest.index.count; i++)
		model->totals.unknown_deaths += !oldest.deaths[i].born;
	forget_all(&oldest);
	model->last_round = model->this_round;
	model->this_round = oldest;
}

void heap_model_totals(const struct heap_model *model, struct heap_totals *out)
{
	*out = model->totals;
	out->live = model->index.count;
}

void heap_model_sums(const struct heap_model *model, struct estimate_sum *live,
	struct estimate_sum *cumulative, uint32_t stacks)
{
	memset(live, 0, stacks * sizeof(live[0]));
	memset(cumulative, 0, stacks * sizeof(cumulative[0]));
	for (uint32_t i = 0; i < model->index.count; i++) {
		const struct heap_birth *entry = entry_at(model, i);
		estimate_add(&live[entry->stack < stacks ? entry->stack : 0], entry->size_bytes,
			entry->interval_bytes);
	}
	for (uint32_t i = 0; i < model->stack_count; i++)
		estimate_merge(&cumulative[i < stacks ? i : 0], &model->cumulative[i]);
}

void heap_model_each_live(const struct heap_model *model,
	void (*visit)(const struct heap_birth *entry, void *data), void *data)
{
	for (uint32_t i = 0; i < model->index.count; i++)
		visit(entry_at(model, i), data);
}

static size_t death_set_bytes(const struct death_set *set)
{
	return hash_index_bytes(&set->index) + set->capacity * sizeof(set->deaths[0]);
}

size_t heap_model_bytes(const struct heap_model *model)
{
	return sizeof(*model) + hash_index_bytes(&model->index) +
	       (size_t)model->chunk_count * CHUNK_ENTRIES * sizeof(struct heap_birth) +
	       model->chunk_capacity * sizeof(model->chunks[0]) +
	       death_set_bytes(&model->this_round) + death_set_bytes(&model->last_round) +
	       model->stack_capacity * sizeof(model->cumulative[0]);
}
