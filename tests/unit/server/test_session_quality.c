#include <errno.h>
#include <string.h>
#include "ingest/ring_consumer.h"
#include "model/heap_model.h"
#include "model/snapshot.h"
#include "server/sample_feed.h"
#include "server/session_quality.h"
#include "support/tap_main.h"

static struct session_quality_state state;
static struct segment_counters counters;
static struct ring_consumer_stats consumer;
static struct sample_feed_stats feed;
static struct heap_totals totals;
static struct snapshot_quality quality;
static enum resync_reason reason;

#define ATTACHED UINT64_C(1700000000000000000)

static void setup(void)
{
	counters = (struct segment_counters){0};
	consumer = (struct ring_consumer_stats){0};
	feed = (struct sample_feed_stats){0};
	totals = (struct heap_totals){0};
	session_quality_begin(&state, &counters, false, 0, ATTACHED);
	reason = RESYNC_NO_REASON;
}

static void judge(void)
{
	session_quality_judge(&state, reason, &counters, &consumer, &feed, &totals, 0, &quality);
}

static void compare(uint64_t digest, uint64_t live, bool final)
{
	counters.digest = digest;
	counters.live_count = live;
	session_quality_compare(&state, &counters, &totals, consumer.records, 8, final);
	judge();
}

START_TEST(nothing_lost_is_confirmed_from_the_start)
{
	judge();
	ck_assert(quality.from_start);
	ck_assert(!quality.unconfirmed);
	ck_assert_str_eq(quality.unconfirmed_reason, "");
}
END_TEST

START_TEST(what_an_earlier_daemon_read_is_a_reason)
{
	session_quality_begin(&state, &counters, true, 5u << 19, ATTACHED);
	reason = RESYNC_READ_BEFORE;
	counters.loss_count[WIRE_LOSS_BIRTH_RING_FULL] = 1;
	judge();
	ck_assert(!quality.from_start);
	ck_assert(quality.unconfirmed);
	ck_assert_str_eq(quality.unconfirmed_reason,
		"2.5 MiB of samples had been read by an earlier spprofd");
	ck_assert_uint_eq(quality.lost_samples, 1);
	ck_assert_uint_eq(quality.allocated_since_unix_ns, ATTACHED);
}
END_TEST

START_TEST(what_was_lost_before_a_confirmation_is_counted_and_no_reason)
{
	counters.loss_count[WIRE_LOSS_BIRTH_RING_FULL] = 3;
	counters.loss_bytes[WIRE_LOSS_BIRTH_RING_FULL] = 3u << 20;
	counters.loss_count[WIRE_LOSS_DEATH_UNWRITTEN] = 2;
	reason = RESYNC_LOSS;
	judge();
	ck_assert_str_eq(quality.unconfirmed_reason,
		"3 samples of about 3.0 MiB were lost, 2 freed ones still count as live");
	session_quality_confirmed(&state, &counters, &consumer);
	reason = RESYNC_NO_REASON;
	judge();
	ck_assert(!quality.unconfirmed);
	ck_assert_uint_eq(quality.lost_samples, 3);
	ck_assert_uint_eq(quality.lost_deaths, 0);
	counters.loss_count[WIRE_LOSS_BIRTH_NO_RING] = 1;
	counters.loss_bytes[WIRE_LOSS_BIRTH_NO_RING] = 1u << 20;
	reason = RESYNC_LOSS;
	judge();
	ck_assert_str_eq(quality.unconfirmed_reason, "1 samples of about 1.0 MiB were lost");
	ck_assert_uint_eq(quality.lost_samples, 4);
}
END_TEST

START_TEST(losses_before_a_late_attach_are_not_from_the_start)
{
	counters.loss_count[WIRE_LOSS_BIRTH_NO_RING] = 2;
	session_quality_begin(&state, &counters, true, 0, ATTACHED);
	reason = RESYNC_LOSS;
	judge();
	ck_assert(!quality.from_start);
	ck_assert(quality.unconfirmed);
}
END_TEST

START_TEST(sums_of_hostile_counters_do_not_wrap)
{
	for (unsigned i = 0; i < WIRE_LOSS_KINDS; i++)
		counters.loss_count[i] = counters.loss_bytes[i] = UINT64_MAX - i;
	reason = RESYNC_LOSS;
	judge();
	ck_assert_uint_eq(quality.lost_samples, UINT64_MAX);
	ck_assert_double_gt(quality.lost_bytes, 4.0 * (double)UINT64_MAX);
	ck_assert_uint_eq(quality.lost_deaths, UINT64_MAX - WIRE_LOSS_DEATH_UNWRITTEN);
	ck_assert(quality.unconfirmed);
}
END_TEST

