#include "config.h"
#include "ctl/json.h"

#include <math.h>
#include <stdlib.h>

#include "support/tap_main.h"

static char *text;
static size_t text_size;
static struct json json;

static void start(void)
{
	json_init(&json, open_memstream(&text, &text_size));
}

static const char *finish(void)
{
	fclose(json.stream);
	return text;
}

static void teardown(void)
{
	free(text);
}

START_TEST(objects_and_arrays_nest_with_commas_between)
{
	json_object(&json, NULL);
	json_array(&json, "a");
	json_integer(&json, NULL, 1);
	json_bool(&json, NULL, true);
	json_object(&json, NULL);
	json_end_object(&json);
	json_end_array(&json);
	json_string(&json, "b", "x");
	json_end_object(&json);
	ck_assert_str_eq(
		finish(), "{\n  \"a\": [\n    1,\n    true,\n    {}\n  ],\n  \"b\": \"x\"\n}\n");
}
END_TEST

START_TEST(strings_are_escaped)
{
	json_array(&json, NULL);
	json_string(&json, NULL, "q\" b\\ t\t e\x1b d\x7f ü€😀");
	json_end_array(&json);
	ck_assert_str_eq(finish(), "[\n  \"q\\\" b\\\\ t\\u0009 e\\u001b d\\u007f ü€😀\"\n]\n");
}
END_TEST

START_TEST(bytes_that_are_not_utf8_are_replaced_one_by_one)
{
	/* alone, cut short, overlong, a surrogate, beyond U+10FFFF */
	static const char *const bad[] = {
		"\x80", "\xc3", "\xe2\x82", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80"};
	static const unsigned replacements[] = {1, 1, 2, 2, 3, 4};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char expected[64] = "[\n  \"";
		for (unsigned j = 0; j < replacements[i]; j++)
			strcat(expected, "\\ufffd");
		strcat(expected, "\"\n]\n");
		finish();
		free(text);
		start();
		json_array(&json, NULL);
		json_string(&json, NULL, bad[i]);
		json_end_array(&json);
		fflush(json.stream);
		ck_assert_str_eq(text, expected);
	}
	finish();
}
END_TEST

START_TEST(numbers_that_json_cannot_say_are_null)
{
	json_array(&json, NULL);
	json_number(&json, NULL, NAN);
	json_number(&json, NULL, -INFINITY);
	json_number(&json, NULL, 0.5);
	json_number(&json, NULL, 12345678901234.0);
	json_integer(&json, NULL, UINT64_MAX);
	json_end_array(&json);
	ck_assert_str_eq(finish(),
		"[\n  null,\n  null,\n  0.5,\n  12345678901234,\n  18446744073709551615\n]\n");
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("clients/ctl/json");
	TCase *tcase = tcase_create("json");
	tcase_add_checked_fixture(tcase, start, teardown);
	tcase_add_test(tcase, objects_and_arrays_nest_with_commas_between);
	tcase_add_test(tcase, strings_are_escaped);
	tcase_add_test(tcase, bytes_that_are_not_utf8_are_replaced_one_by_one);
	tcase_add_test(tcase, numbers_that_json_cannot_say_are_null);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(suite)
