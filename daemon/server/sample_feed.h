/*
 * From a worker's records to its model: return addresses become module and offset, stacks are
 * interned, births and deaths go to the heap model. Counts what the stacks were like. Owns the
 * stack table and the heap model, borrows the module map. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "spprof/wire/record.h"

struct heap_model;
struct module_map;
struct options_limits;
struct record_sink;
struct sample_feed;
struct stack_table;

struct sample_feed_stats {
	uint64_t births;		   /* records, LIVE ones included */
	uint64_t by_stop[WIRE_STOP_KINDS]; /* of these, by why their stack ends */
	uint64_t guessed;		   /* of these, with guessed frames */
	uint64_t frames, unmapped_frames;  /* of all these stacks */
	uint64_t folded_samples;	   /* past the daemon's memory bound: not in the model */
	double folded_bytes;
};

/* `refresh` is asked when a record names code that the map does not know, with the record's
 * module_epoch; it updates the map and returns true, or declines. */
int sample_feed_new(struct sample_feed **out, const struct options_limits *limits,
	struct module_map *modules, bool (*refresh)(uint32_t epoch, void *data), void *data);
struct sample_feed *sample_feed_free(struct sample_feed *feed);

struct record_sink sample_feed_sink(struct sample_feed *feed);
void sample_feed_end_round(struct sample_feed *feed);
/* While `frozen`, births are counted as folded instead of growing the model; deaths still shrink
 * it. */
void sample_feed_freeze(struct sample_feed *feed, bool frozen);

struct heap_model *sample_feed_heap(const struct sample_feed *feed);
struct stack_table *sample_feed_stacks(const struct sample_feed *feed);
void sample_feed_stats(const struct sample_feed *feed, struct sample_feed_stats *out);
size_t sample_feed_bytes(const struct sample_feed *feed);
