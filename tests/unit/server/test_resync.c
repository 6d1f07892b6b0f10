/* What is asked for and why, and when all of it has come. */
#include <errno.h>
#include "resync_machine_fixture.h"
#include "spprof/wire/segment.h"

START_TEST(a_session_with_all_its_records_asks_for_nothing)
{
	begin(7, RESYNC_NO_REASON);
	for (int i = 0; i < 100; i++)
		ck_assert_int_eq(step(S), RESYNC_NOTHING);
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
	ck_assert(!resync_needs_round(&resync, view.now_ns));
}
END_TEST

START_TEST(what_is_missing_is_asked_for_at_once_and_confirmed_when_all_is_told)
{
	ck_assert_int_eq(step(0), RESYNC_ASK);
	ck_assert_uint_eq(resync.epoch, 1);
	tell(1, 3);
	ck_assert_int_eq(step(15 * MS), RESYNC_NOTHING);
	resync_hear_end(&resync, 1, 3);
	ck_assert_int_eq(step(15 * MS), RESYNC_NOTHING); /* END was read in this round */
	ck_assert(resync_needs_round(&resync, view.now_ns));
	ck_assert_int_eq(resync_round_ended(&resync, &view), RESYNC_NOTHING); /* not a full one */
	ck_assert_int_eq(step(15 * MS), RESYNC_SWEEP);
	ck_assert_int_eq(resync.reason, RESYNC_READ_BEFORE);
	resync_swept(&resync, &view);
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
	ck_assert_uint_eq(resync.confirmations, 1);
	ck_assert(!resync_needs_round(&resync, view.now_ns));
}
END_TEST

START_TEST(an_empty_map_is_told_by_its_end_alone)
{
	ck_assert_int_eq(step(0), RESYNC_ASK);
	answer(0);
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
}
END_TEST

START_TEST(lives_that_come_behind_the_end_are_waited_for)
{
	ck_assert_int_eq(step(0), RESYNC_ASK);
	tell(1, 3);
	resync_hear_end(&resync, 1, 5);
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(step(15 * MS), RESYNC_NOTHING);
	tell(1, 1);
	ck_assert_int_eq(step(15 * MS), RESYNC_NOTHING);
	ck_assert_int_eq(resync.phase, RESYNC_ASKED);
	tell(1, 1);
	sweep();
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
}
END_TEST

/* Reading finds nothing out here: the worker has its memory closed. */
static void stall(void)
{
	while (resync.phase == RESYNC_ASKED)
		if (step(100 * MS) == RESYNC_READ)
			read_slice(-EACCES, false);
}

START_TEST(a_lost_end_is_asked_for_anew_after_five_seconds)
{
	ck_assert_int_eq(step(0), RESYNC_ASK);
	tell(1, 3);
	ck_assert_int_eq(step(15 * MS), RESYNC_NOTHING);
	uint64_t before = view.now_ns;
	stall();
	ck_assert_uint_ge(view.now_ns - before, 5 * S - 100 * MS);
	ck_assert_uint_le(view.now_ns - before, 5 * S + 200 * MS);
	ck_assert_int_eq(step(900 * MS), RESYNC_NOTHING);
	ck_assert_int_eq(step(100 * MS), RESYNC_ASK);
	ck_assert_uint_eq(resync.epoch, 2);
	tell(1, 3); /* of the old request */
	resync_hear_end(&resync, 1, 3);
	ck_assert_int_eq(step(15 * MS), RESYNC_NOTHING);
	ck_assert_int_eq(resync.phase, RESYNC_ASKED);
	answer(2);
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
}
END_TEST

START_TEST(a_live_too_few_is_asked_for_anew_and_progress_is_waited_for)
{
	ck_assert_int_eq(step(0), RESYNC_ASK);
	for (int i = 0; i < 60; i++) { /* slow, but it goes on */
		tell(1, 1);
		ck_assert_int_ne(step(190 * MS), RESYNC_ASK);
	}
	ck_assert_int_eq(resync.phase, RESYNC_ASKED);
	resync_hear_end(&resync, 1, 61);
	stall();
	ck_assert_int_eq(resync.phase, RESYNC_WANTED);
}
END_TEST

