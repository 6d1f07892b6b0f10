/* The interval while it changes: by the brake, by a crowded map, by whoever sets it. */
#include <math.h>
#include "sampler_fixture.h"

START_TEST(the_brake_doubles_the_interval_and_samples_say_which_they_were_drawn_under)
{
	struct thread_state state = {0};
	uint64_t used = 0;

	restart(1024, 100, SEED);
	uint64_t before = sampler_interval();
	while (!allocate(&state, 64, &used))
		;
	ck_assert_uint_eq(used, before);
	for (int i = 0; i <= 100; i++)
		sampler_brake(UINT64_C(5000000000) + i, 0);
	ck_assert_uint_eq(sampler_interval(), 2 * before);
	while (!allocate(&state, 64, &used))
		;
	/* The point was drawn before the brake: it keeps its T, unless a slow entry came in
	 * between. */
	ck_assert(used == before || used == 2 * before);
	while (!allocate(&state, 64, &used))
		;
	ck_assert_uint_eq(used, 2 * before);
}
END_TEST

START_TEST(the_rate_below_the_ceiling_leaves_the_interval_alone)
{
	restart(1024, 100, SEED);
	uint64_t before = sampler_interval();

	for (uint64_t second = 10; second < 20; second++)
		for (int i = 0; i < 90; i++)
			sampler_brake(second * 1000000000 + i, 0);
	ck_assert_uint_eq(sampler_interval(), before);
}
END_TEST

START_TEST(a_crowded_map_doubles_the_interval_once_a_second)
{
	restart(1024, 0, SEED);
	uint64_t before = sampler_interval();

	for (int i = 0; i < 1000; i++)
		sampler_brake(UINT64_C(100000000000) + i, 1000 + i);
	ck_assert_uint_eq(sampler_interval(), 2 * before);
}
END_TEST

START_TEST(a_map_that_stays_crowded_and_fills_no_more_doubles_no_more)
{
	restart(1024, 0, SEED);
	uint64_t now = UINT64_C(100000000000);

	for (int second = 0; second < 100; second++)
		sampler_brake(now += 1000000001, 1000);
	ck_assert_uint_eq(sampler_interval(), 2 * 1024);
	for (int second = 0; second < 4; second++)
		sampler_brake(now += 1000000001, 1001 + second);
	ck_assert_uint_eq(sampler_interval(), 32 * 1024);
	/* What was freed gives it back, by ticks alone and without a ceiling, too. */
	for (int second = 0; second < 40; second++)
		sampler_look(now += 1000000001, 0);
	ck_assert_uint_eq(sampler_interval(), 1024);
}
END_TEST

START_TEST(intervals_set_by_many_threads_leave_the_last_one_in_force)
{
	restart(1024, 1, SEED);
	sampler_set_interval(4096);
	sampler_brake(UINT64_C(1000000000000), 0);
	sampler_brake(UINT64_C(1000000000000), 0);
	ck_assert_uint_eq(sampler_interval(), 8192);
	sampler_set_interval(4096); /* wanted already: the brake holds */
	ck_assert_uint_eq(sampler_interval(), 8192);
	sampler_set_interval(2048);
	ck_assert_uint_eq(sampler_interval(), 2048);
	sampler_set_interval(4096);
	ck_assert_uint_eq(sampler_interval(), 4096);
}
END_TEST

START_TEST(a_burst_that_is_over_gives_the_interval_back)
{
	restart(1024, 100, SEED);
	uint64_t now = UINT64_C(5000000000);
	for (int i = 0; i <= 4 * 101; i++)
		sampler_brake(now + (uint64_t)i, 0);
	ck_assert_uint_eq(sampler_interval(), 16 * 1024);
	/* A rate between a quarter of the ceiling and the ceiling is what the brake is for: it
	 * stays. */
	for (int window = 0; window < 20; window++)
		for (int i = 0; i < 50; i++)
			sampler_brake(now += 20000000, 0);
	ck_assert_uint_eq(sampler_interval(), 16 * 1024);
	for (int window = 0; window < 40; window++)
		sampler_brake(now += 1000000000, 0);
	ck_assert_uint_eq(sampler_interval(), 1024);
}
END_TEST

