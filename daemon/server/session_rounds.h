/*
 * A session's rounds: takes what its rings hold, and hands it to the resync, which feeds the model, and
 * to the audit. Owns the consumer, borrows the session's other parts. One thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "ingest/ring_consumer.h"

struct segment_map;
struct session_audit;
struct session_codes;
struct session_resync;

struct session_rounds {
	struct ring_consumer *consumer;	  /* owns; NULL: nothing is taken any more */
	struct ring_consumer_stats taken; /* so far */
	uint64_t read_before;		  /* bytes that an earlier daemon took */
	bool under_way;			  /* until session_rounds_tend */
	struct session_resync *resync;	  /* borrows */
	struct session_audit *audit;	  /* borrows */
	struct session_codes *codes;	  /* borrows */
};

/* Borrows all of them; none but the segment is looked at before the first round. */
int session_rounds_init(struct session_rounds *rounds, struct segment_map *segment,
	struct session_resync *resync, struct session_audit *audit, struct session_codes *codes);
/* Also ends them: nothing is taken any more. */
void session_rounds_deinit(struct session_rounds *rounds);
/* As session_drain, but negative errno: the segment cannot be read any more. */
int session_rounds_take(
	struct session_rounds *rounds, bool all, uint64_t max_bytes, uint64_t *taken);
/* After each round. True: the next one had better come at once. */
bool session_rounds_tend(struct session_rounds *rounds);
