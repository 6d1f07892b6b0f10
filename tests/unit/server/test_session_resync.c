/* A session on a loop of the test's own, with a segment and a heap map that the test lays out, as
 * if it were the worker: what the worker tells, and what is read from its memory. */
#include "config.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>
#include <uv.h>
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "model/stack_table.h"
#include "server/drain_scheduler.h"
#include "server/map_places.h"
#include "server/options.h"
#include "server/process_reader.h"
#include "server/session.h"
#include "server/session_table.h"
#include "support/fake_map.h"
#include "support/fake_segment.h"
#include "support/read_texts.h"
#include "support/tap_main.h"

#define GENERATION 5u

static uv_loop_t loop;
static struct drain_scheduler *scheduler;
static struct map_places *places;
static struct process_reader *reader;
static struct session_table *table;
static struct options_limits limits;
static struct fake_segment segment;
static struct fake_map map;
static struct session *session;

static void setup(void)
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

static void teardown(void)
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

static void set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed); /* relaxed: one thread */
}

static void publish_map(void)
{
	segment.header->map_address = (uint64_t)(uintptr_t)map.slots;
	segment.header->stacks_address = (uint64_t)(uintptr_t)map.stacks;
	segment.header->blocks_address = (uint64_t)(uintptr_t)map.blocks;
	segment.header->stack_count = FAKE_MAP_STACKS;
	segment.header->block_count = FAKE_MAP_BLOCKS;
	segment.header->map_max_levels = map.levels;
	segment.header->generation = GENERATION;
	atomic_store_explicit(&segment.header->map_levels, map.levels, memory_order_relaxed);
}

/* An earlier daemon has taken something out of ring 0. */
static void drained_before(void)
{
	fake_segment_seek(&segment, 0, 4096);
}

static void attach(void)
{
	struct session_claim claim = {.uid = geteuid(), .attach = SESSION_HANDSHAKE};
	ck_assert_int_eq(process_handle_open(&claim.process, getpid(), -1), 0);
	ck_assert_int_eq(segment_map_new(&claim.segment, fake_segment_dup(&segment), NULL), 0);
	struct process_texts *texts = read_texts(&claim.process, session_claim_files);
	claim.texts = texts;
	ck_assert_int_eq(session_table_adopt(table, &claim), 0);
	process_texts_free(texts);
	session = session_table_find(table, getpid());
}

static void put(uint32_t ring, const void *record, size_t size)
{
	fake_segment_append(&segment, ring, record, size);
}

static _Alignas(8) uint8_t record[WIRE_RECORD_MAX];

static void write_birth(uint64_t id, uint32_t ring)
{
	put(ring, record, fake_segment_birth(record, id, 4));
}

static void write_death(uint64_t id, uint32_t ring)
{
	put(ring, record, fake_segment_death(record, id));
}

static void write_live(uint64_t id, uint32_t ring, uint32_t epoch)
{
	put(ring, record, fake_segment_live(record, id, 4, epoch));
}

static void write_end(uint32_t ring, uint32_t epoch, uint32_t lives)
{
	put(ring, record, fake_segment_end(record, epoch, lives));
}

static uint32_t asked(void)
{
	/* relaxed: the daemon is this thread */
	return atomic_load_explicit(&segment.header->control.resync, memory_order_relaxed);
}

static struct snapshot_quality quality(void)
{
	struct snapshot_quality quality;
	session_quality(session, &quality);
	return quality;
}

static struct heap_totals totals(void)
{
	struct heap_totals totals;
	heap_model_totals(session_heap(session), &totals);
	return totals;
}

static struct resync resync(void)
{
	struct session_numbers numbers;
	session_numbers(session, &numbers);
	return numbers.resync;
}

static void await_epoch(uint32_t epoch)
{
	while (asked() != epoch)
		uv_run(&loop, UV_RUN_ONCE);
}

static void await_confirmed(void)
{
	while (quality().unconfirmed)
		uv_run(&loop, UV_RUN_ONCE);
}

static void set_flag(void *flag)
{
	*(bool *)flag = true;
}

static void catch_up(void)
{
	bool done = false;
	ck_assert(session_table_catch_up(table, session, set_flag, &done));
	while (!done)
		uv_run(&loop, UV_RUN_ONCE);
}

/* What the worker counts: these ids, all of them announced. */
static void count_live(uint64_t first, uint64_t last)
{
	uint64_t digest = 0;
	for (uint64_t id = first; id <= last; id++)
		digest += wire_digest(id);
	set(&segment.header->live_count, last - first + 1);
	set(&segment.header->digest, digest);
}

