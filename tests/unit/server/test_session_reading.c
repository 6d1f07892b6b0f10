/* A reading of a sleeping worker, step by step: rounds, the worker and the helper are moved by the
 * test, so that each can come between any two others. */
#include "config.h"
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "server/map_places.h"
#include "server/options.h"
#include "server/session.h"
#include "server/session_maps.h"
#include "support/fake_map.h"
#include "support/fake_reading.h"
#include "support/fake_segment.h"
#include "support/read_texts.h"
#include "support/tap_main.h"

#define GENERATION 5u

static struct fake_segment segment;
static struct fake_map map;
static struct session *session;

static void set(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed); /* relaxed: one thread */
}

static void count_live(uint64_t first, uint64_t last)
{
	uint64_t digest = 0;
	for (uint64_t id = first; id <= last; id++)
		digest += wire_digest(id);
	set(&segment.header->live_count, last - first + 1);
	set(&segment.header->digest, digest);
}

static void setup(void)
{
	fake_segment_init(&segment, 4, 64u << 10, 0);
	flock(segment.fd, LOCK_UN);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	fake_map_init(&map, 1);
	fake_map_publish(&map, &segment, GENERATION);
	fake_segment_seek(&segment, 0, 4096); /* an earlier daemon has read */
	for (uint64_t id = 1; id <= 10; id++)
		fake_map_set(&map, (uint32_t)id * 500, id, GENERATION, NULL, 0);
	count_live(1, 10);
	struct session_claim claim = {.uid = geteuid(), .attach = SESSION_HANDSHAKE};
	ck_assert_int_eq(process_handle_open(&claim.process, getpid(), -1), 0);
	ck_assert_int_eq(segment_map_new(&claim.segment, fake_segment_dup(&segment), NULL), 0);
	struct process_texts *texts = read_texts(&claim.process, session_claim_files);
	claim.texts = texts;
	ck_assert_int_eq(session_new(&session, &claim, &options_default_limits,
				 &(const struct session_means){0}),
		0);
	process_texts_free(texts);
}

static void teardown(void)
{
	session = session_unref(session);
	fake_segment_deinit(&segment);
	fake_map_deinit(&map);
}

static void round_passes(void)
{
	uint64_t taken;
	session_hurry(session);
	while (session_drain(session, true, UINT64_MAX, &taken) > 0)
		;
	session_tend(session);
}

static struct resync resync(void)
{
	struct session_numbers numbers;
	session_numbers(session, &numbers);
	return numbers.resync;
}

static struct heap_totals totals(void)
{
	struct heap_totals totals;
	heap_model_totals(session_heap(session), &totals);
	return totals;
}

static void put(const void *record, size_t size)
{
	fake_segment_append(&segment, 1, record, size);
}

static void write_death(uint64_t id)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	put(record, fake_segment_death(record, id));
}

/* The worker frees a block; nobody may have counted it yet. */
static void block_dies(uint64_t id)
{
	fake_map_clear(&map, (uint32_t)id * 500);
	write_death(id);
}

/* Until the first slice, with ids 1 and 2 in it, has been read and has not come. */
static void until_the_first_slice_is_read(void)
{
	round_passes(); /* asks */
	round_passes(); /* waits for a place */
	ck_assert(resync().reading);
	fake_reading_step(FAKE_READING_GRANT);
	round_passes(); /* begins */
	fake_reading_step(FAKE_READING_OPEN);
	round_passes(); /* looks whose memory it is */
	ck_assert_uint_eq(resync().readings, 1);
	fake_reading_step(FAKE_READING_READ);
	round_passes();
	ck_assert_uint_eq(totals().live, 0);
}

static void until_it_is_confirmed(void)
{
	for (int i = 0; i < 100 && resync().phase != RESYNC_CONFIRMED; i++) {
		fake_reading_step(FAKE_READING_READ);
		fake_reading_step(FAKE_READING_COME);
		round_passes();
	}
	ck_assert_int_eq(resync().phase, RESYNC_CONFIRMED);
}

START_TEST(a_worker_that_sleeps_on_is_read_to_the_end)
{
	until_the_first_slice_is_read();
	until_it_is_confirmed();
	ck_assert_uint_eq(totals().live, 10);
	ck_assert_uint_eq(resync().readings, 1);
}
END_TEST

START_TEST(a_death_before_the_hand_over_ends_the_reading)
{
	until_the_first_slice_is_read();
	block_dies(1);
	round_passes();
	fake_reading_step(FAKE_READING_COME);
	round_passes();
	ck_assert(!resync().reading);
	ck_assert_uint_eq(totals().live, 0);
}
END_TEST

