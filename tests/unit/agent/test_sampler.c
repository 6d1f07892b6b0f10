/* The sampling rule: thresholds are exact exponentials rounded up, and every size is kept with
 * 1-exp(-s/T). */
#include <math.h>
#include <string.h>
#include "sampler_fixture.h"

START_TEST(thresholds_have_the_interval_as_mean_and_standard_deviation)
{
	enum { DRAWS = 1000000 };
	const double interval = 512 << 10;
	uint64_t rng[2];
	double sum = 0, squares = 0;

	sampler_seed(rng, SEED, 0);
	for (int i = 0; i < DRAWS; i++) {
		double x = sampler_draw(rng, 512 << 10);

		sum += x;
		squares += x * x;
	}
	double mean = sum / DRAWS;
	double deviation = sqrt(squares / DRAWS - mean * mean);
	/* The mean's standard error is T/sqrt(n); the deviation's sqrt(2) times that. */
	ck_assert_double_eq_tol(mean, interval, 4 * interval / sqrt(DRAWS));
	ck_assert_double_eq_tol(deviation, interval, 6 * interval / sqrt(DRAWS));
}
END_TEST

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

START_TEST(thresholds_pass_a_kolmogorov_smirnov_test_against_the_exponential)
{
	enum { DRAWS = 200000 };
	static double draws[DRAWS];
	const uint64_t interval = UINT64_C(1) << 40; /* rounding up does not show */
	uint64_t rng[2];
	double distance = 0;

	sampler_seed(rng, SEED, 1);
	for (int i = 0; i < DRAWS; i++)
		draws[i] = (double)sampler_draw(rng, interval) / (double)interval;
	qsort(draws, DRAWS, sizeof draws[0], compare_doubles);
	for (int i = 0; i < DRAWS; i++) {
		double expected = -expm1(-draws[i]);

		distance = fmax(distance, fabs(expected - (double)i / DRAWS));
		distance = fmax(distance, fabs((double)(i + 1) / DRAWS - expected));
	}
	/* 1.95: the 0.1 % point of the Kolmogorov distribution. */
	ck_assert_double_lt(distance * sqrt(DRAWS), 1.95);
}
END_TEST

START_TEST(small_thresholds_are_rounded_up_exactly)
{
	enum { DRAWS = 4000000, LIMIT = 64 };
	static uint64_t at_most[LIMIT + 1];
	const double interval = 1024;
	uint64_t rng[2];

	sampler_seed(rng, SEED, 2);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t x = sampler_draw(rng, 1024);

		ck_assert_uint_ge(x, 1);
		for (uint64_t s = x; s <= LIMIT; s++)
			at_most[s]++;
	}
	for (int s = 1; s <= LIMIT; s *= 2) {
		double p = -expm1(-s / interval);
		double error = sqrt(p * (1 - p) / DRAWS);

		/* Rounding down instead would be s+1 in place of s: 30 standard errors at 16 B. */
		ck_assert_double_eq_tol((double)at_most[s] / DRAWS, p, 4 * error);
	}
}
END_TEST

START_TEST(successive_thresholds_are_uncorrelated)
{
	enum { DRAWS = 1000000 };
	uint64_t rng[2];
	double last = 0, sum = 0;

	sampler_seed(rng, SEED, 3);
	for (int i = 0; i < DRAWS; i++) {
		double x = (double)sampler_draw(rng, 1 << 30) / (1 << 30) - 1;

		sum += last * x;
		last = x;
	}
	ck_assert_double_eq_tol(sum / DRAWS, 0, 4 / sqrt(DRAWS));
}
END_TEST

START_TEST(generators_bytes_are_equidistributed)
{
	enum { DRAWS = 500000 };
	uint64_t rng[2];

	sampler_seed(rng, SEED, 4);
	static uint32_t counts[8][256];
	memset(counts, 0, sizeof counts);
	for (int i = 0; i < DRAWS; i++) {
		uint64_t x = sampler_next(rng);

		for (int byte = 0; byte < 8; byte++)
			counts[byte][x >> (8 * byte) & 0xff]++;
	}
	for (int byte = 0; byte < 8; byte++) {
		double chi2 = 0, expected = DRAWS / 256.0;

		for (int v = 0; v < 256; v++)
			chi2 += (counts[byte][v] - expected) * (counts[byte][v] - expected) /
				expected;
		/* 255 degrees of freedom, 0.01 % on either side */
		ck_assert_double_gt(chi2, 177);
		ck_assert_double_lt(chi2, 347);
	}
}
END_TEST

START_TEST(neighbouring_threads_generators_differ_and_are_never_zero)
{
	uint64_t a[2], b[2];

	for (uint64_t ordinal = 0; ordinal < 1000; ordinal++) {
		sampler_seed(a, SEED, ordinal);
		sampler_seed(b, SEED, ordinal + 1);
		ck_assert(a[0] != 0 || a[1] != 0);
		ck_assert(a[0] != b[0] && a[1] != b[1]);
		ck_assert(sampler_next(a) != sampler_next(b));
	}
}
END_TEST

static void check_rate(uint64_t interval, uint64_t size, int allocations)
{
	struct thread_state state = {0};
	uint64_t used;
	int sampled = 0;

	restart(interval, 0, SEED + size);
	for (int i = 0; i < allocations; i++)
		sampled += allocate(&state, size, &used);
	double p = -expm1(-(double)size / (double)interval);
	double error = sqrt(p * (1 - p) * allocations);
	ck_assert_double_eq_tol(sampled, p * allocations, 4 * error + 0.5);
}

