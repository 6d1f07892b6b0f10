/*
 * From a worker's records to its model: return addresses become module and offset, stacks are
 * interned, births and deaths go to the heap model. Counts what the stacks were like. Owns the
 * stack table and the heap model, borrows the module map and the codes. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "spprof/wire/record.h"

struct capture_tally;
struct heap_model;
struct module_map;
struct options_limits;
struct sample_feed;
struct session_codes;
struct stack_table;

/*
 * Each sample counts once: in `births` when a BIRTH, a LIVE or a reading tells of it first; in
 * `unheard_lives` alone if there was no room when it was told again and it was born before this daemon
 * took records; in the worker's count of losses alone if it was born later, and its BIRTH was lost.
 * What a LIVE alone had told of and has taken back is in none.
 */
struct sample_feed_stats {
	uint64_t births;		   /* the model's births, and `folded_samples` */
	uint64_t by_stop[WIRE_STOP_KINDS]; /* of the births, by why their stack ends */
	uint64_t guessed;		   /* of the births, with guessed frames */
	uint64_t not_kept;		   /* of the births, without their stack */
	uint64_t folded_samples;	   /* of the births, while frozen: not in the model */
	double folded_bytes;
	uint64_t frames, unmapped_frames;	       /* looked up for whatever sample */
	uint64_t python_frames, python_unknown_frames; /* of these; whose code is not kept */
	/* Told or read since the latest request, past a bound: the copy is short of so many. Of these,
	 * those of which nothing else tells. */
	uint64_t refused_lives, unheard_lives;
};

/* `refresh` is asked when a record names code that the map does not know, with the highest
 * module_epoch so far. True: the map is being read again, and the record had better wait for it. */
int sample_feed_new(struct sample_feed **out, const struct options_limits *limits,
	struct module_map *modules, struct session_codes *codes,
	bool (*refresh)(uint32_t epoch, void *data), void *data);
struct sample_feed *sample_feed_free(struct sample_feed *feed);

/* Samples born before have been told to somebody else, or to nobody; 0, the default: there are none. */
void sample_feed_hears_from(struct sample_feed *feed, uint64_t monotonic_ns);

/* Whether a BIRTH or LIVE may be taken: its code is known, or will not be known soon. */
bool sample_feed_ready(struct sample_feed *feed, const struct wire_birth *birth);
void sample_feed_birth(struct sample_feed *feed, const struct wire_birth *birth);
void sample_feed_death(struct sample_feed *feed, const struct wire_death *death);
/* Told again. The frames are looked at only if the id is not known. */
void sample_feed_live(struct sample_feed *feed, const struct wire_birth *live);
/* Read from the worker's map in the course of this epoch, and not told by the worker, who will tell
 * of its death if it was announced. */
void sample_feed_found(
	struct sample_feed *feed, const struct wire_birth *entry, bool announced, uint32_t epoch);
/* At the end of a round: see heap_model_request. */
void sample_feed_request(struct sample_feed *feed, uint32_t epoch);
void sample_feed_end_round(struct sample_feed *feed);
/* While `frozen`, births are counted as folded instead of growing the model; deaths still shrink
 * it. */
void sample_feed_freeze(struct sample_feed *feed, bool frozen);

/* The highest module_epoch so far: mappings that are read from now on are at least that new. */
uint32_t sample_feed_epoch(const struct sample_feed *feed);
struct heap_model *sample_feed_heap(const struct sample_feed *feed);
struct stack_table *sample_feed_stacks(const struct sample_feed *feed);
/* Where the walks of the samples so far stopped, by module; others may add what they know. */
struct capture_tally *sample_feed_tally(struct sample_feed *feed);
void sample_feed_stats(const struct sample_feed *feed, struct sample_feed_stats *out);
size_t sample_feed_bytes(const struct sample_feed *feed);
