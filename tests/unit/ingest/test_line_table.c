/* What CPython itself makes of its tables is in line_tables.txt; what it never writes is made up here. */
#include "config.h"
#include <stdlib.h>
#include <string.h>
#include "ingest/line_table.h"
#include "line_samples.h"
#include "spprof/wire/definitions.h"
#include "support/random.h"
#include "support/tap_main.h"

#define MOST 64

static struct line_range ranges[MOST];
static unsigned count;

static void decode(uint8_t form, bool cut, int32_t first, const void *bytes, size_t size)
{
	struct line_table table;
	line_table_init(&table, form, cut, first, bytes, size);
	for (count = 0; count < MOST && line_table_next(&table, &ranges[count]); count++)
		;
}

static void check_range(unsigned number, uint32_t unit, uint32_t line)
{
	ck_assert_uint_lt(number, count);
	ck_assert_uint_eq(ranges[number].unit, unit);
	ck_assert_uint_eq(ranges[number].line, line);
}

START_TEST(every_instruction_has_the_line_that_cpython_says)
{
	char path[4096];
	const char *source = getenv("SRCDIR");
	struct line_samples samples;
	snprintf(path, sizeof path, "%s/tests/unit/ingest/line_tables.txt", source ? source : ".");
	FILE *file = fopen(path, "r");
	ck_assert_msg(file != NULL, "cannot open %s", path);
	line_samples_compare(file, &samples);
	fclose(file);
	ck_assert_msg(samples.wrong == 0, "%s", samples.first_wrong);
	ck_assert_uint_ge(samples.codes, 50);
}
END_TEST

START_TEST(a_table_without_entries_has_the_first_line_or_none)
{
	decode(WIRE_CODE_LNOTAB, false, 7, "", 0);
	ck_assert_uint_eq(count, 1);
	check_range(0, 0, 7);
	decode(WIRE_CODE_LINETABLE, false, 7, "", 0);
	ck_assert_uint_eq(count, 1);
	check_range(0, 0, LINE_TABLE_NONE);
	decode(WIRE_CODE_LOCATIONS, false, 7, "", 0);
	ck_assert_uint_eq(count, 1);
	check_range(0, 0, LINE_TABLE_NONE);
}
END_TEST

START_TEST(a_form_that_is_not_known_has_no_lines)
{
	decode(0, false, 7, "\x04\x01", 2);
	ck_assert_uint_eq(count, 1);
	check_range(0, 0, LINE_TABLE_NONE);
	decode(200, false, 7, "\x04\x01", 2);
	ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(behind_the_last_entry_of_a_cut_table_there_is_no_line)
{
	decode(WIRE_CODE_LNOTAB, true, 7, "\x04\x01", 2);
	ck_assert_uint_eq(count, 2);
	check_range(0, 0, 7);
	check_range(1, 2, LINE_TABLE_NONE);
	decode(WIRE_CODE_LINETABLE, true, 7, "\x04\x01\x06", 3);
	ck_assert_uint_eq(count, 2);
	check_range(0, 0, 8);
	check_range(1, 2, LINE_TABLE_NONE);
	/* NO_COLUMNS, two units, + 1; the same, but its line goes on in what is missing */
	decode(WIRE_CODE_LOCATIONS, true, 7, "\xe9\x02\xe9\x42", 4);
	ck_assert_uint_eq(count, 3);
	check_range(0, 0, 8);
	check_range(1, 2, LINE_TABLE_NONE);
	check_range(2, 4, LINE_TABLE_NONE);
}
END_TEST

START_TEST(half_an_entry_is_none)
{
	decode(WIRE_CODE_LNOTAB, false, 7, "\x04\x01\x04", 3);
	ck_assert_uint_eq(count, 2);
	check_range(1, 2, 8);
	decode(WIRE_CODE_LINETABLE, false, 7, "\x04\x01\x04", 3);
	ck_assert_uint_eq(count, 2);
	check_range(1, 2, LINE_TABLE_NONE);
	/* bytes that begin no entry */
	decode(WIRE_CODE_LOCATIONS, false, 7, "\x01\x02\x03", 3);
	ck_assert_uint_eq(count, 1);
	check_range(0, 0, LINE_TABLE_NONE);
}
END_TEST

START_TEST(lines_beyond_what_a_line_can_be_are_none)
{
	/* LONG, one unit, by 2^31 - 1 lines */
	static const uint8_t far[] = {0xf0, 0x7e, 0x7f, 0x7f, 0x7f, 0x7f, 0x03, 0, 0, 0};
	decode(WIRE_CODE_LOCATIONS, false, INT32_MAX, far, sizeof far);
	check_range(0, 0, LINE_TABLE_NONE);
	decode(WIRE_CODE_LNOTAB, false, 3, "\x02\xfd", 2);
	check_range(0, 0, 3);
	check_range(1, 1, LINE_TABLE_NONE);
	decode(WIRE_CODE_LNOTAB, false, INT32_MIN, "\x02\x80", 2);
	check_range(1, 1, LINE_TABLE_NONE);
}
END_TEST

START_TEST(any_bytes_end_and_go_forward)
{
	struct random random = {1};
	for (int i = 0; i < 20000; i++) {
		uint8_t bytes[40];
		size_t size = random_next(&random) % (sizeof bytes + 1);
		for (size_t k = 0; k < size; k++)
			bytes[k] = (uint8_t)random_next(&random);
		decode((uint8_t)(i % 5), i & 8, (int32_t)random_next(&random), bytes, size);
		ck_assert_uint_ge(count, 1);
		ck_assert_uint_le(count, size + 1);
		for (unsigned k = 1; k < count; k++)
			ck_assert_uint_ge(ranges[k].unit, ranges[k - 1].unit);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("line_table");
	TCase *tc = tcase_create("line_table");
	tcase_add_test(tc, every_instruction_has_the_line_that_cpython_says);
	tcase_add_test(tc, a_table_without_entries_has_the_first_line_or_none);
	tcase_add_test(tc, a_form_that_is_not_known_has_no_lines);
	tcase_add_test(tc, behind_the_last_entry_of_a_cut_table_there_is_no_line);
	tcase_add_test(tc, half_an_entry_is_none);
	tcase_add_test(tc, lines_beyond_what_a_line_can_be_are_none);
	tcase_add_test(tc, any_bytes_end_and_go_forward);
	suite_add_tcase(s, tc);
	return s;
}

TAP_MAIN(suite)