START_TEST(a_session_from_the_start_asks_for_nothing)
{
	attach();
	write_birth(1, 0);
	catch_up();
	ck_assert_uint_eq(asked(), 0);
	ck_assert(!quality().unconfirmed);
}
END_TEST

START_TEST(what_an_earlier_daemon_took_is_told_again)
{
	drained_before();
	attach();
	ck_assert(quality().unconfirmed);
	await_epoch(1);
	for (uint64_t id = 1; id <= 10; id++)
		write_live(id, (uint32_t)(id % 4), 1);
	write_end(3, 1, 10);
	await_confirmed();
	ck_assert_uint_eq(totals().live, 10);
	struct snapshot_quality now = quality();
	ck_assert(!now.from_start && !now.told_again);
	ck_assert_uint_gt(now.allocated_since_unix_ns, 0);
	ck_assert_uint_eq(resync().confirmations, 1);
}
END_TEST

START_TEST(a_ring_that_makes_no_sense_was_not_read_by_an_earlier_daemon)
{
	atomic_store(&segment.rings[0].head, UINT64_C(1) << 40);
	attach();
	ck_assert(quality().from_start);
}
END_TEST

START_TEST(the_dead_that_were_not_told_of_are_swept)
{
	attach();
	for (uint64_t id = 1; id <= 10; id++)
		write_birth(id, 0);
	catch_up();
	set(&segment.header->counters.loss_count[WIRE_LOSS_DEATH_UNWRITTEN], 4);
	ck_assert(quality().unconfirmed);
	ck_assert_uint_eq(quality().lost_deaths, 4);
	await_epoch(1);
	for (uint64_t id = 1; id <= 6; id++)
		write_live(id, 1, 1);
	write_birth(11, 2);
	write_death(2, 3);
	write_end(0, 1, 6);
	await_confirmed();
	ck_assert_uint_eq(totals().live, 6);
	ck_assert_uint_eq(totals().births, 11);
	ck_assert_uint_eq(totals().inferred_deaths, 4);
	ck_assert_uint_eq(totals().duplicate_births, 0);
	ck_assert_uint_eq(quality().lost_deaths, 0);
	ck_assert(quality().from_start);
}
END_TEST

START_TEST(a_live_of_a_known_id_is_not_counted_again)
{
	attach();
	write_birth(1, 0);
	catch_up();
	struct session_numbers before, after;
	session_numbers(session, &before);
	set(&segment.header->counters.loss_count[WIRE_LOSS_BIRTH_NO_RING], 1);
	await_epoch(1);
	write_live(1, 0, 1);
	put(0, record, fake_segment_live(record, 2, 0, 1));
	write_end(0, 1, 2);
	await_confirmed();
	session_numbers(session, &after);
	ck_assert_uint_eq(after.feed.births, before.feed.births + 1);
	ck_assert_uint_eq(after.feed.frames, before.feed.frames);
}
END_TEST

static struct sample_feed_stats feed(void)
{
	struct session_numbers numbers;
	session_numbers(session, &numbers);
	return numbers.feed;
}

/* The worker has lost a death, and tells ids first ... last again. */
static void tell_again(uint32_t epoch, uint64_t first, uint64_t last)
{
	set(&segment.header->counters.loss_count[WIRE_LOSS_DEATH_UNWRITTEN], epoch);
	await_epoch(epoch);
	for (uint64_t id = first; id <= last; id++)
		write_live(id, (uint32_t)(id % 4), epoch);
	write_end(3, epoch, (uint32_t)(last - first + 1));
	await_confirmed();
}

START_TEST(a_live_that_is_taken_back_is_in_no_count)
{
	drained_before();
	attach();
	await_epoch(1);
	for (unsigned i = 0; i < 3; i++) {
		fake_segment_live(record, 5 + i, 0, 1);
		struct wire_birth *live = (struct wire_birth *)record;
		live->record.flags = i == 0 ? WIRE_STACK_NOT_KEPT : 0;
		live->stop = WIRE_STOP_MAX;
		live->guessed = 3;
		put(i, record, live->record.size);
		put(i, record, fake_segment_take_back(record, 5 + i, 1));
	}
	write_end(3, 1, 3);
	await_confirmed();
	struct sample_feed_stats stats = feed(), none = {0};
	ck_assert_uint_eq(totals().taken_back, 3);
	ck_assert_uint_eq(stats.births, 0);
	ck_assert_uint_eq(stats.guessed + stats.not_kept, 0);
	ck_assert_mem_eq(stats.by_stop, none.by_stop, sizeof none.by_stop);
}
END_TEST

