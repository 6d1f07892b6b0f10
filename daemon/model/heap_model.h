/*
 * One worker's heap as the daemon knows it: live samples by id, totals by stack. Events come in
 * rounds (one pass over all rings); births and deaths may come in either order within two rounds,
 * so a DEATH is remembered until the end of the next round: a birth that finds its own remembered
 * counts as born and died. Bounded: past max_live, samples fold away and are counted with the bytes
 * they stood for. A live sample costs 59 to 70 bytes. Not thread-safe.
 */
#pragma once
#include <stdint.h>
#include <stddef.h>
#include "model/estimate.h"

#define HEAP_LIFETIMES 48u

struct heap_model;

struct heap_birth {
	uint64_t id;		 /* > 0 */
	uint64_t size_bytes;	 /* > 0 */
	uint64_t interval_bytes; /* > 0 */
	uint64_t time_ns;
	uint64_t address;
	uint32_t tid;
	uint32_t stack; /* stack_table id: the totals grow with the largest one seen */
};

struct heap_limits {
	uint32_t max_live;   /* live samples */
	uint32_t max_deaths; /* remembered deaths */
};

struct heap_totals {
	/* Events applied: births = deaths + live + folded_samples. */
	uint64_t births, deaths;
	uint64_t live;
	uint64_t digest; /* sum of wire_digest(id) over live ids, as the agent keeps it */

	/* Events ignored: an id told twice; a death remembered in vain for a birth. */
	uint64_t duplicate_births, duplicate_deaths;
	uint64_t unknown_deaths;

	/* Over max_live: counted in the births and in the cumulative sums, never live. */
	uint64_t folded_samples;
	double folded_bytes; /* sum of s/p */

	/* Over max_deaths. Forgotten: a birth that comes later lives for ever. Unguarded: the
	 * sample was live and is gone; only a birth told twice would revive it. */
	uint64_t forgotten_deaths, unguarded_deaths;

	/* Deaths by the sample's lifetime: [b] counts 2^b to 2^(b+1) ns, the last one all longer
	 * ones too. Deaths without a time are in none. */
	uint64_t lifetimes[HEAP_LIFETIMES];
};

int heap_model_new(struct heap_model **out, const struct heap_limits *limits);
struct heap_model *heap_model_free(struct heap_model *model);
void heap_model_birth(struct heap_model *model, const struct heap_birth *birth);
/* time_ns 0: unknown. */
void heap_model_death(struct heap_model *model, uint64_t id, uint64_t time_ns);
void heap_model_end_round(struct heap_model *model);
void heap_model_totals(const struct heap_model *model, struct heap_totals *out);

/* Sums per stack id; the live ones computed afresh from the live entries (no drift). `live` and
 * `cumulative` have `stacks` elements (>= 1), zeroed by the callee; ids past that are added to
 * element 0. */
void heap_model_sums(const struct heap_model *model, struct estimate_sum *live,
	struct estimate_sum *cumulative, uint32_t stacks);
void heap_model_each_live(const struct heap_model *model,
	void (*visit)(const struct heap_birth *entry, void *data), void *data);
size_t heap_model_bytes(const struct heap_model *model);
