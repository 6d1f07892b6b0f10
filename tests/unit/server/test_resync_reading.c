/* When a worker that does not move is read, what that is worth, and for whom it is hurried. */
#include <errno.h>
#include "resync_machine_fixture.h"

START_TEST(what_a_worker_will_not_tell_of_is_right_until_it_moves)
{
	begin_reading();
	read_with_secrets(7);
	ck_assert_int_eq(step(0), RESYNC_SWEEP);
	ck_assert_int_eq(resync.phase, RESYNC_HAS_READ); /* spare what was found */
	view.live = 7;					 /* of what was announced */
	resync_swept(&resync, &view);
	ck_assert_int_eq(resync.phase, RESYNC_ASKED);
	ck_assert(resync_holds(&resync, &view));
	ck_assert_int_eq(step(100 * S), RESYNC_NOTHING); /* there is nothing new to be read */
	view.losses++;
	ck_assert(!resync_holds(&resync, &view));
	view.losses--;
	view.events++;
	ck_assert(!resync_holds(&resync, &view));
	/* What is read again does not hold before it is over. */
	ck_assert_int_eq(step(100 * S), RESYNC_READ);
	ck_assert(!resync_holds(&resync, &view));
}
END_TEST

START_TEST(a_sleeping_worker_is_read_and_confirmed_if_the_copy_is_equal)
{
	begin_reading();
	read_slice(RESYNC_READ_MORE, true);
	read_slice(RESYNC_READ_WAITS, true);
	ck_assert(!resync_needs_round(&resync, view.now_ns)); /* whoever reads says so */
	ck_assert_int_eq(step(0), RESYNC_READ);
	read_slice(RESYNC_READ_LAST, true);
	ck_assert_int_eq(step(0), RESYNC_SWEEP);
	view.equal = true; /* after the sweep */
	resync_swept(&resync, &view);
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
	ck_assert_uint_eq(resync.readings, 1);
}
END_TEST

START_TEST(a_reading_that_is_not_clean_confirms_nothing_and_leaves_the_request_open)
{
	begin_reading();
	view.equal = true;
	read_slice(0, false);
	ck_assert_int_eq(step(0), RESYNC_NOTHING);
	ck_assert_int_eq(resync.phase, RESYNC_ASKED);
	ck_assert_int_eq(step(999 * MS), RESYNC_NOTHING);
	ck_assert_int_eq(step(1 * MS), RESYNC_READ); /* again, a second later */
	read_slice(RESYNC_READ_MORE, true);
	view.events++;
	read_slice(0, true);
	ck_assert_int_eq(step(0), RESYNC_NOTHING);
	ck_assert_int_eq(step(2 * S), RESYNC_READ);
	read_slice(0, true);
	view.equal = false;
	ck_assert_int_eq(step(0), RESYNC_SWEEP);
	resync_swept(&resync, &view);
	ck_assert_int_eq(resync.phase, RESYNC_ASKED);
	answer(3); /* it has woken up */
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
	ck_assert_uint_eq(resync.requests, 1);
}
END_TEST

START_TEST(a_copy_that_is_not_what_the_worker_counts_does_not_hold)
{
	begin_reading();
	read_slice(RESYNC_READ_LAST, true); /* all of it announced, and not equal */
	ck_assert_int_eq(step(0), RESYNC_SWEEP);
	resync_swept(&resync, &view);
	ck_assert(!resync_holds(&resync, &view));
	ck_assert_int_eq(step(2 * S), RESYNC_READ);
	view.equal = true;
	view.live = 8;
	read_with_secrets(7);
	ck_assert_int_eq(step(0), RESYNC_SWEEP);
	resync_swept(&resync, &view);
	ck_assert(!resync_holds(&resync, &view));
}
END_TEST

START_TEST(reading_takes_a_small_share_of_the_time_however_it_ends)
{
	static const int ends[] = {RESYNC_READ_LAST, RESYNC_READ_BROKEN, RESYNC_READ_LATER, -EPIPE};
	for (unsigned i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
		setup();
		begin_reading();
		read_slice(RESYNC_READ_MORE, true);
		view.now_ns += 3 * S;
		read_slice(ends[i], false);
		ck_assert(!resync.reading);
		resync_hurry(&resync, view.now_ns);
		ck_assert_int_eq(step(60 * S - 1), RESYNC_NOTHING);
		resync_hurry(&resync, view.now_ns);
		ck_assert_int_eq(step(1), RESYNC_READ);
	}
}
END_TEST

START_TEST(what_is_short_is_there_again_soon_and_no_error)
{
	begin_reading();
	read_slice(RESYNC_READ_LATER, false);
	ck_assert_uint_eq(resync.read_errors, 0);
	ck_assert_int_eq(step(199 * MS), RESYNC_NOTHING);
	ck_assert_int_eq(step(1 * MS), RESYNC_READ);
}
END_TEST

