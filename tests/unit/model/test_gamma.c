#include "model/gamma.h"
#include <math.h>
#include "support/tap_main.h"

static void assert_near(double actual, double expected, double relative)
{
	ck_assert_double_eq_tol(actual, expected, fabs(expected) * relative);
}

START_TEST(shape_one_is_the_exponential_distribution)
{
	for (double x = 1e-6; x < 30; x *= 1.7)
		assert_near(gamma_cdf(1, x), -expm1(-x), 1e-13);
	for (double p = 0.001; p < 1; p += 0.037)
		assert_near(gamma_quantile(1, p), -log1p(-p), 1e-12);
}
END_TEST

START_TEST(shape_one_half_is_a_squared_normal)
{
	for (double x = 1e-6; x < 30; x *= 1.7)
		assert_near(gamma_cdf(0.5, x), erf(sqrt(x)), 1e-13);
}
END_TEST

START_TEST(whole_shapes_are_poisson_tails)
{
	for (int shape = 1; shape <= 60; shape += 7) {
		for (double x = 0.5; x < 120; x *= 1.3) {
			double term = exp(-x), below = 0;
			for (int k = 0; k < shape; k++, term *= x / k)
				below += term;
			ck_assert_double_eq_tol(gamma_cdf(shape, x), 1 - below, 1e-12);
		}
	}
}
END_TEST

/* Exact 95 % limits of a Poisson mean (Garwood 1936), here from summing Poisson terms with 60
 * digits. */
START_TEST(quantiles_give_the_exact_poisson_limits)
{
	const struct {
		int count;
		double low, high;
	} known[] = {
		{1, 0.025317807984289876, 5.571643390938899},
		{2, 0.2422092785439649, 7.224687667723961},
		{3, 0.6186721228956013, 8.767273069742327},
		{5, 1.6234863901184204, 11.668332079322669},
		{10, 4.7953886961324335, 18.39035604201778},
		{20, 12.216519585403944, 30.8883779026746},
		{30, 20.240874021420915, 42.82686539480767},
		{50, 37.110963737461866, 65.91876666433681},
		{100, 81.36399125092314, 121.62679379242638},
	};
	assert_near(gamma_quantile(1, 0.975), 3.6888794541139363, 1e-12);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		assert_near(gamma_quantile(known[i].count, 0.025), known[i].low, 1e-12);
		assert_near(gamma_quantile(known[i].count + 1, 0.975), known[i].high, 1e-12);
	}
}
END_TEST

START_TEST(quantile_inverts_the_distribution_over_every_shape)
{
	const double probabilities[] = {1e-6, 0.025, 0.3, 0.5, 0.975, 1 - 1e-6};
	for (double shape = 1e-3; shape < 1e9; shape *= 1.37) {
		for (int i = 0; i < 6; i++) {
			double x = gamma_quantile(shape, probabilities[i]);
			ck_assert(isfinite(x) && x >= 0);
			if (x > 0)
				assert_near(gamma_cdf(shape, x), probabilities[i], 1e-8);
			else /* smaller than any double, and only at shapes where that is so */
				ck_assert_double_lt(log(probabilities[i]) / shape, -700);
		}
	}
}
END_TEST

START_TEST(the_methods_meet_where_they_change_hands)
{
	const double borders[] = {16, 1e6};
	for (int i = 0; i < 2; i++) {
		double below = borders[i] * (1 - 1e-9), above = borders[i] * (1 + 1e-9);
		for (double sigmas = -4; sigmas <= 4; sigmas += 0.5) {
			double x = borders[i] + sigmas * sqrt(borders[i]);
			ck_assert_double_eq_tol(gamma_cdf(below, x), gamma_cdf(above, x), 1e-6);
		}
	}
	for (double shape = 0.1; shape < 1e5; shape *= 3) /* series and fraction, at shape + 1 */
		ck_assert_double_eq_tol(gamma_cdf(shape, (shape + 1) * (1 - 1e-9)),
			gamma_cdf(shape, (shape + 1) * (1 + 1e-9)), 1e-6);
}
END_TEST

START_TEST(nothing_lies_below_zero_and_all_mass_of_a_tiny_shape_near_it)
{
	ck_assert_double_eq(gamma_cdf(3, 0), 0);
	ck_assert_double_eq(gamma_cdf(3, -1), 0);
	ck_assert_double_eq(gamma_quantile(1e-6, 0.975), 0);
	ck_assert_double_gt(gamma_cdf(1e-6, 1e-6), 0.9999);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("gamma");
	TCase *t = tcase_create("gamma");
	tcase_add_test(t, shape_one_is_the_exponential_distribution);
	tcase_add_test(t, shape_one_half_is_a_squared_normal);
	tcase_add_test(t, whole_shapes_are_poisson_tails);
	tcase_add_test(t, quantiles_give_the_exact_poisson_limits);
	tcase_add_test(t, quantile_inverts_the_distribution_over_every_shape);
	tcase_add_test(t, the_methods_meet_where_they_change_hands);
	tcase_add_test(t, nothing_lies_below_zero_and_all_mass_of_a_tiny_shape_near_it);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
