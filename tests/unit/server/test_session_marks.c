/* Names of clients and of a worker, whatever the worker writes. */
#include "config.h"
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "ingest/segment_map.h"
#include "server/session_marks.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

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

static void write_mark(uint32_t place, const char *name, uint64_t id)
{
	uint64_t words[5] = {0};
	struct wire_mark *mark = &ring->marks[place];
	memcpy(words, name, strlen(name));
	atomic_store(&ring->made, place + 1);
	atomic_store(&mark->id, id);
	atomic_store(&mark->time_ns, 7);
	for (unsigned i = 0; i < 5; i++)
		atomic_store(&mark->name[i], words[i]);
	atomic_store(&mark->seal, wire_mark_seal(id, 7, words));
}

START_TEST(the_latest_of_a_name_counts_whoever_gave_it)
{
	uint64_t id;
	ck_assert(!session_marks_find(&marks, "load", &id));
	session_marks_give(&marks, "load", 10);
	session_marks_give(&marks, "load", 20);
	ck_assert(session_marks_find(&marks, "load", &id) && id == 20);
	write_mark(0, "load", 30);
	write_mark(1, "other", 40);
	session_marks_read(&marks, segment);
	ck_assert(session_marks_find(&marks, "load", &id) && id == 30);
	ck_assert(session_marks_find(&marks, "other", &id) && id == 40);
	session_marks_give(&marks, "other", 50);
	ck_assert(session_marks_find(&marks, "other", &id) && id == 50);
	ck_assert(!session_marks_find(&marks, "lo", &id));
}
END_TEST

START_TEST(the_oldest_of_clients_make_room)
{
	char name[8];
	uint64_t id;
	for (unsigned i = 0; i <= SESSION_MARKS_MAX; i++) {
		snprintf(name, sizeof name, "m%u", i);
		session_marks_give(&marks, name, i + 1);
	}
	ck_assert(!session_marks_find(&marks, "m0", &id));
	ck_assert(session_marks_find(&marks, "m1", &id) && id == 2);
	ck_assert(session_marks_find(&marks, "m64", &id) && id == 65);
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
	tcase_add_test(t, what_a_worker_makes_up_is_passed_over);
	tcase_add_test(t, names_are_short_and_can_be_printed);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
