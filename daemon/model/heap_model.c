/*
 * Deaths are remembered for two rounds (death_memory.c), and know whether their birth was counted.
 * That makes the events commute: whichever of a sample's events come, in whatever order within two
 * rounds, each counts once.
 *
 * Resync. Which samples have been named since the request is a matter of marks (live_set.c). Besides,
 * an entry's `told` says who brought it, until its BIRTH is seen: a LIVE, by its epoch modulo 30, or a
 * reading. What a LIVE has brought may be taken back, so neither is in the cumulative sums yet: those
 * are doubles and maxima, from which nothing can be subtracted exactly. heap_model_sums adds such
 * entries afresh, and they enter for good when they die.
 *   What was read lived when it was read, so it counts whatever becomes of a LIVE that told of it, too.
 */
#include "model/heap_model.h"
#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/hash_index.h"
#include "model/death_log.h"
#include "model/death_memory.h"
#include "model/live_set.h"

#define TOLD_BIRTH 0u
#define TOLD_FOUND 1u
#define TOLD_LIVE  2u /* and the epoch modulo what is left of five bits */
#define TOLD_KINDS 32u

_Static_assert(sizeof(struct heap_birth) == 48, "heap_model.h states what a live sample costs");

struct heap_model {
	struct heap_limits limits;
	struct live_set live;
	struct death_memory deaths;
	struct estimate_sum *cumulative; /* by stack id */
	uint32_t stack_count, stack_capacity;
	struct heap_totals totals;
	uint64_t changes;
	uint32_t epoch; /* of the latest request; 0: there was none */
	uint64_t max_id;
	struct death_log *log; /* owns; NULL: nobody has asked for windows */
};

static struct death *find_remembered(const struct heap_model *model, uint64_t id)
{
	return death_memory_find(&model->deaths, id);
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
	if (entry->told != TOLD_BIRTH)
		add_to_sums(model, entry);
	entry->told = TOLD_BIRTH;
}

static void log_death(struct heap_model *model, const struct heap_birth *birth, uint64_t time_ns)
{
	if (model->log != NULL)
		death_log_add(model->log, birth, time_ns);
}

/* What was swept has been counted as dead by the sweep. */
static void on_gone(const struct heap_birth *ghost, void *data)
{
	log_death(data, ghost, 0);
	if (ghost->told != TOLD_BIRTH)
		add_to_sums(data, ghost);
}

static void count_death(struct heap_model *model, uint64_t birth_ns, uint64_t death_ns)
{
	model->totals.deaths++;
	model->changes++;
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
	model->deaths.max = limits->max_deaths;
	live_set_init(&model->live, on_gone, model);
	*out = model;
	return 0;
}

struct heap_model *heap_model_free(struct heap_model *model)
{
	if (!model)
		return NULL;
	live_set_deinit(&model->live);
	death_memory_deinit(&model->deaths);
	free(model->cumulative);
	death_log_free(model->log);
	free(model);
	return NULL;
}

/* A BIRTH of what lives: told twice, or overtaken by its LIVE or a reading. */
static void hear_of_live(struct heap_model *model, struct heap_birth *entry)
{
	if (entry->told == TOLD_BIRTH)
		model->totals.duplicate_births++;
	else
		live_set_mark(&model->live, entry, model->live.now);
	confirm(model, entry);
}

bool heap_model_hear(struct heap_model *model, uint64_t id)
{
	struct heap_birth *entry = live_set_find(&model->live, id);
	if (entry != NULL) {
		hear_of_live(model, entry);
		return true;
	}
	const struct death *death = find_remembered(model, id);
	if (death == NULL || !death->born)
		return false;
	model->totals.duplicate_births++;
	return true;
}

bool heap_model_has_room(const struct heap_model *model, uint64_t id)
{
	return live_set_count(&model->live) < model->limits.max_live ||
	       find_remembered(model, id) != NULL;
}

static double bytes_of(const struct heap_birth *birth)
{
	return (double)birth->size_bytes /
	       estimate_probability(birth->size_bytes, birth->interval_bytes);
}

static void insert(
	struct heap_model *model, const struct heap_birth *birth, uint32_t mark, uint32_t told)
{
	struct heap_birth entry = *birth;
	entry.told = told;
	model->changes++;
	live_set_insert(&model->live, &entry, mark);
}

