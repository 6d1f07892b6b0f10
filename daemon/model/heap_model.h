/*
 * One worker's heap as the daemon knows it: live samples by id, totals by stack. Events come in
 * rounds (one pass over all rings); births and deaths may come in either order within two rounds,
 * so a DEATH is remembered until the end of the next round: a birth that finds its own remembered
 * counts as born and died. Bounded: past max_live, samples fold away and are counted with the bytes
 * they stood for. A live sample costs 59 to 70 bytes. Nothing but heap_model_sums and _each_live takes
 * a time that grows with the number of live samples. Not thread-safe.
 *
 * A worker may be asked to tell all that lives again (a resync, named by its epoch):
 * heap_model_request opens one, heap_model_live takes what is told, heap_model_sweep ends it by
 * erasing what was known before the request and not named since. What a sample knows of that, who
 * told of it and whether it was named since the latest request, takes ten bits next to its tid.
 *
 * Whoever has a record asks first whether its sample has been counted (heap_model_hear, _name, _find)
 * and, if it has not and no BIRTH told of it, whether there is room (heap_model_has_room): an entry is
 * made, and its stack interned, for what will be counted only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include "model/estimate.h"

#define HEAP_LIFETIMES 48u
#define HEAP_TID_MAX   ((1u << 22) - 1) /* Linux has none above */
#define HEAP_TIME_MAX  ((UINT64_C(1) << 60) - 1)

struct death_log;
struct heap_model;

struct heap_birth {
	uint64_t id;		 /* > 0 */
	uint64_t size_bytes;	 /* > 0 */
	uint64_t interval_bytes; /* > 0 */
	uint64_t time_ns : 60;	 /* at most HEAP_TIME_MAX: 36 years */
	uint64_t kind : 4;	 /* the caller's own */
	uint64_t address;
	uint32_t tid : 22;  /* at most HEAP_TID_MAX */
	uint32_t named : 5; /* this and `told` are the model's own */
	uint32_t told : 5;
	uint32_t stack; /* stack_table id: the totals grow with the largest one seen */
};

struct heap_limits {
	uint32_t max_live;   /* live samples */
	uint32_t max_deaths; /* remembered deaths */
};

struct heap_totals {
	/* Each sample that a BIRTH, a LIVE or a reading has told of counts as one birth, whoever tells
	 * of it again: births = deaths + live + folded_samples. */
	uint64_t births, deaths;
	uint64_t live;
	uint64_t digest; /* sum of wire_digest(id) over live ids, as the agent keeps it */

	uint64_t inferred_deaths; /* of these deaths, by sweeping */

	/* Events ignored: an id told twice by its own record; a death remembered in vain for a birth,
	 * that of a folded sample too. */
	uint64_t duplicate_births, duplicate_deaths;
	uint64_t unknown_deaths;

	uint64_t taken_back; /* told of by a LIVE alone, which was withdrawn: in no count or sum */

	/* Of the births, over max_live when their BIRTH came: in the cumulative sums, neither live nor
	 * dead. */
	uint64_t folded_samples;
	double folded_bytes; /* sum of s/p */

	/* Over max_deaths. Forgotten: a birth that comes later lives for ever. Unguarded: the
	 * sample was live and is gone; only a birth told twice would revive it. */
	uint64_t forgotten_deaths, unguarded_deaths;

	/* Deaths by the sample's lifetime: [b] counts 2^b to 2^(b+1) ns, the last one all longer
	 * ones too. Deaths without a time, inferred ones too, are in none. */
	uint64_t lifetimes[HEAP_LIFETIMES];
};

int heap_model_new(struct heap_model **out, const struct heap_limits *limits);
struct heap_model *heap_model_free(struct heap_model *model);
/* The first half of a BIRTH: true if the sample has been counted, and there is nothing more to do. */
bool heap_model_hear(struct heap_model *model, uint64_t id);
/* The second half. */
void heap_model_birth(struct heap_model *model, const struct heap_birth *birth);
/* time_ns 0: unknown. */
void heap_model_death(struct heap_model *model, uint64_t id, uint64_t time_ns);
void heap_model_end_round(struct heap_model *model);

