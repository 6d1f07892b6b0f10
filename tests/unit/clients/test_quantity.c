#include "config.h"
#include "ctl/quantity.h"

#include <errno.h>
#include <string.h>

#include "support/tap_main.h"

START_TEST(sizes_take_k_m_and_g)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} cases[] = {
		{"1", 1},
		{"0", 0},
		{"4096", 4096},
		{"512K", 512u << 10},
		{"64k", 64u << 10},
		{"3M", 3u << 20},
		{"2G", UINT64_C(2) << 30},
		{"18446744073709551615", UINT64_MAX},
		{"17179869183G", UINT64_C(17179869183) << 30},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t bytes = 7;
		ck_assert_int_eq(quantity_parse_size(cases[i].text, &bytes), 0);
		ck_assert_uint_eq(bytes, cases[i].bytes);
	}
}
END_TEST

START_TEST(what_is_no_size_is_refused)
{
	static const char *const texts[] = {
		"", " 1", "-1", "+1", "K", "1T", "1KB", "1 K", "1.5M", "0x10", "1e3", "512Kx"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint64_t bytes;
		ck_assert_msg(quantity_parse_size(texts[i], &bytes) == -EINVAL, "'%s' was taken",
			texts[i]);
	}
}
END_TEST

START_TEST(sizes_that_do_not_fit_are_refused)
{
	uint64_t bytes;
	ck_assert_int_eq(quantity_parse_size("18446744073709551616", &bytes), -ERANGE);
	ck_assert_int_eq(quantity_parse_size("17179869184G", &bytes), -ERANGE);
}
END_TEST

START_TEST(bytes_are_written_with_three_digits)
{
	char text[QUANTITY_SIZE];
	ck_assert_str_eq(quantity_bytes(text, 0), "0 B");
	ck_assert_str_eq(quantity_bytes(text, 1023), "1023 B");
	ck_assert_str_eq(quantity_bytes(text, 1024), "1 KiB");
	ck_assert_str_eq(quantity_bytes(text, 1536), "1.50 KiB");
	ck_assert_str_eq(quantity_bytes(text, 12.34 * 1048576), "12.3 MiB");
	ck_assert_str_eq(quantity_bytes(text, 999.6 * 1024), "0.98 MiB");
	ck_assert_str_eq(quantity_bytes(text, 123.4 * 1073741824), "123 GiB");
}
END_TEST

START_TEST(counts_are_written_with_three_digits)
{
	char text[QUANTITY_SIZE];
	ck_assert_str_eq(quantity_count(text, 0), "0");
	ck_assert_str_eq(quantity_count(text, 999), "999");
	ck_assert_str_eq(quantity_count(text, 12345), "12.3k");
	ck_assert_str_eq(quantity_count(text, 1200000), "1.20M");
}
END_TEST

START_TEST(durations_find_their_unit)
{
	char text[QUANTITY_SIZE];
	ck_assert_str_eq(quantity_duration(text, 0), "0 ns");
	ck_assert_str_eq(quantity_duration(text, 2e-9), "2 ns");
	ck_assert_str_eq(quantity_duration(text, 0.004194), "4.19 ms");
	ck_assert_str_eq(quantity_duration(text, 7200), "7200 s");
}
END_TEST

START_TEST(ages_have_two_units_at_most)
{
	char text[QUANTITY_SIZE];
	const uint64_t s = UINT64_C(1000000000);
	ck_assert_str_eq(quantity_age(text, 59 * s), "59s");
	ck_assert_str_eq(quantity_age(text, 192 * s), "3m12s");
	ck_assert_str_eq(quantity_age(text, (5 * 3600 + 240) * s), "5h04m");
	ck_assert_str_eq(quantity_age(text, (12 * 86400 + 3 * 3600) * s), "12d03h");
	ck_assert_uint_lt(strlen(quantity_age(text, UINT64_MAX)), QUANTITY_SIZE);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("clients/ctl/quantity");
	TCase *tcase = tcase_create("quantity");
	tcase_add_test(tcase, sizes_take_k_m_and_g);
	tcase_add_test(tcase, what_is_no_size_is_refused);
	tcase_add_test(tcase, sizes_that_do_not_fit_are_refused);
	tcase_add_test(tcase, bytes_are_written_with_three_digits);
	tcase_add_test(tcase, counts_are_written_with_three_digits);
	tcase_add_test(tcase, durations_find_their_unit);
	tcase_add_test(tcase, ages_have_two_units_at_most);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(suite)