/* False: it has not died. */
static bool is_stillborn(struct heap_model *model, const struct heap_birth *birth)
{
	if (birth->id > model->max_id)
		model->max_id = birth->id;
	struct death *death = find_remembered(model, birth->id);
	if (death == NULL)
		return false;
	death->born = true;
	add_to_sums(model, birth);
	count_death(model, birth->time_ns, death->time_ns);
	log_death(model, birth, death->time_ns);
	return true;
}

void heap_model_birth(struct heap_model *model, const struct heap_birth *birth)
{
	struct heap_totals *totals = &model->totals;
	totals->births++;
	if (is_stillborn(model, birth))
		return;
	add_to_sums(model, birth);
	if (heap_model_has_room(model, birth->id)) {
		insert(model, birth, model->live.now, TOLD_BIRTH);
		return;
	}
	model->changes++;
	totals->folded_samples++;
	totals->folded_bytes += bytes_of(birth);
}

uint64_t heap_model_folded(const struct heap_model *model)
{
	return model->totals.folded_samples;
}

/* Its birth was counted and is in the sums. */
void heap_model_unfold(struct heap_model *model, const struct heap_birth *birth)
{
	struct heap_totals *totals = &model->totals;
	totals->folded_samples--;
	totals->folded_bytes =
		totals->folded_samples > 0 ? fmax(0, totals->folded_bytes - bytes_of(birth)) : 0;
	struct death *death = find_remembered(model, birth->id);
	if (death != NULL) {
		death->born = true;
		count_death(model, birth->time_ns, death->time_ns);
		log_death(model, birth, death->time_ns);
	} else {
		insert(model, birth, model->live.now, TOLD_BIRTH);
	}
}

static void bury(struct heap_model *model, struct heap_birth *entry, uint64_t time_ns)
{
	confirm(model, entry);
	count_death(model, entry->time_ns, time_ns);
	log_death(model, entry, time_ns);
	live_set_remove(&model->live, entry);
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
	if (death_memory_add(&model->deaths, death))
		return;
	if (death->born)
		model->totals.unguarded_deaths++;
	else
		model->totals.forgotten_deaths++;
}

void heap_model_death(struct heap_model *model, uint64_t id, uint64_t time_ns)
{
	struct death death = {.id = id, .time_ns = time_ns};
	struct death *known = NULL;
	struct heap_birth *entry = live_set_find(&model->live, id);
	if (entry != NULL) {
		bury(model, entry, time_ns);
		death.born = true;
	} else if ((known = find_remembered(model, id)) != NULL) {
		hear_again(model, known, time_ns);
		return;
	}
	remember_or_count(model, &death);
}

void heap_model_end_round(struct heap_model *model)
{
	model->totals.unknown_deaths += death_memory_end_round(&model->deaths);
}

void heap_model_request(struct heap_model *model, uint32_t epoch)
{
	live_set_request(&model->live);
	model->epoch = epoch;
}

static uint32_t told_by(uint32_t epoch)
{
	return TOLD_LIVE + epoch % (TOLD_KINDS - TOLD_LIVE);
}

static bool is_current(const struct heap_model *model, uint32_t epoch)
{
	return model->epoch != 0 && model->epoch == epoch;
}

/* Not an entry, and not to become one. */
static bool is_done_with(const struct heap_model *model, uint64_t id)
{
	const struct death *death = find_remembered(model, id);
	return death && (death->born || death->taken_back);
}

bool heap_model_name(struct heap_model *model, uint64_t id, uint32_t epoch)
{
	struct heap_birth *entry = live_set_find(&model->live, id);
	if (entry == NULL)
		return is_done_with(model, id);
	if (is_current(model, epoch))
		live_set_mark(&model->live, entry, model->live.now);
	return true;
}

bool heap_model_knows(const struct heap_model *model, uint64_t id)
{
	return live_set_find(&model->live, id) || find_remembered(model, id);
}

void heap_model_live(struct heap_model *model, const struct heap_birth *birth, uint32_t epoch)
{
	model->totals.births++;
	if (!is_stillborn(model, birth))
		insert(model, birth, model->live.now, told_by(epoch));
}

bool heap_model_take_back(
	struct heap_model *model, uint64_t id, uint32_t epoch, struct heap_birth *out)
{
	struct death death = {.id = id, .taken_back = true};
	struct heap_birth *entry = live_set_find(&model->live, id);
	if (entry == NULL && find_remembered(model, id))
		return false;
	bool withdrawn = entry != NULL && entry->told == told_by(epoch);
	if (withdrawn) {
		*out = *entry;
		model->totals.births--;
		model->totals.taken_back++;
		model->changes++;
		live_set_remove(&model->live, entry);
	} else if (entry != NULL) {
		bury(model, entry, 0);
		death.born = true;
	}
	remember_or_count(model, &death);
	return withdrawn;
}