/* Whether a sample that has not been counted would find room. */
bool heap_model_has_room(const struct heap_model *model, uint64_t id);
uint64_t heap_model_folded(const struct heap_model *model);
/* A sample that was folded is told again, and there is room: it lives. Some must be folded. */
void heap_model_unfold(struct heap_model *model, const struct heap_birth *birth);

/* For the end of a round: all of these live samples must be named for this epoch, or be swept. */
void heap_model_request(struct heap_model *model, uint32_t epoch);
/* The first half of a LIVE: names `id` if it is known (true: there is nothing more to do). False:
 * the caller makes the entry, for heap_model_live. */
bool heap_model_name(struct heap_model *model, uint64_t id, uint32_t epoch);
/* The second half, if there is room: a birth that was not heard of, to be taken back by the DEATH of
 * this epoch. */
void heap_model_live(struct heap_model *model, const struct heap_birth *birth, uint32_t epoch);
/* A DEATH that takes the LIVE of this epoch back. True: only that had told of the sample, which is not
 * counted any more; *out is what it was. What is known from elsewhere dies, at an unknown moment. */
bool heap_model_take_back(
	struct heap_model *model, uint64_t id, uint32_t epoch, struct heap_birth *out);

/* For what is read from the worker's map and not told by it. Whether `id` lives, or died shortly
 * before. */
bool heap_model_knows(const struct heap_model *model, uint64_t id);
/* As heap_model_name and _live, but no DEATH takes back what was found. If it was announced, that
 * names it. Otherwise the worker will not tell of its death: it is spared by the sweep that ends this
 * reading, and by no other unless somebody names it. */
bool heap_model_find(struct heap_model *model, uint64_t id, bool announced, uint32_t epoch);
void heap_model_found(struct heap_model *model, const struct heap_birth *birth, bool announced);
void heap_model_begin_reading(struct heap_model *model); /* forgets who was spared */
/* Erases what was known at the request and has not been named since; how many. `spare`: nor found
 * by the reading that ends with this. At once, whatever is left to tidy. */
uint64_t heap_model_sweep(struct heap_model *model, bool spare);
/* Takes out a part of what was erased, as much as a turn of a loop has time for. True: there is more.
 * Nothing depends on its being called but memory. */
bool heap_model_tidy(struct heap_model *model);

void heap_model_totals(const struct heap_model *model, struct heap_totals *out);
/* Grows with whatever changes a sum, and never shrinks: the same number, the same sums. */
uint64_t heap_model_changes(const struct heap_model *model);

/* Sums per stack id; the live ones computed afresh from the live entries (no drift). `live` and
 * `cumulative` have `stacks` elements (>= 1), zeroed by the callee; ids past that are added to
 * element 0. */
void heap_model_sums(const struct heap_model *model, struct estimate_sum *live,
	struct estimate_sum *cumulative, uint32_t stacks);
/* The same, without those that live and are not counted: `counts` is asked once for each that lives. One that its
 * BIRTH told of stays in the cumulative sums. */
void heap_model_sums_of(const struct heap_model *model,
	bool (*counts)(const struct heap_birth *entry, void *data), void *data,
	struct estimate_sum *live, struct estimate_sum *cumulative, uint32_t stacks);
void heap_model_each_live(const struct heap_model *model,
	void (*visit)(const struct heap_birth *entry, void *data), void *data);
/* An id that no sample which has been told of has, nor any with a lower one than that. */
uint64_t heap_model_next_id(const struct heap_model *model);
/* From now on deaths of samples from `since_id` on are logged, none of which has been told of; does nothing the second
 * time. */
void heap_model_log_deaths(struct heap_model *model, uint64_t since_id);
const struct death_log *heap_model_death_log(const struct heap_model *model); /* NULL: none */
size_t heap_model_bytes(const struct heap_model *model);
