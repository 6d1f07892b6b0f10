/* Heap models, and samples whose numbers follow from their id. */
#pragma once
#include "model/heap_model.h"
#include <stdbool.h>
#include "spprof/wire/segment.h"
#include "support/tap_main.h"

static const struct heap_limits roomy = {.max_live = 1u << 20, .max_deaths = 1u << 20};

static inline struct heap_model *new_model(const struct heap_limits *limits)
{
	struct heap_model *model;
	ck_assert_int_eq(heap_model_new(&model, limits), 0);
	return model;
}

static inline struct heap_totals totals_of(const struct heap_model *model)
{
	struct heap_totals totals;
	heap_model_totals(model, &totals);
	return totals;
}

static inline struct heap_birth birth_of(uint64_t id)
{
	return (struct heap_birth){
		.id = id,
		.size_bytes = 1 + id * 37 % 100000,
		.interval_bytes = id % 2 ? 16384 : 524288,
		.time_ns = 1000000 + id,
		.address = id << 4,
		.tid = (uint32_t)id % 8,
		.stack = (uint32_t)(id % 50),
	};
}

static inline void give_birth(struct heap_model *model, uint64_t id)
{
	struct heap_birth birth = birth_of(id);
	if (!heap_model_hear(model, id))
		heap_model_birth(model, &birth);
}

static inline void tell_live(struct heap_model *model, uint64_t id, uint32_t epoch)
{
	struct heap_birth birth = birth_of(id);
	if (!heap_model_name(model, id, epoch) && heap_model_has_room(model, id))
		heap_model_live(model, &birth, epoch);
}

static inline void read_entry(struct heap_model *model, uint64_t id, bool announced, uint32_t epoch)
{
	struct heap_birth birth = birth_of(id);
	if (!heap_model_find(model, id, announced, epoch))
		heap_model_found(model, &birth, announced);
}

static inline void count_visit(const struct heap_birth *entry, void *data)
{
	*(uint64_t *)data += wire_digest(entry->id);
}