START_TEST(a_birth_and_its_live_are_one_sample_whichever_comes_first)
{
	drained_before();
	attach();
	await_epoch(1);
	write_live(1, 0, 1);
	write_birth(1, 0);
	write_birth(2, 0);
	write_live(2, 0, 1);
	write_end(3, 1, 2);
	await_confirmed();
	ck_assert_uint_eq(feed().births, 2);
	ck_assert_uint_eq(feed().by_stop[WIRE_STOP_END], 2);
}
END_TEST

START_TEST(what_is_folded_and_refused_is_one_sample)
{
	limits.max_live = 10;
	attach();
	for (uint64_t id = 1; id <= 15; id++)
		write_birth(id, 0);
	catch_up();
	ck_assert_uint_eq(quality().folded_samples, 5);
	tell_again(1, 1, 15);
	ck_assert_uint_eq(quality().folded_samples, 5);
	ck_assert_uint_eq(feed().refused_lives, 5);
	ck_assert_uint_eq(feed().unheard_lives, 0);
	ck_assert_uint_eq(feed().births, 15);
	ck_assert_uint_eq(feed().by_stop[WIRE_STOP_END], 15);
	/* Room for three of them. */
	for (uint64_t id = 1; id <= 3; id++)
		write_death(id, 0);
	catch_up();
	tell_again(2, 4, 15);
	ck_assert_uint_eq(totals().live, 10);
	ck_assert_uint_eq(quality().folded_samples, 2);
	ck_assert_uint_eq(feed().refused_lives, 2);
	ck_assert_uint_eq(feed().births, 15);
	ck_assert_uint_eq(totals().births, 15);
}
END_TEST

START_TEST(what_is_refused_and_was_never_heard_of_counts_and_has_no_stack)
{
	limits.max_live = 10;
	drained_before();
	attach();
	await_epoch(1);
	for (uint64_t id = 1; id <= 15; id++)
		write_live(id, (uint32_t)(id % 4), 1);
	write_end(3, 1, 15);
	await_confirmed();
	ck_assert_uint_eq(quality().folded_samples, 5);
	ck_assert_uint_eq(feed().births, 10);
	ck_assert_uint_eq(feed().frames, 40);
	ck_assert_uint_eq(stack_table_count(session_stacks(session)), 11);
}
END_TEST

START_TEST(what_was_folded_while_frozen_is_told_again_and_counts_once)
{
	attach();
	session_freeze(session, true);
	for (uint64_t id = 1; id <= 8; id++)
		write_birth(id, 0);
	catch_up();
	ck_assert_uint_eq(quality().folded_samples, 8);
	tell_again(1, 1, 8);
	ck_assert_uint_eq(quality().folded_samples, 8);
	ck_assert_uint_eq(feed().refused_lives, 8);
	session_freeze(session, false);
	tell_again(2, 1, 6); /* the others have died in silence */
	ck_assert_uint_eq(totals().live, 6);
	ck_assert_uint_eq(quality().folded_samples, 2);
	ck_assert_double_gt(quality().folded_bytes, 0);
	ck_assert_uint_eq(feed().births, 8);
}
END_TEST

START_TEST(a_frozen_copy_that_is_short_is_not_asked_about)
{
	attach();
	catch_up();
	session_freeze(session, true);
	write_birth(1, 0);
	count_live(1, 1);
	for (int i = 0; i < 10; i++)
		catch_up();
	ck_assert_uint_eq(resync().requests, 0);
	ck_assert(!quality().unconfirmed);
}
END_TEST

/* The copy is right at once, and a session's end or a snapshot does not wait for its memory. */
START_TEST(a_sweep_is_over_at_once_and_its_memory_follows)
{
	size_t size = sizeof(struct wire_birth);
	uint64_t ids = 3 * (48u << 10) / size * 20;
	attach();
	for (uint64_t id = 1; id <= ids; id++) {
		put((uint32_t)(id % 4), record, fake_segment_birth(record, id, 0));
		if (id % 1000 == 0)
			catch_up();
	}
	catch_up();
	size_t full = session_bytes(session);
	tell_again(1, 1, 10);
	ck_assert_uint_eq(totals().live, 10);
	ck_assert_uint_eq(totals().inferred_deaths, ids - 10);
	ck_assert_uint_gt(session_bytes(session), full / 2);
	while (session_bytes(session) > full / 10)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(totals().live, 10);
}
END_TEST

