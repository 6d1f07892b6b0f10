#include "export/rounding.h"
#include <math.h>
#include "support/random.h"
#include "support/tap_main.h"

START_TEST(a_column_adds_up_and_every_number_is_its_value_rounded_down_or_up)
{
	struct random random = {1};
	struct rounding column = {0};
	double exact = 0;
	int64_t given = 0;
	for (int i = 0; i < 100000; i++) {
		double value = (double)(random_below(&random, 1000000)) / 1024;
		int64_t rounded = rounding_next(&column, value);
		exact += value;
		given += rounded;
		if (rounded < (int64_t)floor(value) || rounded > (int64_t)ceil(value) ||
			given != (int64_t)round(exact))
			ck_abort_msg("value %d", i);
	}
}
END_TEST

START_TEST(zeros_stay_zero_and_whole_numbers_whole)
{
	struct rounding column = {0};
	for (int i = 0; i < 1000; i++) {
		rounding_next(&column, 0.3);
		ck_assert_int_eq(rounding_next(&column, 0), 0);
		ck_assert_int_eq(rounding_next(&column, 7), 7);
	}
}
END_TEST

START_TEST(what_is_no_amount_counts_as_zero_and_totals_stop_at_the_limit)
{
	struct rounding column = {0};
	ck_assert_int_eq(rounding_next(&column, -5), 0);
	ck_assert_int_eq(rounding_next(&column, (double)NAN), 0);
	ck_assert_int_eq(rounding_next(&column, (double)INFINITY), 0);
	ck_assert_int_eq(rounding_next(&column, 3), 3);
	ck_assert_int_eq(rounding_next(&column, 1e300), ROUNDING_MAX - 3);
	ck_assert_int_eq(rounding_next(&column, 1e300), 0);
	ck_assert_int_eq(rounding_nearest((double)NAN), 0);
	ck_assert_int_eq(rounding_down(-1), 0);
	ck_assert_int_eq(rounding_up((double)INFINITY), ROUNDING_MAX);
}
END_TEST

START_TEST(single_numbers_round_as_their_names_say)
{
	ck_assert_int_eq(rounding_nearest(2.5), 3);
	ck_assert_int_eq(rounding_nearest(2.4), 2);
	ck_assert_int_eq(rounding_down(2.9), 2);
	ck_assert_int_eq(rounding_up(2.1), 3);
	ck_assert_int_eq(rounding_up(2), 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("rounding");
	TCase *tc = tcase_create("rounding");
	tcase_add_test(tc, a_column_adds_up_and_every_number_is_its_value_rounded_down_or_up);
	tcase_add_test(tc, zeros_stay_zero_and_whole_numbers_whole);
	tcase_add_test(tc, what_is_no_amount_counts_as_zero_and_totals_stop_at_the_limit);
	tcase_add_test(tc, single_numbers_round_as_their_names_say);
	suite_add_tcase(s, tc);
	return s;
}

TAP_MAIN(suite)
