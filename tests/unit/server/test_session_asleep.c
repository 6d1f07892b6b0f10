/* Workers that do not move, whose memory is read. */
#include "config.h"
#include <string.h>
#include "model/stack_table.h"
#include "resync_fixture.h"

#define GENERATION 5u

START_TEST(a_sleeping_worker_is_read_and_its_copy_exact)
{
	fake_map_publish(&map, &segment, GENERATION);
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
	fake_map_publish(&map, &segment, GENERATION);
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
	fake_map_publish(&map, &segment, GENERATION);
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
	fake_map_publish(&map, &segment, GENERATION);
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
	fake_map_publish(&map, &segment, GENERATION);
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

static Suite *suite(void)
{
	Suite *s = suite_create("session_asleep");
	TCase *t = tcase_create("session_asleep");
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_sleeping_worker_is_read_and_its_copy_exact);
	tcase_add_test(t, frames_of_python_are_told_again_and_read_as_they_were_told);
	tcase_add_test(t, a_reading_sweeps_what_the_map_does_not_hold);
	tcase_add_test(t, what_the_worker_will_not_tell_of_holds_until_it_wakes_up);
	tcase_add_test(t, a_map_that_is_not_where_it_is_said_to_be_is_waited_for);
	tcase_add_test(t, a_worker_without_a_map_is_waited_for);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