START_TEST(a_crowded_map_does_not_give_it_back)
{
	restart(1024, 100, SEED);
	uint64_t now = UINT64_C(5000000000);
	for (uint64_t window = 0; window < 10; window++)
		sampler_brake(now += 1000000000, 1000 + window);
	ck_assert_uint_eq(sampler_interval(), 1024 << 10);
	for (int window = 0; window < 10; window++)
		sampler_look(now += 1000000000, 500);
	ck_assert_uint_eq(sampler_interval(), 1024 << 10);
}
END_TEST

START_TEST(an_interval_set_at_run_time_reaches_a_thread_within_a_tick)
{
	struct thread_state state = {0};
	uint64_t used = 0, allocated = 0;

	restart(SAMPLER_MAX_INTERVAL, 0, SEED);
	ck_assert(!allocate(&state, 1, &used));
	sampler_set_interval(4096);
	ck_assert_uint_eq(sampler_interval(), 4096);
	for (; !allocate(&state, 64, &used); allocated += 64)
		ck_assert_uint_le(allocated, SAMPLER_TICK + 64 * 4096);
	ck_assert_uint_eq(used, 4096);
	sampler_set_interval(0);
	ck_assert_uint_eq(sampler_interval(), SAMPLER_MAX_INTERVAL);
}
END_TEST

START_TEST(a_tick_can_be_made_shorter_without_touching_the_rate)
{
	struct thread_state state = {0};
	uint64_t used;
	int sampled = 0, ticks = 0;

	restart(256 << 10, 0, SEED);
	sampler_set_tick(SAMPLER_TICK_OPEN);
	for (int i = 0; i < 10000000; i++) {
		bool slow = state.countdown <= 100;
		bool hit = allocate(&state, 100, &used);

		sampled += hit;
		ticks += slow && !hit;
	}
	double p = -expm1(-100.0 / (256 << 10)), n = 1e7;
	ck_assert_double_eq_tol(sampled, p * n, 4 * sqrt(p * n));
	ck_assert_int_ge(ticks, (int)(0.9 * n * 100 / SAMPLER_TICK_OPEN));
}
END_TEST

START_TEST(estimates_stay_unbiased_while_the_interval_changes)
{
	enum { ROUNDS = 400, ALLOCATIONS = 20000 };
	const uint64_t size = 200;
	double estimate = 0, variance = 0;

	restart(1 << 10, 1, SEED);
	struct thread_state state = {0};
	for (int round = 0; round < ROUNDS; round++) {
		uint64_t used, now = UINT64_C(1000000000000) + (uint64_t)round;

		switch (round % 5) {
		case 0: /* the brake doubles */
			sampler_brake(now, 0);
			sampler_brake(now, 0);
			break;
		case 2:
			sampler_set_interval(256 << (round / 5 % 8));
			break;
		case 4:
			sampler_set_interval(1 << 20);
			break;
		}
		for (int i = 0; i < ALLOCATIONS; i++)
			if (allocate(&state, size, &used)) {
				double p = -expm1(-(double)size / (double)used);

				estimate += size / p;
				variance += size * size * (1 - p) / p / p;
			}
	}
	double truth = (double)ROUNDS * ALLOCATIONS * size;
	ck_assert_double_eq_tol(estimate, truth, 4 * sqrt(variance));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("sampler_interval");
	TCase *t = tcase_create("sampler_interval");
	tcase_set_timeout(t, 60);
	tcase_add_test(
		t, the_brake_doubles_the_interval_and_samples_say_which_they_were_drawn_under);
	tcase_add_test(t, the_rate_below_the_ceiling_leaves_the_interval_alone);
	tcase_add_test(t, a_crowded_map_doubles_the_interval_once_a_second);
	tcase_add_test(t, a_map_that_stays_crowded_and_fills_no_more_doubles_no_more);
	tcase_add_test(t, intervals_set_by_many_threads_leave_the_last_one_in_force);
	tcase_add_test(t, a_burst_that_is_over_gives_the_interval_back);
	tcase_add_test(t, a_crowded_map_does_not_give_it_back);
	tcase_add_test(t, an_interval_set_at_run_time_reaches_a_thread_within_a_tick);
	tcase_add_test(t, a_tick_can_be_made_shorter_without_touching_the_rate);
	tcase_add_test(t, estimates_stay_unbiased_while_the_interval_changes);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(make_suite)