START_TEST(a_worker_that_has_not_begun_is_not_asked_again)
{
	ck_assert_int_eq(step(0), RESYNC_ASK);
	for (int i = 0; i < 36000; i++)
		if (step(100 * MS) == RESYNC_READ)
			read_slice(-EPERM, false);
	ck_assert_uint_eq(resync.requests, 1);
	ck_assert_uint_ge(resync.read_errors, 58); /* once a minute */
	ck_assert_uint_le(resync.read_errors, 62);
}
END_TEST

START_TEST(a_loss_meanwhile_asks_again_ever_more_seldom)
{
	uint64_t pauses[] = {1, 2, 4, 8, 16, 32, 60, 60};
	ck_assert_int_eq(step(0), RESYNC_ASK);
	for (unsigned i = 0; i < 8; i++) {
		view.losses++;
		answer(3);
		ck_assert_int_eq(resync.reason, RESYNC_READ_BEFORE);
		ck_assert_int_eq(step(pauses[i] * S - 1), RESYNC_NOTHING);
		ck_assert_int_eq(step(1), RESYNC_ASK);
		ck_assert_uint_eq(resync.epoch, 2 + i);
	}
	answer(3);
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
}
END_TEST

START_TEST(damage_meanwhile_asks_again)
{
	ck_assert_int_eq(step(0), RESYNC_ASK);
	view.damage++;
	answer(3);
	ck_assert_int_eq(resync.reason, RESYNC_READ_BEFORE);
}
END_TEST

START_TEST(what_is_lost_while_the_last_round_before_the_request_goes_on_counts)
{
	view.losses = 2; /* and `before` is still 0 */
	ck_assert_int_eq(step(0), RESYNC_ASK);
	answer(3);
	ck_assert_int_eq(resync.reason, RESYNC_READ_BEFORE);
	ck_assert_int_eq(step(S), RESYNC_ASK);
	answer(3);
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
}
END_TEST

START_TEST(nothing_is_asked_before_a_round_has_read_the_rings)
{
	ck_assert_int_eq(resync_round_ended(&resync, &view), RESYNC_NOTHING);
	ck_assert_int_eq(step(0), RESYNC_ASK);
}
END_TEST

START_TEST(a_new_loss_unsettles_and_repeated_ones_are_not_asked_for_at_once)
{
	ck_assert_int_eq(step(0), RESYNC_ASK);
	answer(3);
	ck_assert_int_eq(step(100 * S), RESYNC_NOTHING);
	view.losses++;
	resync_look(&resync, &view); /* an answer knows before the next round */
	ck_assert_int_eq(resync.reason, RESYNC_LOSS);
	ck_assert_int_eq(step(0), RESYNC_ASK);
	answer(3);
	view.losses++;
	ck_assert_int_eq(step(0), RESYNC_NOTHING);
	ck_assert_int_eq(resync.reason, RESYNC_LOSS);
	ck_assert_int_eq(step(S), RESYNC_ASK);
	answer(3);
	view.damage++;
	ck_assert_int_eq(step(0), RESYNC_NOTHING);
	ck_assert_int_eq(resync.reason, RESYNC_DAMAGE);
	ck_assert_int_eq(step(S), RESYNC_NOTHING);
	ck_assert_int_eq(step(S), RESYNC_ASK);
}
END_TEST

START_TEST(what_was_lost_before_the_attach_is_a_reason)
{
	begin(0, RESYNC_NO_REASON);
	view.losses = 5;
	ck_assert_int_eq(step(0), RESYNC_NOTHING); /* when did that happen? */
	ck_assert(resync_needs_round(&resync, view.now_ns));
	ck_assert_int_eq(step(0), RESYNC_ASK);
	ck_assert_int_eq(resync.reason, RESYNC_LOSS);
	answer(1);
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
}
END_TEST

START_TEST(a_difference_is_asked_for)
{
	begin(0, RESYNC_NO_REASON);
	resync_want(&resync, RESYNC_DIFFERENCE, view.now_ns);
	ck_assert_int_eq(step(0), RESYNC_ASK);
	answer(1);
	ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
}
END_TEST

