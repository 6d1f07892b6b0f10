/*
 * Live entries are dense: the last one moves into the place of one that dies, so memory follows the
 * live count in both directions. They lie in chunks, so growing copies nothing. Deaths are kept in
 * two generations, this round's and the last one's; ending a round drops the older.
 *
 * A remembered death knows whether its birth was counted. That makes the events commute: whichever
 * of a sample's events come, in whatever order within two rounds, each counts once.
 *
 * Resync. Time is cut into eras by the requests. An entry's `named` is the era in which it was
 * learned or last named, so what a sweep erases has another one than the present, and a request
 * touches no entry. The eras of five bits are used up after 30 requests; then each entry's is set
 * back by hand.
 *   `told` is the era whose LIVE brought the entry, until its BIRTH is seen. While it is set, the
 * entry may be taken back, so it is not in the cumulative sums yet: those are doubles and maxima,
 * from which nothing can be subtracted exactly. heap_model_sums adds such entries afresh, and they
 * enter for good when they die.
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

#define ERA_NEVER   0u /* not by a LIVE; before the first request */
#define ERA_FOREIGN 1u /* of a request too old to be known, or not ours */
#define ERA_SPARED  1u /* `named` only: found by a reading, and not announced */
#define ERA_FIRST   2u
#define ERAS	    32u

_Static_assert(sizeof(struct heap_birth) == 48, "heap_model.h states what a live sample costs");

