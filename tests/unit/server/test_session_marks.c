/* Names of clients and of a worker, whatever the worker writes. */
#include "config.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include "base/alloc.h"
#include "family_fixture.h"
#include "ingest/segment_map.h"
#include "model/death_log.h"
#include "server/session_marks.h"

static struct fake_segment fake;
static struct segment_map *segment;
static struct wire_marks *ring;
static struct session_marks marks;

static void start(void)
{
	fake_segment_init(&fake, 1, 64u << 10, 0);
	fake_segment_seal(&fake, FAKE_SEGMENT_SEALS);
	ck_assert_int_eq(segment_map_new(&segment, fake_segment_dup(&fake), NULL), 0);
	ring = fake_segment_marks(&fake);
	marks = (struct session_marks){0};
}

static void stop(void)
{
	session_marks_deinit(&marks);
	segment_map_free(segment);
	fake_segment_deinit(&fake);
}

static void write_to(struct wire_marks *marks_of, uint32_t place, const char *name, uint64_t id)
{
	uint64_t words[5] = {0};
	struct wire_mark *mark = &marks_of->marks[place];
	memcpy(words, name, strlen(name));
	atomic_store(&marks_of->made, place + 1);
	atomic_store(&mark->id, id);
	atomic_store(&mark->time_ns, 7);
	for (unsigned i = 0; i < 5; i++)
		atomic_store(&mark->name[i], words[i]);
	atomic_store(&mark->seal, wire_mark_seal(id, 7, words));
}

static void write_mark(uint32_t place, const char *name, uint64_t id)
{
	write_to(ring, place, name, id);
}

/* A daemon that was killed leaves its marks in the segment alone. */
static bool begin_again(void)
{
	session_marks_deinit(&marks);
	return session_marks_begin(&marks, segment);
}

/* An agent that knows of no such part of the segment. */
static void become_older(void)
{
	fake.header->minor = WIRE_CLIENT_MARKS_MINOR - 1;
	segment_map_free(segment);
	ck_assert_int_eq(segment_map_new(&segment, fake_segment_dup(&fake), NULL), 0);
}

START_TEST(the_latest_of_a_name_counts_whoever_gave_it)
{
	uint64_t id;
	ck_assert(!session_marks_find(&marks, "load", &id));
	session_marks_give(&marks, segment, "load", 10);
	session_marks_give(&marks, segment, "load", 20);
	ck_assert(session_marks_find(&marks, "load", &id) && id == 20);
	write_mark(0, "load", 30);
	write_mark(1, "other", 40);
	session_marks_read(&marks, segment);
	ck_assert(session_marks_find(&marks, "load", &id) && id == 30);
	ck_assert(session_marks_find(&marks, "other", &id) && id == 40);
	session_marks_give(&marks, segment, "other", 50);
	ck_assert(session_marks_find(&marks, "other", &id) && id == 50);
	ck_assert(!session_marks_find(&marks, "lo", &id));
}
END_TEST

START_TEST(the_oldest_of_clients_make_room)
{
	char name[8];
	uint64_t id;
	for (unsigned i = 0; i <= WIRE_MARKS_MAX; i++) {
		snprintf(name, sizeof name, "m%u", i);
		session_marks_give(&marks, segment, name, i + 1);
	}
	for (int daemon = 0; daemon < 2; daemon++) {
		ck_assert(!session_marks_find(&marks, "m0", &id));
		ck_assert(session_marks_find(&marks, "m1", &id) && id == 2);
		ck_assert(session_marks_find(&marks, "m127", &id) && id == 128);
		ck_assert(begin_again());
	}
	session_marks_give(&marks, segment, "next", 129);
	ck_assert(begin_again() && !session_marks_find(&marks, "m1", &id));
	ck_assert(session_marks_find(&marks, "m2", &id));
}
END_TEST

START_TEST(the_next_daemon_knows_what_clients_gave)
{
	uint64_t id;
	ck_assert(!begin_again());
	session_marks_give(&marks, segment, "load", 10);
	session_marks_give(&marks, segment, "load", 20);
	session_marks_give(&marks, segment, "other", 15);
	ck_assert(begin_again());
	ck_assert(session_marks_find(&marks, "load", &id) && id == 20);
	ck_assert(session_marks_find(&marks, "other", &id) && id == 15);
	session_marks_read(&marks, segment);
	ck_assert_uint_eq(marks.worker_count, 0);
}
END_TEST

START_TEST(who_asks_without_a_name_takes_no_place)
{
	uint64_t id;
	for (uint64_t i = 1; i < 2 * WIRE_MARKS_MAX; i++)
		session_marks_give(&marks, segment, "", i);
	ck_assert(begin_again());
	ck_assert(!session_marks_find(&marks, "", &id));
	session_marks_give(&marks, segment, "first", 1000);
	for (uint64_t i = 1; i < WIRE_MARKS_MAX; i++)
		session_marks_give(&marks, segment, "more", 1000 + i);
	session_marks_give(&marks, segment, "", 2000);
	ck_assert(begin_again() && session_marks_find(&marks, "first", &id) && id == 1000);
}
END_TEST

