/* A session on a loop of the test's own, with a segment and a heap map that the test lays out, as
 * if it were the worker: what the worker tells, and what is read from its memory. */
#pragma once
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>
#include <uv.h>
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "server/drain_scheduler.h"
#include "server/map_places.h"
#include "server/options.h"
#include "server/process_reader.h"
#include "server/session.h"
#include "server/session_table.h"
#include "support/adopt.h"
#include "support/fake_map.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

static uv_loop_t loop;
static struct drain_scheduler *scheduler;
static struct map_places *places;
static struct process_reader *reader;
static struct session_table *table;
static struct options_limits limits;
static struct fake_segment segment;
static struct fake_map map;
static struct session *session;

static inline void setup(void)
{
	limits = options_default_limits;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(drain_scheduler_new(&scheduler, &loop), 0);
	char program[4096];
	const char *build = getenv("BUILDDIR");
	snprintf(program, sizeof(program), "%s/spprof-map-reader", build ? build : ".");
	const struct map_places_options options = {.program = program};
	ck_assert_int_eq(map_places_new(&places, &loop, &options), 0);
	snprintf(program, sizeof(program), "%s/spprof-proc-reader", build ? build : ".");
	const struct process_reader_options readers = {.program = program};
	ck_assert_int_eq(process_reader_new(&reader, &loop, &readers), 0);
	const struct session_means means = {.places = places, .reader = reader};
	ck_assert_int_eq(session_table_new(&table, &loop, scheduler, &means, &limits), 0);
	fake_segment_init(&segment, 4, 64u << 10, 0);
	flock(segment.fd, LOCK_UN);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	fake_map_init(&map, 2);
}

static inline void teardown(void)
{
	session_table_free(table);
	drain_scheduler_free(scheduler);
	map_places_free(places);
	process_reader_free(reader);
	while (uv_run(&loop, UV_RUN_ONCE))
		;
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	fake_segment_deinit(&segment);
	fake_map_deinit(&map);
}

static inline void set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed); /* relaxed: one thread */
}

/* An earlier daemon has taken something out of ring 0. */
static inline void drained_before(void)
{
	fake_segment_seek(&segment, 0, 4096);
}

static inline void attach(void)
{
	session = adopt_self(table, &segment);
}

static inline void put(uint32_t ring, const void *record, size_t size)
{
	fake_segment_append(&segment, ring, record, size);
}

static _Alignas(8) uint8_t record[WIRE_RECORD_MAX];

static inline void write_birth(uint64_t id, uint32_t ring)
{
	put(ring, record, fake_segment_birth(record, id, 4));
}

static inline void write_death(uint64_t id, uint32_t ring)
{
	put(ring, record, fake_segment_death(record, id));
}

static inline void write_live(uint64_t id, uint32_t ring, uint32_t epoch)
{
	put(ring, record, fake_segment_live(record, id, 4, epoch));
}

static inline void write_end(uint32_t ring, uint32_t epoch, uint32_t lives)
{
	put(ring, record, fake_segment_end(record, epoch, lives));
}

static inline struct snapshot_quality quality(void)
{
	struct snapshot_quality quality;
	session_quality(session, &quality);
	return quality;
}

static inline struct heap_totals totals(void)
{
	struct heap_totals totals;
	heap_model_totals(session_heap(session), &totals);
	return totals;
}

static inline struct resync resync(void)
{
	struct session_numbers numbers;
	session_numbers(session, &numbers);
	return numbers.resync;
}

static inline void await_confirmed(void)
{
	while (quality().unconfirmed)
		uv_run(&loop, UV_RUN_ONCE);
}

static inline void set_flag(void *flag)
{
	*(bool *)flag = true;
}

static inline void catch_up(void)
{
	bool done = false;
	ck_assert(session_table_catch_up(table, session, set_flag, &done));
	while (!done)
		uv_run(&loop, UV_RUN_ONCE);
}

/* What the worker counts: these ids, all of them announced. */
static inline void count_live(uint64_t first, uint64_t last)
{
	uint64_t digest = 0;
	for (uint64_t id = first; id <= last; id++)
		digest += wire_digest(id);
	set(&segment.header->live_count, last - first + 1);
	set(&segment.header->digest, digest);
}