struct death {
	uint64_t id;
	uint64_t time_ns : 62;
	uint64_t born : 1;
	uint64_t taken_back : 1; /* announces no death: the LIVE was void */
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
	uint32_t era;
	uint32_t epochs[ERAS]; /* of the eras since the last overflow */
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

static void insert_live(struct heap_model *model, const struct heap_birth *birth, uint32_t told)
{
	uint32_t position = model->index.count;
	if (position == model->chunk_count * CHUNK_ENTRIES)
		add_chunk(model);
	struct heap_birth *entry = entry_at(model, position);
	*entry = *birth;
	entry->named = model->era;
	entry->told = told;
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

static void add_to_sums(struct heap_model *model, const struct heap_birth *birth)
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
}

/* What a LIVE has brought is not in doubt any more. */
static void confirm(struct heap_model *model, struct heap_birth *entry)
{
	if (entry->told != ERA_NEVER)
		add_to_sums(model, entry);
	entry->told = ERA_NEVER;
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

/* A BIRTH of what lives: told twice, or overtaken by its LIVE. */
static void hear_of_live(struct heap_model *model, struct heap_birth *entry)
{
	if (entry->told == ERA_NEVER)
		model->totals.duplicate_births++;
	else
		entry->named = model->era;
	confirm(model, entry);
}

void heap_model_birth(struct heap_model *model, const struct heap_birth *birth)
{
	struct heap_totals *totals = &model->totals;
	struct hash_cursor at;
	struct death *death = find_remembered(model, birth->id);
	uint32_t position;
	if (find_live(model, birth->id, &at, &position)) {
		hear_of_live(model, entry_at(model, position));
		return;
	}
	if (death && death->born) {
		totals->duplicate_births++;
		return;
	}
	totals->births++;
	add_to_sums(model, birth);
	if (death) {
		death->born = true;
		count_death(model, birth->time_ns, death->time_ns);
	} else if (model->index.count < model->limits.max_live) {
		insert_live(model, birth, ERA_NEVER);
	} else {
		totals->folded_samples++;
		totals->folded_bytes +=
			(double)birth->size_bytes /
			estimate_probability(birth->size_bytes, birth->interval_bytes);
	}
}

static void bury(
	struct heap_model *model, const struct hash_cursor *at, uint32_t position, uint64_t time_ns)
{
	struct heap_birth *entry = entry_at(model, position);
	confirm(model, entry);
	count_death(model, entry->time_ns, time_ns);
	remove_live(model, at, position);
}

/* The death itself may come behind a taking back, whose place it takes; told twice it counts once.
 */
static void hear_again(struct heap_model *model, struct death *known, uint64_t time_ns)
{
	model->totals.duplicate_deaths += !known->taken_back;
	if (known->taken_back && !known->born)
		known->time_ns = time_ns;
	known->taken_back = false;
}

static void remember_or_count(struct heap_model *model, const struct death *death)
{
	if (remember(model, death))
		return;
	if (death->born)
		model->totals.unguarded_deaths++;
	else
		model->totals.forgotten_deaths++;
}

void heap_model_death(struct heap_model *model, uint64_t id, uint64_t time_ns)
{
	struct hash_cursor at;
	uint32_t position;
	struct death death = {.id = id, .time_ns = time_ns};
	struct death *known = NULL;
	if (find_live(model, id, &at, &position)) {
		bury(model, &at, position, time_ns);
		death.born = true;
	} else if ((known = find_remembered(model, id)) != NULL) {
		hear_again(model, known, time_ns);
		return;
	}
	remember_or_count(model, &death);
}

void heap_model_end_round(struct heap_model *model)
{
	struct death_set oldest = model->last_round;
	for (uint32_t i = 0; i < oldest.index.count; i++)
		model->totals.unknown_deaths +=
			!oldest.deaths[i].born && !oldest.deaths[i].taken_back;
	forget_all(&oldest);
	model->last_round = model->this_round;
	model->this_round = oldest;
}

static void forget_eras(struct heap_model *model)
{
	for (uint32_t i = 0; i < model->index.count; i++) {
		struct heap_birth *entry = entry_at(model, i);
		entry->named = ERA_NEVER;
		if (entry->told != ERA_NEVER)
			entry->told = ERA_FOREIGN;
	}
	memset(model->epochs, 0, sizeof(model->epochs));
	model->era = ERA_FIRST;
}

void heap_model_request(struct heap_model *model, uint32_t epoch)
{
	if (model->era < ERA_FIRST || model->era == ERAS - 1)
		forget_eras(model);
	else
		model->era++;
	model->epochs[model->era] = epoch;
	model->totals.refused_lives = 0;
}

/* The latest one: epochs come again, long after. */
static uint32_t era_of(const struct heap_model *model, uint32_t epoch)
{
	for (uint32_t era = model->era; era >= ERA_FIRST; era--)
		if (model->epochs[era] == epoch)
			return era;
	return ERA_FOREIGN;
}

static bool is_current(const struct heap_model *model, uint32_t epoch)
{
	return model->era >= ERA_FIRST && model->epochs[model->era] == epoch;
}

bool heap_model_name(struct heap_model *model, uint64_t id, uint32_t epoch)
{
	struct hash_cursor at;
	uint32_t position;
	if (find_live(model, id, &at, &position)) {
		if (is_current(model, epoch))
			entry_at(model, position)->named = model->era;
		return true;
	}
	const struct death *death = find_remembered(model, id);
	return death && (death->born || death->taken_back);
}

bool heap_model_knows(const struct heap_model *model, uint64_t id)
{
	struct hash_cursor at;
	return find_live(model, id, &at, &(uint32_t){0}) || find_remembered(model, id);
}

void heap_model_live(struct heap_model *model, const struct heap_birth *birth, uint32_t epoch)
{
	struct heap_totals *totals = &model->totals;
	struct death *death = find_remembered(model, birth->id);
	if (!death && model->index.count >= model->limits.max_live) {
		totals->refused_lives++;
		return;
	}
	totals->births++;
	if (!death) {
		insert_live(model, birth, era_of(model, epoch));
		return;
	}
	death->born = true;
	add_to_sums(model, birth);
	count_death(model, birth->time_ns, death->time_ns);
}

void heap_model_take_back(struct heap_model *model, uint64_t id, uint32_t epoch)
{
	struct hash_cursor at;
	uint32_t position;
	struct death death = {.id = id, .taken_back = true};
	if (find_live(model, id, &at, &position)) {
		if (entry_at(model, position)->told == era_of(model, epoch)) {
			model->totals.births--;
			model->totals.taken_back++;
			remove_live(model, &at, position);
		} else {
			bury(model, &at, position, 0);
			death.born = true;
		}
	} else if (find_remembered(model, id)) {
		return;
	}
	remember_or_count(model, &death);
}

void heap_model_spare(struct heap_model *model, uint64_t id, bool fresh)
{
	struct hash_cursor at;
	uint32_t position;
	if (!find_live(model, id, &at, &position))
		return;
	struct heap_birth *entry = entry_at(model, position);
	if (fresh || entry->named != model->era)
		entry->named = ERA_SPARED;
}

void heap_model_begin_reading(struct heap_model *model)
{
	for (uint32_t i = 0; i < model->index.count; i++)
		if (entry_at(model, i)->named == ERA_SPARED)
			entry_at(model, i)->named = ERA_NEVER;
}

uint64_t heap_model_sweep(struct heap_model *model, bool spare)
{
	uint64_t swept = 0;
	/* Downwards: what moves into a gap has been looked at. */
	for (uint32_t i = model->index.count; i-- > 0;) {
		struct hash_cursor at;
		uint32_t named = entry_at(model, i)->named;
		if (named == model->era || (spare && named == ERA_SPARED))
			continue;
		find_live(model, entry_at(model, i)->id, &at, &(uint32_t){0});
		bury(model, &at, i, 0);
		swept++;
	}
	model->totals.inferred_deaths += swept;
	return swept;
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
		uint32_t stack = entry->stack < stacks ? entry->stack : 0;
		estimate_add(&live[stack], entry->size_bytes, entry->interval_bytes);
		if (entry->told != ERA_NEVER)
			estimate_add(&cumulative[stack], entry->size_bytes, entry->interval_bytes);
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