START_TEST(in_an_older_agents_segment_nothing_is_written)
{
	uint64_t id;
	become_older();
	write_to(fake_segment_client_marks(&fake), 0, "code", 5);
	ck_assert(!begin_again());
	session_marks_give(&marks, segment, "load", 10);
	session_marks_give(&marks, NULL, "ended", 20);
	ck_assert(session_marks_find(&marks, "load", &id) && id == 10);
	ck_assert(session_marks_find(&marks, "ended", &id) && id == 20);
	ck_assert(!session_marks_find(&marks, "code", &id));
	ck_assert_uint_eq(atomic_load(&fake_segment_client_marks(&fake)->made), 1);
	ck_assert(!begin_again() && !session_marks_find(&marks, "load", &id));
}
END_TEST

START_TEST(what_a_worker_makes_of_clients_marks_is_passed_over)
{
	struct wire_marks *clients = fake_segment_client_marks(&fake);
	uint64_t id;
	write_to(clients, 0, "half", 5);
	atomic_store(&clients->marks[0].id, 6);
	write_to(clients, 1, "bell\a", 5);
	write_to(clients, 2, "null", 0);
	memset(&clients->marks[3], 0xff, sizeof clients->marks[3]);
	write_to(clients, 4, "right", 5);
	atomic_store(&clients->made, UINT64_MAX);
	ck_assert(begin_again());
	ck_assert(!session_marks_find(&marks, "half", &id) &&
		  !session_marks_find(&marks, "null", &id));
	ck_assert(session_marks_find(&marks, "right", &id) && id == 5);
	session_marks_give(&marks, segment, "one", 7);
	session_marks_give(&marks, segment, "two", 8);
	ck_assert(session_marks_find(&marks, "one", &id) && id == 7);
	ck_assert(session_marks_find(&marks, "two", &id) && id == 8);
}
END_TEST

static struct session *session_of(const struct family_member *member, uint64_t samples)
{
	struct session *session;
	struct session_claim claim = family_fixture_claim(member);
	struct wire_header *header = mmap(NULL, sizeof *header, PROT_READ | PROT_WRITE, MAP_SHARED,
		segment_map_fd(claim.segment), 0);
	ck_assert_ptr_ne(header, MAP_FAILED);
	atomic_store(&header->counters.samples, samples);
	munmap(header, sizeof *header);
	ck_assert_int_eq(session_new(&session, &claim, &options_default_limits,
				 &(const struct session_means){0}),
		0);
	return session;
}

START_TEST(a_border_is_above_what_the_worker_has_counted_though_nothing_was_told)
{
	const struct family_member one = {10, 1000, 0, NULL}, child = {20, 1000, 100, &one};
	struct session *session = session_of(&one, 500);
	uint64_t id;
	ck_assert_uint_eq(session_mark(session, "late"), 501);
	ck_assert(session_find_mark(session, "late", &id) && id == 501);
	ck_assert(death_log_covers(heap_model_death_log(session_heap(session)), 501));
	ck_assert(!death_log_covers(heap_model_death_log(session_heap(session)), 500));
	session_unref(session);
	session = session_of(&child, 7);
	ck_assert_uint_eq(session_mark(session, ""), 107);
	session_unref(session);
}
END_TEST

START_TEST(what_a_worker_makes_up_is_passed_over)
{
	uint64_t id;
	write_mark(0, "half", 5);
	atomic_store(&ring->marks[0].id, 6);
	write_mark(1, "bell\a", 5);
	write_mark(2, "", 5);
	write_mark(3, "0123456789012345678901234567890123456789", 5);
	write_mark(4, "null", 0);
	memset(&ring->marks[5], 0xff, sizeof ring->marks[5]);
	write_mark(6, "right", 5);
	session_marks_read(&marks, segment);
	ck_assert_uint_eq(marks.worker_count, 1);
	ck_assert(session_marks_find(&marks, "right", &id) && id == 5);
}
END_TEST

START_TEST(names_are_short_and_can_be_printed)
{
	ck_assert(session_marks_is_name("after the import"));
	ck_assert(session_marks_is_name("012345678901234567890123456789012345678"));
	ck_assert(!session_marks_is_name("0123456789012345678901234567890123456789"));
	ck_assert(!session_marks_is_name(""));
	ck_assert(!session_marks_is_name("a\tb"));
	ck_assert(!session_marks_is_name("w\xc3\xb6rk"));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session_marks");
	TCase *t = tcase_create("session_marks");
	tcase_add_checked_fixture(t, start, stop);
	tcase_add_test(t, the_latest_of_a_name_counts_whoever_gave_it);
	tcase_add_test(t, the_oldest_of_clients_make_room);
	tcase_add_test(t, the_next_daemon_knows_what_clients_gave);
	tcase_add_test(t, who_asks_without_a_name_takes_no_place);
	tcase_add_test(t, in_an_older_agents_segment_nothing_is_written);
	tcase_add_test(t, what_a_worker_makes_of_clients_marks_is_passed_over);
	tcase_add_test(t, a_border_is_above_what_the_worker_has_counted_though_nothing_was_told);
	tcase_add_test(t, what_a_worker_makes_up_is_passed_over);
	tcase_add_test(t, names_are_short_and_can_be_printed);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