START_TEST(an_epoch_differs_from_what_was_asked_before)
{
	static const uint32_t cases[][2] = {{0, 1}, {1, 2}, {41, 42},
		{WIRE_EPOCH_MAX - 1, WIRE_EPOCH_MAX}, {WIRE_EPOCH_MAX, 1}, {UINT32_MAX, 1}};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		begin(cases[i][0], RESYNC_FORKED);
		tell(cases[i][0], 3); /* what is left of the earlier daemon's */
		resync_hear_end(&resync, cases[i][0], 3);
		ck_assert_int_eq(step(0), RESYNC_ASK);
		ck_assert_uint_eq(resync.epoch, cases[i][1]);
		ck_assert_int_eq(step(15 * MS), RESYNC_NOTHING);
		ck_assert_int_eq(resync.phase, RESYNC_ASKED);
		answer(2);
		ck_assert_int_eq(resync.reason, RESYNC_NO_REASON);
	}
}
END_TEST

static void assert_described(const char *expected)
{
	char text[200];
	resync_describe(&resync, &view, 1700000000 * S, text, sizeof text);
	ck_assert_str_eq(text, expected);
}

START_TEST(an_answer_says_how_far_it_is)
{
	assert_described("; to be told again");
	ck_assert_int_eq(step(0), RESYNC_ASK);
	for (int i = 0; i < 51; i++)
		tell(1, 1);
	step(15 * MS);
	assert_described("; being told again: 39 % of the map");
	view.slots += 1u << 30;
	assert_described("; being told again: 99 % of the map");
	setup();
	begin_reading();
	read_slice(1, true);
	assert_described("; its memory is being read: 50 % of the map");
	read_slice(-EACCES, false);
	assert_described("; it is idle since 2023-11-14 22:13:20 UTC and the kernel does not let "
			 "spprofd read its memory (Permission denied)");
	read_slice(-ENOENT, false);
	assert_described("; it is idle since 2023-11-14 22:13:20 UTC and has to wake up to tell it "
			 "again");
	read_slice(-ETIMEDOUT, false);
	assert_described("; it is idle since 2023-11-14 22:13:20 UTC and its memory took too long "
			 "to be read");
	read_slice(-EPIPE, false);
	assert_described("; it is idle since 2023-11-14 22:13:20 UTC and spprof-map-reader ended "
			 "while it read its memory");
	setup();
	begin_reading();
	assert_described("; its memory is to be read");
	read_with_secrets(0);
	ck_assert_int_eq(step(0), RESYNC_SWEEP);
	resync_swept(&resync, &view); /* right, but not for long */
	ck_assert(resync_holds(&resync, &view));
	view.events++;
	ck_assert_int_eq(step(2 * S), RESYNC_READ);
	read_slice(RESYNC_READ_LAST, true);
	view.events++;
	ck_assert_int_eq(step(0), RESYNC_SWEEP);
	resync_swept(&resync, &view);
	assert_described("; it is idle since 2023-11-14 22:13:20 UTC, and its memory could not be "
			 "read at rest");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("resync");
	TCase *t = tcase_create("resync");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_session_with_all_its_records_asks_for_nothing);
	tcase_add_test(t, what_is_missing_is_asked_for_at_once_and_confirmed_when_all_is_told);
	tcase_add_test(t, an_empty_map_is_told_by_its_end_alone);
	tcase_add_test(t, lives_that_come_behind_the_end_are_waited_for);
	tcase_add_test(t, a_lost_end_is_asked_for_anew_after_five_seconds);
	tcase_add_test(t, a_live_too_few_is_asked_for_anew_and_progress_is_waited_for);
	tcase_add_test(t, a_worker_that_has_not_begun_is_not_asked_again);
	tcase_add_test(t, a_loss_meanwhile_asks_again_ever_more_seldom);
	tcase_add_test(t, damage_meanwhile_asks_again);
	tcase_add_test(t, what_is_lost_while_the_last_round_before_the_request_goes_on_counts);
	tcase_add_test(t, nothing_is_asked_before_a_round_has_read_the_rings);
	tcase_add_test(t, a_new_loss_unsettles_and_repeated_ones_are_not_asked_for_at_once);
	tcase_add_test(t, what_was_lost_before_the_attach_is_a_reason);
	tcase_add_test(t, a_difference_is_asked_for);
	tcase_add_test(t, an_epoch_differs_from_what_was_asked_before);
	tcase_add_test(t, an_answer_says_how_far_it_is);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