START_TEST(a_stack_that_was_not_kept_is_a_site_of_its_own)
{
	drained_before();
	attach();
	await_epoch(1);
	put(0, record, fake_segment_live(record, 2, 0, 1));
	size_t size = fake_segment_live(record, 3, 0, 1);
	((struct wire_birth *)record)->record.flags = WIRE_STACK_NOT_KEPT;
	put(0, record, size);
	write_end(0, 1, 2);
	await_confirmed();
	const struct stack_table *stacks = session_stacks(session);
	unsigned found = 0;
	for (uint32_t i = 0; i < stack_table_count(stacks); i++) {
		struct stack_view view = stack_table_get(stacks, i);
		found += view.frame_count == 1 && view.frames[0].module == STACK_MODULE_NOT_KEPT;
	}
	ck_assert_uint_eq(found, 1);
	ck_assert_uint_eq(quality().stacks_whole + quality().stacks_stopped, 1);
}
END_TEST

START_TEST(a_forked_child_is_asked_for_what_it_inherited)
{
	segment.header->flags |= WIRE_FLAG_FORKED;
	attach();
	ck_assert_msg(strstr(quality().unconfirmed_reason, "it was forked") != NULL, "%s",
		quality().unconfirmed_reason);
	await_epoch(1);
	write_end(0, 1, 0);
	await_confirmed();
}
END_TEST

START_TEST(a_sleeping_worker_is_read_and_its_copy_exact)
{
	publish_map();
	drained_before();
	for (uint64_t id = 1; id <= 100; id++)
		fake_map_set(&map, (uint32_t)id * 200, id, GENERATION,
			(uint64_t[]){0x1000 + id, 0x2000, 0x3000}, 3);
	count_live(1, 100);
	attach();
	catch_up(); /* at once, not after the while that a worker may be silent */
	ck_assert_msg(!quality().unconfirmed, "%s", quality().unconfirmed_reason);
	ck_assert_uint_eq(totals().live, 100);
	ck_assert_uint_eq(stack_table_count(session_stacks(session)), 101);
	ck_assert_uint_eq(resync().readings, 1);
	/* It wakes up, and does what it has been asked for. */
	for (uint64_t id = 1; id <= 99; id++)
		write_live(id, (uint32_t)(id % 4), 1);
	write_end(0, 1, 99);
	write_death(100, 1);
	count_live(1, 99);
	catch_up();
	ck_assert_uint_eq(totals().live, 99);
	ck_assert_uint_eq(totals().births, 100);
	ck_assert(!quality().unconfirmed);
}
END_TEST

static uint64_t count_frames(uint32_t code, uint32_t line)
{
	uint64_t count = 0;
	for (uint32_t id = 0; id < stack_table_count(session_stacks(session)); id++) {
		struct stack_view stack = stack_table_get(session_stacks(session), id);
		for (uint32_t i = 0; i < stack.frame_count; i++)
			count += stack.frames[i].module == STACK_MODULE_PYTHON &&
				 stack.frames[i].offset == STACK_PYTHON_OFFSET(code, line);
	}
	return count;
}

START_TEST(frames_of_python_are_told_again_and_read_as_they_were_told)
{
	publish_map();
	drained_before();
	fake_segment_code(&segment, 3, "read", "a.py", 10);
	fake_segment_code(&segment, 4, "told", "a.py", 30);
	fake_map_set(&map, 5, 1, GENERATION,
		(uint64_t[]){0x1001, wire_frame_python(3, 2), wire_frame_python(0, 9), 0x2001,
			wire_frame_python(3, WIRE_FRAME_NO_UNIT)},
		5);
	count_live(1, 1);
	attach();
	catch_up();
	ck_assert_uint_eq(resync().readings, 1);
	ck_assert_uint_eq(count_frames(3, 12), 1);
	ck_assert_uint_eq(count_frames(3, 10), 1);
	ck_assert_uint_eq(count_frames(0, 0), 1);
	size_t size = fake_segment_live(record, 2, 2, 1);
	((struct wire_birth *)record)->frames[1] = wire_frame_python(4, 5);
	put(0, record, size);
	write_live(1, 0, 1);
	write_end(0, 1, 2);
	count_live(2, 2);
	catch_up();
	ck_assert_uint_eq(count_frames(4, 35), 1);
	ck_assert_uint_eq(stack_table_count(session_stacks(session)), 3);
}
END_TEST

START_TEST(a_reading_sweeps_what_the_map_does_not_hold)
{
	publish_map();
	for (uint64_t id = 1; id <= 10; id++)
		write_birth(id, 0);
	attach();
	catch_up();
	for (uint64_t id = 1; id <= 4; id++)
		fake_map_set(&map, (uint32_t)id, id, GENERATION, NULL, 0);
	count_live(1, 4);
	set(&segment.header->counters.loss_count[WIRE_LOSS_DEATH_UNWRITTEN], 6);
	catch_up();
	catch_up();
	ck_assert_msg(!quality().unconfirmed, "%s", quality().unconfirmed_reason);
	ck_assert_uint_eq(totals().live, 4);
	ck_assert_uint_eq(totals().inferred_deaths, 6);
}
END_TEST