START_TEST(every_size_is_kept_with_its_probability)
{
	check_rate(4096, 1, 4000000);
	check_rate(4096, 16, 1000000);
	check_rate(4096, 4095, 200000);
	check_rate(512 << 10, 100, 20000000);
	check_rate(512 << 10, 512 << 10, 200000);
	check_rate(512 << 10, 8 << 20, 100000);
}
END_TEST

START_TEST(intervals_beyond_the_service_chunk_keep_their_rate)
{
	check_rate(64 << 20, 1 << 20, 200000);
}
END_TEST

START_TEST(a_threads_first_allocation_is_not_special)
{
	enum { THREADS = 100000 };
	int sampled = 0;
	uint64_t used;

	restart(64 << 10, 0, SEED);
	for (int i = 0; i < THREADS; i++) {
		struct thread_state state = {0};

		sampled += allocate(&state, 100, &used);
	}
	double p = -expm1(-100.0 / (64 << 10));
	ck_assert_double_eq_tol(sampled, THREADS * p, 4 * sqrt(THREADS * p));
}
END_TEST

START_TEST(zero_bytes_are_never_sampled)
{
	struct thread_state state = {0};
	uint64_t used;

	restart(1, 0, SEED);
	for (int i = 0; i < 10000; i++)
		ck_assert(!allocate(&state, 0, &used));
}
END_TEST

START_TEST(a_tick_comes_at_least_once_per_chunk)
{
	struct thread_state state = {0};
	uint64_t used;

	restart(SAMPLER_MAX_INTERVAL, 0, SEED);
	ck_assert(!sampler_cross(&state, 1, &used));
	ck_assert_uint_le(state.countdown, SAMPLER_TICK);
	ck_assert_uint_gt(state.residual, 0);
}
END_TEST

START_TEST(skipping_draws_anew_when_it_goes_on)
{
	enum { ROUNDS = 20000 };
	uint64_t used;
	int sampled = 0;

	/* Stopped and started over and over, with large blocks in between: what is asked for afterwards
	 * is sampled at its rate. */
	restart(1 << 20, 0, SEED);
	struct thread_state state = {0};
	for (int i = 0; i < ROUNDS; i++) {
		for (int k = 0; k < 3; k++)
			sampler_skip(&state, SAMPLER_TICK);
		sampled += sampler_cross(&state, 100 << 10, &used);
	}
	double p = -expm1(-100.0 / 1024);
	ck_assert_double_eq_tol(sampled, ROUNDS * p, 4 * sqrt(ROUNDS * p));
	sampler_skip(&state, 4096);
	ck_assert_uint_eq(state.countdown, 4096);
}
END_TEST

START_TEST(forked_siblings_draw_different_points)
{
	enum { PAIRS = 2000 };
	uint64_t used, parent_seed = SEED;
	double product = 0, squares = 0;

	/* Two children of one thread: what they draw next must not be correlated. */
	for (uint64_t pair = 0; pair < PAIRS; pair++) {
		double deviation[2];

		for (uint64_t child = 0; child < 2; child++) {
			struct thread_state state = {0};

			restart(1 << 20, 0, parent_seed + pair);
			sampler_cross(&state, 1, &used);
			sampler_reseed(2 * pair + child + 1);
			sampler_enter(&state);
			deviation[child] =
				(double)(state.countdown + state.residual) / (1 << 20) - 1;
		}
		product += deviation[0] * deviation[1];
		squares += deviation[0] * deviation[0];
	}
	ck_assert_double_eq_tol(squares / PAIRS, 1, 0.3);
	ck_assert_double_eq_tol(product / PAIRS, 0, 4 / sqrt(PAIRS));
}
END_TEST

START_TEST(weights_of_lost_samples_are_within_two_percent)
{
	for (double x = 1e-4; x < 1000; x *= 1.07) {
		uint64_t interval = 1 << 20;
		uint64_t size = (uint64_t)(x * (double)interval);

		double exact = (double)size / -expm1(-(double)size / (double)interval);
		ck_assert_double_eq_tol((double)sampler_weight(size, interval) / exact, 1, 0.02);
	}
	ck_assert_uint_eq(sampler_weight(UINT64_C(1) << 50, 1), UINT64_C(1) << 50);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("sampler");
	TCase *t = tcase_create("sampler");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, thresholds_have_the_interval_as_mean_and_standard_deviation);
	tcase_add_test(t, thresholds_pass_a_kolmogorov_smirnov_test_against_the_exponential);
	tcase_add_test(t, small_thresholds_are_rounded_up_exactly);
	tcase_add_test(t, successive_thresholds_are_uncorrelated);
	tcase_add_test(t, generators_bytes_are_equidistributed);
	tcase_add_test(t, neighbouring_threads_generators_differ_and_are_never_zero);
	tcase_add_test(t, every_size_is_kept_with_its_probability);
	tcase_add_test(t, intervals_beyond_the_service_chunk_keep_their_rate);
	tcase_add_test(t, a_threads_first_allocation_is_not_special);
	tcase_add_test(t, zero_bytes_are_never_sampled);
	tcase_add_test(t, a_tick_comes_at_least_once_per_chunk);
	tcase_add_test(t, skipping_draws_anew_when_it_goes_on);
	tcase_add_test(t, forked_siblings_draw_different_points);
	tcase_add_test(t, weights_of_lost_samples_are_within_two_percent);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(make_suite)
