/* Named marks in the segment: whole or none, the last ones win. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "mark_ring.h"
#include "support/tap_main.h"

static struct wire_marks ring;
static struct segment segment = {.marks = (uint8_t *)&ring};

static void start(void)
{
	memset(&ring, 0, sizeof ring);
}

/* As a reader has it: copied, then checked. */
static bool is_whole(const struct wire_mark *mark)
{
	uint64_t name[5];
	for (unsigned i = 0; i < 5; i++)
		name[i] = atomic_load_explicit(&mark->name[i], memory_order_relaxed);
	uint64_t id = atomic_load_explicit(&mark->id, memory_order_relaxed);
	uint64_t time_ns = atomic_load_explicit(&mark->time_ns, memory_order_relaxed);
	return atomic_load_explicit(&mark->seal, memory_order_relaxed) ==
	       wire_mark_seal(id, time_ns, name);
}

static const char *name_of(const struct wire_mark *mark)
{
	return (const char *)mark->name;
}

START_TEST(a_mark_has_its_name_its_id_and_its_time)
{
	ck_assert(mark_ring_add(&segment, "loaded", 17, 1000));
	ck_assert(is_whole(&ring.marks[0]));
	ck_assert_str_eq(name_of(&ring.marks[0]), "loaded");
	ck_assert_uint_eq(atomic_load(&ring.marks[0].id), 17);
	ck_assert_uint_eq(atomic_load(&ring.marks[0].time_ns), 1000);
	ck_assert(!is_whole(&ring.marks[1]));
}
END_TEST

START_TEST(a_name_is_one_to_thirty_nine_bytes_long)
{
	ck_assert(!mark_ring_add(&segment, "", 1, 1));
	ck_assert(!mark_ring_add(&segment, "0123456789012345678901234567890123456789", 1, 1));
	ck_assert_uint_eq(atomic_load(&ring.made), 0);
	ck_assert(mark_ring_add(&segment, "012345678901234567890123456789012345678", 1, 1));
	ck_assert(is_whole(&ring.marks[0]));
	ck_assert_uint_eq(strlen(name_of(&ring.marks[0])), WIRE_MARK_NAME_MAX);
}
END_TEST

START_TEST(the_oldest_mark_makes_room)
{
	char name[16];
	for (unsigned i = 0; i < WIRE_MARKS_MAX + 3; i++) {
		snprintf(name, sizeof name, "mark %u", i);
		ck_assert(mark_ring_add(&segment, name, i + 1, i));
	}
	ck_assert_str_eq(name_of(&ring.marks[2]), "mark 129");
	ck_assert_str_eq(name_of(&ring.marks[3]), "mark 3");
	ck_assert(is_whole(&ring.marks[2]) && is_whole(&ring.marks[3]));
}
END_TEST

START_TEST(a_mark_that_is_half_of_another_is_none)
{
	ck_assert(mark_ring_add(&segment, "first", 1, 1));
	atomic_store(&ring.marks[0].id, 2);
	ck_assert(!is_whole(&ring.marks[0]));
}
END_TEST

START_TEST(without_a_memfd_a_mark_goes_nowhere)
{
	struct segment none = {.marks = NULL};
	ck_assert(mark_ring_add(&none, "nowhere", 1, 1));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mark_ring");
	TCase *marks = tcase_create("marks");

	tcase_add_checked_fixture(marks, start, NULL);
	tcase_add_test(marks, a_mark_has_its_name_its_id_and_its_time);
	tcase_add_test(marks, a_name_is_one_to_thirty_nine_bytes_long);
	tcase_add_test(marks, the_oldest_mark_makes_room);
	tcase_add_test(marks, a_mark_that_is_half_of_another_is_none);
	tcase_add_test(marks, without_a_memfd_a_mark_goes_nowhere);
	suite_add_tcase(suite, marks);
	return suite;
}

TAP_MAIN(make_suite)
