/* unicode: strings of each kind as UTF-8, whole and cut. */
#include <string.h>
#include "python/unicode.h"
#include "support/fake_code.h"
#include "support/tap_main.h"

static struct fake_string string;
static struct layout layout;

static void setup(void)
{
	layout = fake_layout();
	memset(&string, 0, sizeof string);
}

static struct unicode taken(const void *characters, uint64_t length, uint8_t kind)
{
	struct unicode text;

	fake_string_set(&string, characters, length, kind);
	ck_assert(unicode_of(&layout, (const char *)&string, &text));
	ck_assert_uint_eq(text.length, length);
	return text;
}

static void assert_encodes(const struct unicode *text, const char *expected)
{
	uint8_t out[64] = {0};
	uint32_t bytes;

	ck_assert_uint_eq(unicode_head(text, sizeof out, &bytes), text->length);
	ck_assert_uint_eq(bytes, strlen(expected));
	unicode_encode(text, 0, text->length, out);
	ck_assert_str_eq((const char *)out, expected);
}

START_TEST(each_kind_is_encoded)
{
	static const uint8_t latin[] = {'n', 0xe9, 0xff};
	static const uint16_t two[] = {'a', 0xe9, 0x4e2d, 0x7ff, 0x800};
	static const uint32_t four[] = {'a', 0x1f600, 0x10ffff, 0xffff};
	struct unicode text = taken("plain", 5, 1);

	assert_encodes(&text, "plain");
	text = taken(latin, 3, 1);
	assert_encodes(&text, "n\xc3\xa9\xc3\xbf");
	text = taken(two, 5, 2);
	assert_encodes(&text, "a\xc3\xa9\xe4\xb8\xad\xdf\xbf\xe0\xa0\x80");
	text = taken(four, 4, 4);
	assert_encodes(&text, "a\xf0\x9f\x98\x80\xf4\x8f\xbf\xbf\xef\xbf\xbf");
}
END_TEST

START_TEST(what_is_no_character_is_replaced)
{
	static const uint16_t surrogates[] = {0xdc80, 'x', 0xd83d};
	static const uint32_t beyond[] = {0x110000, 0xffffffff};
	struct unicode text = taken(surrogates, 3, 2);

	assert_encodes(&text, "\xef\xbf\xbdx\xef\xbf\xbd");
	text = taken(beyond, 2, 4);
	assert_encodes(&text, "\xef\xbf\xbd\xef\xbf\xbd");
}
END_TEST

START_TEST(a_cut_is_between_characters)
{
	static const uint16_t two[] = {'a', 0x4e2d, 'b', 0x4e2d, 'c'};
	static const unsigned heads[] = {0, 1, 1, 1, 2, 3, 3, 3, 4, 5};
	static const unsigned tails[] = {0, 1, 1, 1, 2, 3, 3, 3, 4, 5};
	struct unicode text = taken(two, 5, 2);

	for (uint32_t max = 0; max < 10; max++) {
		uint32_t bytes;

		ck_assert_uint_eq(unicode_head(&text, max, &bytes), heads[max]);
		ck_assert_uint_le(bytes, max);
		ck_assert_uint_eq(unicode_tail(&text, max, &bytes), tails[max]);
		ck_assert_uint_le(bytes, max);
	}
}
END_TEST

START_TEST(a_string_of_another_form_is_empty)
{
	struct unicode text;
	uint32_t bytes;

	fake_string_set(&string, "old", 3, 1);
	string.state &= ~(1u << 5);
	ck_assert(!unicode_of(&layout, (const char *)&string, &text));
	ck_assert_uint_eq(unicode_head(&text, 100, &bytes), 0);
	fake_string_set(&string, "wide", 4, 1);
	string.state = string.state & ~(7u << 2);
	ck_assert(!unicode_of(&layout, (const char *)&string, &text));
	fake_string_set(&string, "endless", 7, 1);
	string.length = UINT64_MAX;
	ck_assert(!unicode_of(&layout, (const char *)&string, &text));
	ck_assert_uint_eq(unicode_tail(&text, 100, &bytes), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("unicode");
	TCase *t = tcase_create("unicode");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, each_kind_is_encoded);
	tcase_add_test(t, what_is_no_character_is_replaced);
	tcase_add_test(t, a_cut_is_between_characters);
	tcase_add_test(t, a_string_of_another_form_is_empty);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