START_TEST(a_death_in_the_round_before_the_hand_over_ends_the_reading)
{
	until_the_first_slice_is_read();
	fake_reading_step(FAKE_READING_COME);
	block_dies(1);
	round_passes();
	ck_assert(!resync().reading);
	ck_assert_uint_eq(totals().live, 0);
	/* Only a LIVE could name it again, and none comes. */
	round_passes();
	round_passes();
	ck_assert_uint_eq(totals().live, 0);
}
END_TEST

START_TEST(a_death_after_the_hand_over_erases_what_was_read)
{
	until_the_first_slice_is_read();
	fake_reading_step(FAKE_READING_COME);
	round_passes();
	ck_assert_uint_eq(totals().live, 2);
	block_dies(1);
	round_passes();
	ck_assert_uint_eq(totals().live, 1);
	fake_reading_step(FAKE_READING_READ);
	fake_reading_step(FAKE_READING_COME);
	round_passes();
	ck_assert(!resync().reading);
	ck_assert_uint_eq(totals().live, 1); /* nothing more was handed over */
}
END_TEST

START_TEST(a_birth_ends_the_reading_as_well)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	until_the_first_slice_is_read();
	fake_reading_step(FAKE_READING_COME);
	put(record, fake_segment_birth(record, 99, 4));
	round_passes();
	ck_assert(!resync().reading);
	ck_assert_uint_eq(totals().live, 1);
}
END_TEST

START_TEST(counters_that_move_without_a_record_end_it_too)
{
	until_the_first_slice_is_read();
	fake_reading_step(FAKE_READING_COME);
	atomic_fetch_add(&segment.header->counters.sampled_deaths, 1);
	round_passes();
	ck_assert(!resync().reading);
	ck_assert_uint_eq(totals().live, 0);
}
END_TEST

START_TEST(a_session_may_end_while_it_is_read)
{
	until_the_first_slice_is_read();
	session_end(session);
	ck_assert_uint_eq(totals().live, 0);
	struct snapshot_quality quality;
	session_quality(session, &quality);
	ck_assert(quality.unconfirmed && quality.exited);
}
END_TEST

START_TEST(a_worker_that_counts_more_than_was_found_is_not_exact)
{
	fake_map_set(&map, 3, 20, 0, NULL, 0); /* never told of */
	count_live(1, 11);		       /* one was not to be found */
	until_the_first_slice_is_read();
	for (int i = 0; i < 40 && resync().phase != RESYNC_HAS_READ; i++) {
		fake_reading_step(FAKE_READING_READ);
		fake_reading_step(FAKE_READING_COME);
		round_passes();
	}
	round_passes();
	struct snapshot_quality quality;
	session_quality(session, &quality);
	ck_assert(quality.unconfirmed);
	ck_assert_uint_eq(totals().live, 11);
}
END_TEST

START_TEST(a_name_that_looks_like_the_segments_mapping_is_none)
{
	static const char ours[] =
		"7f0000000000-7f0000001000 r--s 00000000 00:01 4711 /memfd:spprof (deleted)\n";
	static const char name[] = "7f0000000000-7f0000001000 r--p 00000000 08:01 99   /tmp/x "
				   "00:01 4711 /memfd:spprof\n";
	static const char cut[] = "7f0000000000-7f0000001000 r--s 00000000 00:01";
	ck_assert(session_maps_has(ours, strlen(ours), makedev(0, 1), 4711));
	ck_assert(!session_maps_has(ours, strlen(ours), makedev(0, 2), 4711));
	ck_assert(!session_maps_has(ours, strlen(ours), makedev(0, 1), 471));
	ck_assert(!session_maps_has(name, strlen(name), makedev(0, 1), 4711));
	ck_assert(!session_maps_has(cut, strlen(cut), makedev(0, 1), 4711));
	ck_assert(!session_maps_has("", 0, makedev(0, 1), 4711));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session_reading");
	TCase *t = tcase_create("session_reading");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, a_worker_that_sleeps_on_is_read_to_the_end);
	tcase_add_test(t, a_death_before_the_hand_over_ends_the_reading);
	tcase_add_test(t, a_death_in_the_round_before_the_hand_over_ends_the_reading);
	tcase_add_test(t, a_death_after_the_hand_over_erases_what_was_read);
	tcase_add_test(t, a_birth_ends_the_reading_as_well);
	tcase_add_test(t, counters_that_move_without_a_record_end_it_too);
	tcase_add_test(t, a_session_may_end_while_it_is_read);
	tcase_add_test(t, a_worker_that_counts_more_than_was_found_is_not_exact);
	tcase_add_test(t, a_name_that_looks_like_the_segments_mapping_is_none);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
