#include "export/utf8.h"
#include <string.h>
#include "base/buffer.h"
#include "support/tap_main.h"

static void check(
	void (*append)(struct buffer *, const char *), const char *in, const char *expected)
{
	struct buffer out = BUFFER_INIT;
	append(&out, in);
	buffer_putc(&out, '\0');
	ck_assert_str_eq((const char *)out.data, expected);
	buffer_deinit(&out);
}

START_TEST(every_code_point_survives_encoding_and_decoding)
{
	struct buffer text = BUFFER_INIT;
	for (uint32_t c = 1; c <= 0x10ffff; c++) {
		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		buffer_clear(&text);
		utf8_append(&text, c);
		buffer_putc(&text, '\0');
		const char *at = (const char *)text.data;
		if (utf8_next(&at) != c || at != (const char *)text.data + text.size - 1 ||
			utf8_next(&at) != 0)
			ck_abort_msg("U+%04X", c);
	}
	buffer_deinit(&text);
}
END_TEST

START_TEST(each_maximal_ill_formed_part_becomes_one_replacement)
{
	/* the rows of table 3-8 of the Unicode standard, and its neighbours */
	check(utf8_append_shown,
		"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82"
		"A",
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
		"\xbd\xef\xbf\xbd"
		"A");
	check(utf8_append_shown,
		"\xed\xa0\x80\xed\xbf\xbf\xed\xaf"
		"A",
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf"
		"\xbd\xef\xbf\xbd"
		"A");
	check(utf8_append_shown,
		"\xf4\x91\x92\x93\xff"
		"A\x80\xbf"
		"B",
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		"A\xef\xbf\xbd\xef\xbf\xbd"
		"B");
	check(utf8_append_shown,
		"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf"
		"A",
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
		"A");
	check(utf8_append_shown, "\xf0\x9f\x90", "\xef\xbf\xbd");
}
END_TEST

START_TEST(controls_are_never_shown)
{
	check(utf8_append_shown, "a\033[31m\n\r\t\x7f", "a?[31m????");
	check(utf8_append_shown,
		"\xc2\x9b"
		"31m\xe2\x80\xae\xe2\x81\xa6\xe2\x80\xa8",
		"?31m???");
	check(utf8_append_ascii,
		"a\033[31m\n\x7f"
		"b",
		"a\\x1b[31m\\x0a\\x7fb");
	check(utf8_append_ascii, "\xc2\x9b\xe2\x80\xae\xc3\xb6", "\\u{9b}\\u{202e}\\u{f6}");
}
END_TEST

START_TEST(harmless_text_is_left_alone)
{
	check(utf8_append_shown,
		"gr\xc3\xb6\xc3\x9f"
		"e \xf0\x9f\x90\x98 ~!",
		"gr\xc3\xb6\xc3\x9f"
		"e \xf0\x9f\x90\x98 ~!");
	check(utf8_append_ascii, "std::map<int, char>::operator[] ~!",
		"std::map<int, char>::operator[] ~!");
	check(utf8_append_ascii, "", "");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("utf8");
	TCase *tc = tcase_create("utf8");
	tcase_add_test(tc, every_code_point_survives_encoding_and_decoding);
	tcase_add_test(tc, each_maximal_ill_formed_part_becomes_one_replacement);
	tcase_add_test(tc, controls_are_never_shown);
	tcase_add_test(tc, harmless_text_is_left_alone);
	suite_add_tcase(s, tc);
	return s;
}

TAP_MAIN(suite)
