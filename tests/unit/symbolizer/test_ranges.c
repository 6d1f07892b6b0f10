/* ranges against a plain search, and crc32 against its published check value. */
#include <string.h>
#include "symbolizer/crc32.h"
#include "symbolizer/ranges.h"
#include "support/random.h"
#include "support/tap_main.h"

#define COUNT 60

START_TEST(finds_what_a_plain_search_finds_the_last_start_first)
{
	struct random random = {11};
	for (int round = 0; round < 300; round++) {
		struct ranges ranges = RANGES_INIT;
		uint64_t starts[COUNT], ends[COUNT];
		for (uint32_t i = 0; i < COUNT; i++) {
			starts[i] = random_below(&random, 1000);
			ends[i] = starts[i] + random_below(&random, 1 + (round % 3) * 100);
			ck_assert(ranges_add(&ranges, starts[i], ends[i], i));
		}
		ranges_sort(&ranges);
		for (uint64_t address = 0; address < 1200; address += 7) {
			const struct range *range;
			uint64_t last_start = UINT64_MAX;
			unsigned found = 0, expected = 0;
			struct ranges_cursor at = ranges_seek(&ranges, address);
			while ((range = ranges_next(&ranges, &at))) {
				ck_assert_uint_eq(range->start, starts[range->value]);
				ck_assert(range->start <= address && address < range->end);
				ck_assert_uint_le(range->start, last_start);
				last_start = range->start;
				found++;
			}
			for (uint32_t i = 0; i < COUNT; i++)
				expected += starts[i] <= address && address < ends[i];
			ck_assert_uint_eq(found, expected);
		}
		ranges_deinit(&ranges);
	}
}
END_TEST

START_TEST(of_ranges_that_begin_together_the_narrowest_comes_first)
{
	struct ranges ranges = RANGES_INIT;
	ranges_add(&ranges, 10, 100, 0);
	ranges_add(&ranges, 10, 20, 1);
	ranges_add(&ranges, 10, 50, 2);
	ranges_sort(&ranges);
	struct ranges_cursor at = ranges_seek(&ranges, 15);
	ck_assert_uint_eq(ranges_next(&ranges, &at)->value, 1);
	ck_assert_uint_eq(ranges_next(&ranges, &at)->value, 2);
	ck_assert_uint_eq(ranges_next(&ranges, &at)->value, 0);
	ck_assert_ptr_null(ranges_next(&ranges, &at));
	ranges_deinit(&ranges);
}
END_TEST

START_TEST(empty_and_backward_ranges_cover_nothing)
{
	struct ranges ranges = RANGES_INIT;
	ck_assert(ranges_add(&ranges, 5, 5, 0));
	ck_assert(ranges_add(&ranges, 9, 3, 1));
	ranges_sort(&ranges);
	struct ranges_cursor at = ranges_seek(&ranges, 5);
	ck_assert_ptr_null(ranges_next(&ranges, &at));
	ranges_deinit(&ranges);
}
END_TEST

START_TEST(a_table_of_nested_ranges_costs_a_bounded_number_of_steps)
{
	struct ranges ranges = RANGES_INIT;
	for (uint32_t i = 0; i < 100000; i++)
		ranges_add(&ranges, i, 1000000 - i, i);
	ranges_sort(&ranges);
	struct ranges_cursor at = ranges_seek(&ranges, 500000);
	unsigned found = 0;
	while (ranges_next(&ranges, &at))
		found++;
	ck_assert_uint_gt(found, 0);
	ck_assert_uint_lt(found, 1000);
	ranges_deinit(&ranges);
}
END_TEST

START_TEST(the_checksum_is_the_published_one)
{
	ck_assert_uint_eq(crc32_compute("123456789", 9), 0xcbf43926);
	ck_assert_uint_eq(crc32_compute("", 0), 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ranges");
	TCase *t = tcase_create("ranges");
	tcase_add_test(t, finds_what_a_plain_search_finds_the_last_start_first);
	tcase_add_test(t, of_ranges_that_begin_together_the_narrowest_comes_first);
	tcase_add_test(t, empty_and_backward_ranges_cover_nothing);
	tcase_add_test(t, a_table_of_nested_ranges_costs_a_bounded_number_of_steps);
	tcase_add_test(t, the_checksum_is_the_published_one);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