bool heap_model_find(struct heap_model *model, uint64_t id, bool announced, uint32_t epoch)
{
	struct live_set *live = &model->live;
	struct heap_birth *entry = live_set_find(live, id);
	if (entry == NULL)
		return is_done_with(model, id);
	if (entry->told != TOLD_BIRTH)
		entry->told = TOLD_FOUND;
	if (announced && is_current(model, epoch))
		live_set_mark(live, entry, live->now);
	else if (!announced && entry->named != live->now)
		live_set_mark(live, entry, live->found);
	return true;
}

void heap_model_found(struct heap_model *model, const struct heap_birth *birth, bool announced)
{
	model->totals.births++;
	if (!is_stillborn(model, birth))
		insert(model, birth, announced ? model->live.now : model->live.found, TOLD_FOUND);
}

void heap_model_begin_reading(struct heap_model *model)
{
	live_set_begin_reading(&model->live);
}

uint64_t heap_model_sweep(struct heap_model *model, bool spare)
{
	uint64_t swept = live_set_sweep(&model->live, spare);
	model->totals.deaths += swept;
	model->totals.inferred_deaths += swept;
	model->changes += swept;
	return swept;
}

bool heap_model_tidy(struct heap_model *model)
{
	return live_set_tidy(&model->live);
}

void heap_model_totals(const struct heap_model *model, struct heap_totals *out)
{
	*out = model->totals;
	out->live = live_set_count(&model->live);
	out->digest = live_set_digest(&model->live);
}

uint64_t heap_model_changes(const struct heap_model *model)
{
	return model->changes;
}

static bool always(const struct heap_birth *entry, void *data)
{
	(void)entry;
	(void)data;
	return true;
}

void heap_model_sums(const struct heap_model *model, struct estimate_sum *live,
	struct estimate_sum *cumulative, uint32_t stacks)
{
	heap_model_sums_of(model, always, NULL, live, cumulative, stacks);
}

void heap_model_sums_of(const struct heap_model *model,
	bool (*counts)(const struct heap_birth *entry, void *data), void *data,
	struct estimate_sum *live, struct estimate_sum *cumulative, uint32_t stacks)
{
	memset(live, 0, stacks * sizeof(live[0]));
	memset(cumulative, 0, stacks * sizeof(cumulative[0]));
	for (uint32_t i = 0; i < model->live.count; i++) {
		const struct heap_birth *entry = live_set_at(&model->live, i);
		uint32_t stack = entry->stack < stacks ? entry->stack : 0;
		bool lives = !live_set_is_ghost(&model->live, entry);
		bool summed = entry->told == TOLD_BIRTH;
		struct estimate_sum one = {0};
		if (lives && !counts(entry, data))
			continue;
		if (summed && lives)
			estimate_add(&live[stack], entry->size_bytes, entry->interval_bytes);
		if (summed)
			continue;
		estimate_add(&one, entry->size_bytes, entry->interval_bytes);
		estimate_merge(&cumulative[stack], &one);
		if (lives)
			estimate_merge(&live[stack], &one);
	}
	for (uint32_t i = 0; i < model->stack_count; i++)
		estimate_merge(&cumulative[i < stacks ? i : 0], &model->cumulative[i]);
}

void heap_model_each_live(const struct heap_model *model,
	void (*visit)(const struct heap_birth *entry, void *data), void *data)
{
	for (uint32_t i = 0; i < model->live.count; i++)
		if (!live_set_is_ghost(&model->live, live_set_at(&model->live, i)))
			visit(live_set_at(&model->live, i), data);
}

uint64_t heap_model_next_id(const struct heap_model *model)
{
	return model->max_id + 1;
}

void heap_model_log_deaths(struct heap_model *model, uint64_t since_id)
{
	if (model->log == NULL)
		death_log_new(&model->log, since_id, DEATH_LOG_MAX);
}

const struct death_log *heap_model_death_log(const struct heap_model *model)
{
	return model->log;
}

size_t heap_model_bytes(const struct heap_model *model)
{
	return sizeof(*model) + live_set_bytes(&model->live) + death_memory_bytes(&model->deaths) +
	       model->stack_capacity * sizeof(model->cumulative[0]) +
	       (model->log ? death_log_bytes(model->log) : 0);
}