START_TEST(a_difference_counts_when_it_stays_while_nothing_moves)
{
	totals.live = 3;
	totals.digest = 30;
	compare(30, 3, false);
	ck_assert(!quality.unconfirmed);
	compare(40, 4, false);
	compare(40, 4, false);
	ck_assert(!quality.unconfirmed);
	compare(40, 4, false);
	ck_assert(quality.unconfirmed);
	ck_assert_str_eq(quality.unconfirmed_reason,
		"the copy differs from the process's own count (3 live samples against 4)");
	compare(30, 3, false);
	ck_assert(!quality.unconfirmed);
}
END_TEST

START_TEST(a_difference_in_motion_never_counts)
{
	for (unsigned i = 0; i < 20; i++)
		compare(100 + i, 4, false);
	ck_assert(!quality.unconfirmed);
	for (unsigned i = 0; i < 20; i++) {
		consumer.records++;
		compare(7, 4, false);
	}
	ck_assert(!quality.unconfirmed);
}
END_TEST

START_TEST(a_killed_worker_may_be_one_step_ahead_in_each_ring)
{
	totals.live = 10;
	compare(1, 18, true);
	ck_assert(!quality.unconfirmed);
	compare(1, 2, true);
	ck_assert(!quality.unconfirmed);
	compare(1, 19, true);
	ck_assert(quality.unconfirmed);
}
END_TEST

START_TEST(a_folded_copy_is_not_blamed_for_its_difference)
{
	totals.folded_samples = 5;
	totals.folded_bytes = 500;
	feed.folded_samples = 2;
	feed.folded_bytes = 20;
	feed.refused_lives = 9; /* of which one was never heard of */
	feed.unheard_lives = 1;
	compare(1, 100, true);
	ck_assert(!quality.unconfirmed);
	ck_assert_uint_eq(quality.folded_samples, 8);
	ck_assert_double_eq(quality.folded_bytes, 520);
}
END_TEST

START_TEST(damaged_records_and_an_unreadable_segment_are_told)
{
	consumer.corrupt_records = 2;
	consumer.corrupt_rings = 1;
	reason = RESYNC_DAMAGE;
	judge();
	ck_assert_str_eq(
		quality.unconfirmed_reason, "damaged records in its rings were skipped 3 times");
	state.read_error = -EIO;
	judge();
	ck_assert_msg(strstr(quality.unconfirmed_reason, "cannot be read any more") != NULL, "%s",
		quality.unconfirmed_reason);
}
END_TEST

START_TEST(stacks_are_counted_by_how_they_end)
{
	feed.births = 10;
	feed.by_stop[WIRE_STOP_END] = 5;
	feed.by_stop[WIRE_STOP_MAX] = 2;
	feed.by_stop[WIRE_STOP_NO_INFO] = 1;
	feed.by_stop[WIRE_STOP_BOUNDS] = 2;
	feed.guessed = 4;
	judge();
	ck_assert_uint_eq(quality.stacks_whole, 5);
	ck_assert_uint_eq(quality.stacks_truncated, 2);
	ck_assert_uint_eq(quality.stacks_stopped, 3);
	ck_assert_uint_eq(quality.stacks_guessed, 4);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session_quality");
	TCase *t = tcase_create("session_quality");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, nothing_lost_is_confirmed_from_the_start);
	tcase_add_test(t, what_an_earlier_daemon_read_is_a_reason);
	tcase_add_test(t, what_was_lost_before_a_confirmation_is_counted_and_no_reason);
	tcase_add_test(t, losses_before_a_late_attach_are_not_from_the_start);
	tcase_add_test(t, sums_of_hostile_counters_do_not_wrap);
	tcase_add_test(t, a_difference_counts_when_it_stays_while_nothing_moves);
	tcase_add_test(t, a_difference_in_motion_never_counts);
	tcase_add_test(t, a_killed_worker_may_be_one_step_ahead_in_each_ring);
	tcase_add_test(t, a_folded_copy_is_not_blamed_for_its_difference);
	tcase_add_test(t, damaged_records_and_an_unreadable_segment_are_told);
	tcase_add_test(t, stacks_are_counted_by_how_they_end);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