START_TEST(a_helper_that_ended_is_tried_again_a_second_later_and_rights_a_minute)
{
	begin_reading();
	read_slice(-EPIPE, false);
	ck_assert_uint_eq(resync.read_errors, 1);
	ck_assert_int_eq(step(999 * MS), RESYNC_NOTHING);
	ck_assert_int_eq(step(1 * MS), RESYNC_READ);
	read_slice(-EPERM, false);
	ck_assert_int_eq(step(59 * S), RESYNC_NOTHING);
	ck_assert_int_eq(step(1 * S), RESYNC_READ);
}
END_TEST

START_TEST(time_spent_waiting_for_a_place_is_not_time_spent_reading)
{
	begin_reading();
	const struct resync_slice nothing = {.result = RESYNC_READ_WAITS};
	resync_read(&resync, &nothing, &view);
	ck_assert_int_eq(step(30 * S), RESYNC_READ);
	view.events += 5;
	read_slice(RESYNC_READ_LAST, true); /* counts from when it began */
	ck_assert_int_eq(resync.phase, RESYNC_HAS_READ);
	ck_assert_uint_le(resync.read_rest_ns, view.now_ns);
}
END_TEST

START_TEST(a_worker_that_wakes_up_ends_its_reading)
{
	begin_reading();
	read_slice(1, true);
	tell(1, 1);
	ck_assert_int_eq(step(0), RESYNC_NOTHING);
	ck_assert(!resync.reading);
	resync_hear_end(&resync, 1, 1);
	sweep();
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
}
END_TEST

START_TEST(who_waits_for_an_answer_has_a_sleeping_worker_read_at_once)
{
	resync_hurry(&resync, view.now_ns);
	ck_assert(resync_nearly_there(&resync, view.now_ns));
	ck_assert_int_eq(step(0), RESYNC_ASK);
	ck_assert(resync_nearly_there(&resync, view.now_ns));
	ck_assert_int_eq(step(0), RESYNC_READ);
	read_slice(0, true);
	ck_assert(resync_nearly_there(&resync, view.now_ns));
	ck_assert_int_eq(step(0), RESYNC_SWEEP);
	view.equal = true;
	resync_swept(&resync, &view);
	ck_assert(!resync_nearly_there(&resync, view.now_ns));
}
END_TEST

START_TEST(nobody_waits_longer_than_a_second_nor_for_what_will_not_come)
{
	resync_hurry(&resync, view.now_ns);
	ck_assert_int_eq(step(0), RESYNC_ASK);
	ck_assert_int_eq(step(0), RESYNC_READ);
	read_slice(1, true);
	ck_assert(resync_nearly_there(&resync, view.now_ns));
	ck_assert(!resync_nearly_there(&resync, view.now_ns + S));
	ck_assert_int_eq(step(0), RESYNC_READ);
	read_slice(-EACCES, false);
	ck_assert(!resync_nearly_there(&resync, view.now_ns));
}
END_TEST

START_TEST(a_wait_is_not_prolonged_by_others_while_it_lasts)
{
	resync_hurry(&resync, view.now_ns);
	ck_assert_int_eq(step(0), RESYNC_ASK);
	ck_assert_int_eq(step(0), RESYNC_READ);
	for (int i = 0; i < 9; i++) {
		ck_assert_int_eq(step(100 * MS), RESYNC_READ);
		read_slice(1, true);
		resync_hurry(&resync, view.now_ns); /* somebody else */
		ck_assert(resync_nearly_there(&resync, view.now_ns));
	}
	ck_assert_int_eq(step(100 * MS), RESYNC_READ);
	ck_assert(!resync_nearly_there(&resync, view.now_ns)); /* the first one's second is over */
	resync_hurry(&resync, view.now_ns);
	ck_assert(resync_nearly_there(&resync, view.now_ns + S - 1));
	ck_assert(!resync_nearly_there(&resync, view.now_ns + S));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("resync_reading");
	TCase *t = tcase_create("resync_reading");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, what_a_worker_will_not_tell_of_is_right_until_it_moves);
	tcase_add_test(t, a_sleeping_worker_is_read_and_confirmed_if_the_copy_is_equal);
	tcase_add_test(t, a_reading_that_is_not_clean_confirms_nothing_and_leaves_the_request_open);
	tcase_add_test(t, a_copy_that_is_not_what_the_worker_counts_does_not_hold);
	tcase_add_test(t, reading_takes_a_small_share_of_the_time_however_it_ends);
	tcase_add_test(t, what_is_short_is_there_again_soon_and_no_error);
	tcase_add_test(t, a_helper_that_ended_is_tried_again_a_second_later_and_rights_a_minute);
	tcase_add_test(t, time_spent_waiting_for_a_place_is_not_time_spent_reading);
	tcase_add_test(t, a_worker_that_wakes_up_ends_its_reading);
	tcase_add_test(t, who_waits_for_an_answer_has_a_sleeping_worker_read_at_once);
	tcase_add_test(t, nobody_waits_longer_than_a_second_nor_for_what_will_not_come);
	tcase_add_test(t, a_wait_is_not_prolonged_by_others_while_it_lasts);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
