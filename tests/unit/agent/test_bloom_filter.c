/* The filter: never a false negative, false positives as theory has them. */
#include <math.h>
#include <string.h>
#include "bloom_filter.h"
#include "support/random.h"
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

START_TEST(what_was_added_is_found_by_the_first_cell_and_by_all)
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
	double fill = -expm1(-(double)MEMBERS / (1 << BLOOM_FILTER_FIRST_LOG2));
	double rest = -expm1(-(double)MEMBERS * BLOOM_FILTER_REST / (1 << BLOOM_FILTER_REST_LOG2));
	double expected = fill * pow(rest, BLOOM_FILTER_REST);
	/* Multiplicative hashing spreads regular addresses more evenly than chance would. */
	ck_assert_double_le((double)first / STRANGERS, 1.25 * fill);
	ck_assert_double_ge((double)first / STRANGERS, 0.5 * fill);
	ck_assert_double_le((double)all / STRANGERS, 1.5 * expected);
	ck_assert_double_le((double)all / STRANGERS, 0.01);
	ck_assert_double_ge(
		(double)bloom_filter_cells_used(), 0.9 * fill * (1 << BLOOM_FILTER_FIRST_LOG2));
	ck_assert_uint_eq(bloom_filter_saturated(), 0);
}
END_TEST

START_TEST(false_positives_among_scattered_addresses_are_as_rare)
{
	enum { MEMBERS = 50000, STRANGERS = 2000000 };
	struct random random = {7};
	unsigned first = 0, all = 0;

	for (unsigned i = 0; i < MEMBERS; i++)
		bloom_filter_add(
			0x550000000000 + (random_next(&random) % (UINT64_C(1) << 34) & ~15));
	for (unsigned i = 0; i < STRANGERS; i++) {
		uintptr_t address =
			0x7f0000000000 + (random_next(&random) % (UINT64_C(1) << 34) & ~15);

		first += bloom_filter_first(address);
		all += bloom_filter_contains(address);
	}
	double fill = -expm1(-(double)MEMBERS / (1 << BLOOM_FILTER_FIRST_LOG2));
	double rest = -expm1(-(double)MEMBERS * BLOOM_FILTER_REST / (1 << BLOOM_FILTER_REST_LOG2));
	ck_assert_double_eq_tol((double)first / STRANGERS, fill, 0.05 * fill);
	ck_assert_double_eq_tol(
		(double)all / STRANGERS, fill * rest * rest, 0.1 * fill * rest * rest);
}
END_TEST

START_TEST(what_was_removed_leaves_nothing_behind)
{
	for (unsigned round = 0; round < 20; round++) {
		for (unsigned i = 0; i < 100000; i++)
			bloom_filter_add(member(i));
		for (unsigned i = 0; i < 100000; i += 2)
			bloom_filter_remove(member(i));
		for (unsigned i = 1; i < 100000; i += 2)
			ck_assert(bloom_filter_contains(member(i)));
		for (unsigned i = 1; i < 100000; i += 2)
			bloom_filter_remove(member(i));
		ck_assert_uint_eq(bloom_filter_cells_used(), 0);
	}
	for (unsigned i = 0; i < 100000; i++)
		ck_assert(!bloom_filter_contains(member(i)));
}
END_TEST

START_TEST(an_address_that_is_in_twice_is_out_after_the_second_removal)
{
	bloom_filter_add(member(0));
	bloom_filter_add(member(0));
	bloom_filter_remove(member(0));
	ck_assert(bloom_filter_contains(member(0)));
	bloom_filter_remove(member(0));
	ck_assert(!bloom_filter_first(member(0)));
}
END_TEST

START_TEST(a_marked_address_passes_the_first_cell_and_not_the_others)
{
	bloom_filter_mark(member(0));
	ck_assert(bloom_filter_first(member(0)));
	ck_assert(!bloom_filter_contains(member(0)));
	bloom_filter_add(member(0));
	bloom_filter_remove(member(0));
	ck_assert(bloom_filter_first(member(0)));
}
END_TEST

START_TEST(a_full_cell_stays_set_and_is_counted)
{
	for (unsigned i = 0; i < 1000; i++)
		bloom_filter_add(member(0));
	ck_assert_uint_eq(bloom_filter_saturated(), 1 + BLOOM_FILTER_REST);
	bloom_filter_add(member(1));
	for (unsigned i = 0; i < 1000; i++)
		bloom_filter_remove(member(0));
	/* How many blocks there are is not known any more: a count that went on would reach 0 too
	 * early. */
	ck_assert(bloom_filter_contains(member(0)));
	ck_assert(bloom_filter_contains(member(1)));
	bloom_filter_remove(member(1));
	ck_assert_uint_eq(bloom_filter_cells_used(), 1);
}
END_TEST

START_TEST(an_empty_filter_contains_nothing)
{
	for (unsigned i = 0; i < 100000; i++)
		ck_assert(!bloom_filter_first(stranger(i)));
	ck_assert(!bloom_filter_first(0));
	ck_assert_uint_eq(bloom_filter_cells_used(), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("bloom_filter");
	TCase *filter =
		tcase_create("filter"); /* each test in a process of its own: one filter each */

	tcase_add_test(filter, what_was_added_is_found_by_the_first_cell_and_by_all);
	tcase_add_test(filter, false_positives_are_as_rare_as_theory_says);
	tcase_add_test(filter, false_positives_among_scattered_addresses_are_as_rare);
	tcase_add_test(filter, what_was_removed_leaves_nothing_behind);
	tcase_add_test(filter, an_address_that_is_in_twice_is_out_after_the_second_removal);
	tcase_add_test(filter, a_marked_address_passes_the_first_cell_and_not_the_others);
	tcase_add_test(filter, a_full_cell_stays_set_and_is_counted);
	tcase_add_test(filter, an_empty_filter_contains_nothing);
	suite_add_tcase(suite, filter);
	return suite;
}

TAP_MAIN(make_suite)
