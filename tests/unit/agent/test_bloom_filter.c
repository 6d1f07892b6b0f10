/* The filter: never a false negative, false positives as theory has them. */
#include <math.h>
#include <string.h>
#include "bloom_filter.h"
#include "support/tap_main.h"

/* Addresses like an allocator's: 16-aligned, dense. */
static uintptr_t member(unsigned i)
{
	return 0x7f0000001000 + (uintptr_t)i * 96;
}

static uintptr_t stranger(unsigned i)
{
	return 0x7f0000001010 + (uintptr_t)i * 96;
}

START_TEST(what_was_added_is_found_by_the_first_bit_and_by_all)
{
	for (unsigned i = 0; i < 50000; i++) {
		bloom_filter_add(member(i));
		ck_assert(bloom_filter_first(member(i)));
		ck_assert(bloom_filter_contains(member(i)));
	}
	for (unsigned i = 0; i < 50000; i++)
		ck_assert(bloom_filter_contains(member(i)));
}
END_TEST

START_TEST(false_positives_are_as_rare_as_theory_says)
{
	enum { MEMBERS = 50000, STRANGERS = 2000000 };
	unsigned first = 0, all = 0;

	for (unsigned i = 0; i < MEMBERS; i++)
		bloom_filter_add(member(i));
	for (unsigned i = 0; i < STRANGERS; i++) {
		first += bloom_filter_first(stranger(i));
		all += bloom_filter_contains(stranger(i));
	}
	double fill = -expm1(-(double)MEMBERS * BLOOM_FILTER_HASHES / BLOOM_FILTER_BITS);
	double expected = pow(fill, BLOOM_FILTER_HASHES);
	/* Multiplicative hashing spreads regular addresses more evenly than chance would. */
	ck_assert_double_le((double)first / STRANGERS, 1.02 * fill);
	ck_assert_double_ge((double)first / STRANGERS, 0.5 * fill);
	/* Double hashing costs little over independent hashes (Kirsch and Mitzenmacher). */
	ck_assert_double_le((double)all / STRANGERS, 1.5 * expected);
	ck_assert_double_le((double)all / STRANGERS, 0.01);
	ck_assert_double_eq_tol(
		(double)bloom_filter_bits_set() / BLOOM_FILTER_BITS, fill, 0.1 * fill);
}
END_TEST

START_TEST(an_empty_filter_contains_nothing)
{
	for (unsigned i = 0; i < 100000; i++)
		ck_assert(!bloom_filter_first(stranger(i)));
	ck_assert(!bloom_filter_first(0));
	ck_assert_uint_eq(bloom_filter_bits_set(), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("bloom_filter");
	TCase *filter =
		tcase_create("filter"); /* each test in a process of its own: one filter each */

	tcase_add_test(filter, what_was_added_is_found_by_the_first_bit_and_by_all);
	tcase_add_test(filter, false_positives_are_as_rare_as_theory_says);
	tcase_add_test(filter, an_empty_filter_contains_nothing);
	suite_add_tcase(suite, filter);
	return suite;
}

TAP_MAIN(make_suite)
