/* map_places: who gets a place, and who loses one; the helper is a program that does nothing. */
#define _GNU_SOURCE
#include "server/map_places.h"
#include <errno.h>
#include <stdlib.h>
#include <uv.h>
#include "support/tap_main.h"

enum { CLAIMS = 12 };

static uv_loop_t loop;
static struct map_places *places;
static struct map_claim claims[CLAIMS];
static int granted[CLAIMS], lost[CLAIMS];

static void on_granted(void *data)
{
	granted[(struct map_claim *)data - claims]++;
}

static int on_packet(void *data, const uint8_t *bytes, size_t size)
{
	(void)data, (void)bytes, (void)size;
	return 0;
}

static void on_lost(void *data, int error)
{
	lost[(struct map_claim *)data - claims] = error;
}

static const struct map_claim_handlers handlers = {on_granted, on_packet, on_lost};

static void use(const char *program, uint32_t stall_ms)
{
	const struct map_places_options options = {.program = program, .stall_ms = stall_ms};
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(map_places_new(&places, &loop, &options), 0);
}

static void teardown(void)
{
	for (int i = 0; i < CLAIMS; i++)
		if (claims[i].places)
			map_places_leave(&claims[i]);
	map_places_free(places);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static bool claim(int i, uid_t uid)
{
	claims[i] = (struct map_claim){
		.places = places, .uid = uid, .handlers = &handlers, .data = &claims[i]};
	return map_places_wait(&claims[i]);
}

static struct map_places_stats stats(void)
{
	struct map_places_stats stats;
	map_places_stats(places, &stats);
	return stats;
}

START_TEST(who_comes_first_is_served_first_and_no_more_than_there_are_places)
{
	use("/bin/true", 0);
	for (int i = 0; i < 8; i++)
		ck_assert_int_eq(claim(i, 1), i < (int)MAP_PLACES);
	ck_assert_uint_eq(stats().in_use, MAP_PLACES);
	ck_assert_uint_eq(stats().waiting, 4);
	map_places_leave(&claims[2]);
	map_places_leave(&claims[5]); /* does not wait any more */
	map_places_leave(&claims[0]);
	ck_assert_int_eq(granted[4] + granted[6], 2);
	ck_assert_int_eq(granted[7] + granted[5], 0);
	ck_assert_uint_eq(stats().waiting, 1);
}
END_TEST

START_TEST(one_user_gets_half_while_others_wait)
{
	use("/bin/true", 0);
	for (int i = 0; i < 6; i++)
		claim(i, 1);
	claim(6, 2);
	claim(7, 2);
	claim(8, 2);
	map_places_leave(&claims[0]);
	ck_assert_int_eq(granted[6], 1); /* though others came earlier */
	map_places_leave(&claims[1]);
	ck_assert_int_eq(granted[7], 1);
	map_places_leave(&claims[2]);
	ck_assert_int_eq(granted[4], 1); /* in turn again */
	ck_assert_int_eq(granted[8], 0);
	map_places_leave(&claims[6]);
	ck_assert_int_eq(granted[8], 1);
}
END_TEST

START_TEST(two_users_who_hold_half_each_do_not_keep_out_a_third)
{
	use("/bin/true", 0);
	for (int i = 0; i < 8; i++)
		claim(i, 1 + (uid_t)i % 2);
	claim(8, 3);
	map_places_leave(&claims[0]);
	ck_assert_int_eq(granted[8], 1); /* though others came earlier */
	map_places_leave(&claims[1]);
	ck_assert_int_eq(granted[4], 1); /* in turn, among those who hold as many */
	ck_assert_int_eq(granted[5], 0);
}
END_TEST

START_TEST(what_one_user_holds_beyond_half_is_lost_when_another_one_comes)
{
	use("/bin/true", 30000);
	for (int i = 0; i < 4; i++)
		claim(i, 1);
	claim(4, 2);
	while (granted[4] == 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_int_eq(lost[3], -EAGAIN); /* the one that came last */
	ck_assert_int_eq(lost[0] + lost[1] + lost[2], 0);
	ck_assert_uint_eq(stats().yielded, 1);
}
END_TEST

START_TEST(a_place_is_lost_if_nothing_comes)
{
	use("/bin/sleep", 300);
	claim(0, 1);
	while (lost[0] == 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_int_eq(lost[0], -ETIMEDOUT);
	ck_assert_ptr_null(claims[0].place);
	ck_assert_uint_eq(stats().timeouts, 1);
}
END_TEST

START_TEST(a_helper_that_ends_loses_its_place_to_the_next)
{
	use("/bin/true", 0);
	for (int i = 0; i < 5; i++)
		claim(i, 1);
	ck_assert_int_eq(map_places_start(&claims[1]), 0);
	while (granted[4] == 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_int_eq(lost[1], -EPIPE);
	ck_assert_uint_eq(stats().starts, 1);
	ck_assert_uint_eq(stats().deaths, 1);
	ck_assert_uint_eq(stats().lingering, 0);
}
END_TEST

START_TEST(a_program_that_is_not_there_leaves_the_place_as_it_is)
{
	use("/nonexistent/spprof-map-reader", 0);
	claim(0, 1);
	ck_assert_int_eq(map_places_start(&claims[0]), -ENOENT);
	ck_assert_uint_eq(stats().in_use, 1);
	map_places_leave(&claims[0]);
	ck_assert_uint_eq(stats().in_use, 0);
	ck_assert_uint_eq(stats().lingering, 0);
}
END_TEST

START_TEST(who_still_waits_at_the_end_may_leave_after_it)
{
	use("/bin/true", 0);
	for (int i = 0; i < 6; i++)
		claim(i, 1);
	map_places_free(places);
	for (int i = 0; i < 6; i++)
		map_places_leave(&claims[i]);
	ck_assert_int_eq(granted[4] + granted[5], 0);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("map_places");
	TCase *t = tcase_create("map_places"), *last = tcase_create("end");
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, who_comes_first_is_served_first_and_no_more_than_there_are_places);
	tcase_add_test(t, one_user_gets_half_while_others_wait);
	tcase_add_test(t, two_users_who_hold_half_each_do_not_keep_out_a_third);
	tcase_add_test(t, what_one_user_holds_beyond_half_is_lost_when_another_one_comes);
	tcase_add_test(t, a_place_is_lost_if_nothing_comes);
	tcase_add_test(t, a_helper_that_ends_loses_its_place_to_the_next);
	tcase_add_test(t, a_program_that_is_not_there_leaves_the_place_as_it_is);
	tcase_add_test(last, who_still_waits_at_the_end_may_leave_after_it);
	suite_add_tcase(s, t);
	suite_add_tcase(s, last);
	return s;
}

TAP_MAIN(suite)