START_TEST(what_the_worker_will_not_tell_of_holds_until_it_wakes_up)
{
	publish_map();
	drained_before();
	fake_map_set(&map, 1, 1, GENERATION, NULL, 0);
	fake_map_set(&map, 2, 2, 0, NULL, 0);
	fake_map_set(&map, 3, 3, 0, NULL, 0);
	count_live(1, 1);
	write_birth(9, 2); /* its death was lost */
	attach();
	catch_up();
	catch_up();
	ck_assert_uint_eq(totals().live, 3); /* the dead one is swept, those in secret are spared */
	ck_assert_uint_eq(totals().inferred_deaths, 1);
	ck_assert(!quality().unconfirmed); /* as long as it sleeps */
	/* It wakes up; the third has died in silence. */
	atomic_fetch_add(&segment.header->counters.sampled_deaths, 1);
	ck_assert(quality().unconfirmed);
	write_live(1, 0, 1);
	write_live(2, 1, 1);
	write_end(2, 1, 2);
	await_confirmed();
	ck_assert_uint_eq(totals().live, 2);
}
END_TEST

START_TEST(a_map_that_is_not_where_it_is_said_to_be_is_waited_for)
{
	publish_map();
	segment.header->map_address = 4096;
	drained_before();
	attach();
	catch_up();
	ck_assert_msg(strstr(quality().unconfirmed_reason, "idle since") != NULL, "%s",
		quality().unconfirmed_reason);
	ck_assert_uint_eq(resync().read_errors, 1);
	write_live(1, 0, 1);
	write_end(2, 1, 1);
	await_confirmed();
	ck_assert_uint_eq(totals().live, 1);
}
END_TEST

START_TEST(a_worker_without_a_map_is_waited_for)
{
	drained_before();
	attach();
	catch_up();
	ck_assert_msg(strstr(quality().unconfirmed_reason, "has to wake up") != NULL, "%s",
		quality().unconfirmed_reason);
	ck_assert(quality().told_again);
}
END_TEST

START_TEST(the_next_daemon_asks_for_the_next_epoch)
{
	atomic_store_explicit(&segment.header->control.resync, 8, memory_order_relaxed);
	drained_before();
	write_live(1, 0, 8);
	write_end(0, 8, 1);
	attach();
	await_epoch(9);
	ck_assert(quality().unconfirmed);
	write_end(0, 9, 0);
	await_confirmed();
	ck_assert_uint_eq(totals().live, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session_resync");
	TCase *t = tcase_create("session_resync");
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_session_from_the_start_asks_for_nothing);
	tcase_add_test(t, what_an_earlier_daemon_took_is_told_again);
	tcase_add_test(t, a_ring_that_makes_no_sense_was_not_read_by_an_earlier_daemon);
	tcase_add_test(t, the_dead_that_were_not_told_of_are_swept);
	tcase_add_test(t, a_live_of_a_known_id_is_not_counted_again);
	tcase_add_test(t, a_live_that_is_taken_back_is_in_no_count);
	tcase_add_test(t, a_birth_and_its_live_are_one_sample_whichever_comes_first);
	tcase_add_test(t, what_is_folded_and_refused_is_one_sample);
	tcase_add_test(t, what_is_refused_and_was_never_heard_of_counts_and_has_no_stack);
	tcase_add_test(t, what_was_folded_while_frozen_is_told_again_and_counts_once);
	tcase_add_test(t, a_frozen_copy_that_is_short_is_not_asked_about);
	tcase_add_test(t, a_sweep_is_over_at_once_and_its_memory_follows);
	tcase_add_test(t, a_stack_that_was_not_kept_is_a_site_of_its_own);
	tcase_add_test(t, a_forked_child_is_asked_for_what_it_inherited);
	tcase_add_test(t, a_sleeping_worker_is_read_and_its_copy_exact);
	tcase_add_test(t, frames_of_python_are_told_again_and_read_as_they_were_told);
	tcase_add_test(t, a_reading_sweeps_what_the_map_does_not_hold);
	tcase_add_test(t, what_the_worker_will_not_tell_of_holds_until_it_wakes_up);
	tcase_add_test(t, a_map_that_is_not_where_it_is_said_to_be_is_waited_for);
	tcase_add_test(t, a_worker_without_a_map_is_waited_for);
	tcase_add_test(t, the_next_daemon_asks_for_the_next_epoch);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
