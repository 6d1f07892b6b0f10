#include "export/human.h"
#include <string.h>
#include "base/buffer.h"
#include "support/tap_main.h"

static const char *text_of(struct buffer *out)
{
	buffer_putc(out, '\0');
	return (const char *)out->data;
}

static void check_bytes(double bytes, const char *expected)
{
	struct buffer out = BUFFER_INIT;
	human_bytes(&out, bytes);
	ck_assert_str_eq(text_of(&out), expected);
	buffer_deinit(&out);
}

START_TEST(sizes_have_three_digits_and_the_unit_that_fits)
{
	check_bytes(0, "0 B");
	check_bytes(1, "1 B");
	check_bytes(1023, "1023 B");
	check_bytes(1024, "1.00 KiB");
	check_bytes(9.994 * 1024, "9.99 KiB");
	check_bytes(9.996 * 1024, "10.0 KiB");
	check_bytes(99.94 * 1024, "99.9 KiB");
	check_bytes(99.96 * 1024, "100 KiB");
	check_bytes(1013 * 1024.0, "1013 KiB");
	check_bytes(1.5 * (1 << 20), "1.50 MiB");
	check_bytes(48.2 * (1 << 30), "48.2 GiB");
	check_bytes(0x1p60, "1.00 EiB");
	check_bytes(0x1p72, "4096 EiB");
}
END_TEST

START_TEST(no_size_is_printed_as_1024_of_a_unit)
{
	for (double unit = 1024; unit <= 0x1p60; unit *= 1024) {
		struct buffer out = BUFFER_INIT;
		human_bytes(&out, unit - 0.4);
		human_bytes(&out, unit * (1 - 1e-5));
		ck_assert_ptr_null(strstr(text_of(&out), "1024"));
		buffer_deinit(&out);
	}
}
END_TEST

static void check_range(double low, double high, const char *expected)
{
	struct buffer out = BUFFER_INIT;
	human_range(&out, low, high);
	ck_assert_str_eq(text_of(&out), expected);
	buffer_deinit(&out);
}

START_TEST(both_ends_of_a_range_have_the_unit_of_its_high_end)
{
	check_range(480 * 0x1p20, 545 * 0x1p20, "480..545 MiB");
	check_range(0, 1.84 * 0x1p20, "0..1.84 MiB");
	check_range(325 * 0x1p10, 4.39 * 0x1p20, "0.32..4.39 MiB");
	check_range(100, 1.84 * 0x1p20, "0.00..1.84 MiB");
	check_range(1, 2, "1..2 B");
}
END_TEST

static void check_duration(uint64_t seconds, const char *expected)
{
	struct buffer out = BUFFER_INIT;
	human_duration(&out, seconds * 1000000000u + 999999999u);
	ck_assert_str_eq(text_of(&out), expected);
	buffer_deinit(&out);
}

START_TEST(durations_have_at_most_two_units)
{
	check_duration(0, "0s");
	check_duration(59, "59s");
	check_duration(60, "1m 00s");
	check_duration(3599, "59m 59s");
	check_duration(11520, "3h 12m");
	check_duration(86400 * 15 + 4 * 3600, "15d 4h");
}
END_TEST

START_TEST(times_are_utc_whatever_the_zone)
{
	struct buffer out = BUFFER_INIT;
	setenv("TZ", "Asia/Tokyo", 1);
	human_time(&out, 1795425242123456789u);
	ck_assert_str_eq(text_of(&out), "2026-11-23 09:14:02 UTC");
	buffer_clear(&out);
	human_time_iso(&out, 0);
	ck_assert_str_eq(text_of(&out), "1970-01-01T00:00:00Z");
	buffer_clear(&out);
	human_time_iso(&out, UINT64_MAX);
	ck_assert_str_eq(text_of(&out), "2554-07-21T23:34:33Z");
	buffer_deinit(&out);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("human");
	TCase *tc = tcase_create("human");
	tcase_add_test(tc, sizes_have_three_digits_and_the_unit_that_fits);
	tcase_add_test(tc, no_size_is_printed_as_1024_of_a_unit);
	tcase_add_test(tc, both_ends_of_a_range_have_the_unit_of_its_high_end);
	tcase_add_test(tc, durations_have_at_most_two_units);
	tcase_add_test(tc, times_are_utc_whatever_the_zone);
	suite_add_tcase(s, tc);
	return s;
}

TAP_MAIN(suite)
