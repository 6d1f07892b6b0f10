/* demangle: what people wrote, from what compilers made of it; and bounds. */
#include <stdio.h>
#include <string.h>
#include "symbolizer/demangle.h"
#include "support/tap_main.h"

static void assert_name(const char *symbol, const char *expected)
{
	char text[512];
	size_t size = demangle_name(symbol, text, sizeof(text));
	ck_assert_str_eq(text, expected);
	ck_assert_uint_eq(size, strlen(text));
}

START_TEST(c_names_stay_as_they_are)
{
	assert_name("malloc", "malloc");
	assert_name("_start", "_start");
	assert_name("_Z", "_Z");
	assert_name("_R", "_R");
	assert_name("_ZNot_a_mangled_name", "_ZNot_a_mangled_name");
	assert_name("", "");
}
END_TEST

START_TEST(symbol_versions_are_left_out)
{
	assert_name("memcpy@@GLIBC_2.14", "memcpy");
	assert_name("_Znwm@GLIBCXX_3.4", "operator new(unsigned long)");
}
END_TEST

START_TEST(cxx_names_get_their_parameters)
{
	assert_name("_Z3foov", "foo()");
	assert_name("_ZN3foo3barEiPKc", "foo::bar(int, char const*)");
	assert_name("_ZNSt6vectorIiSaIiEE9push_backERKi",
		"std::vector<int, std::allocator<int> >::push_back(int const&)");
	assert_name("_Z3foov.part.0", "foo() [clone .part.0]");
	assert_name("_ZNK3abc3defEv", "abc::def() const");
}
END_TEST

START_TEST(older_rust_names_lose_their_hash)
{
	assert_name("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE", "core::fmt::Formatter::pad");
	assert_name("_ZN4core3fmt9Formatter3pad17h0123456789abcdefE.llvm.123456",
		"core::fmt::Formatter::pad");
	assert_name("_ZN71_$LT$Test$u20$$u2b$$u20$$u27$static$u20$as$u20$foo..Bar$LT$Test$GT$$GT$"
		    "3bar17h930b740aa94f1d3aE",
		"<Test + 'static as foo::Bar<Test>>::bar");
}
END_TEST

START_TEST(newer_rust_names_are_read)
{
	assert_name("_RNvCs1234_7mycrate3foo", "mycrate::foo");
	assert_name("_RNvNtCs1234_7mycrate3foo3bar", "mycrate::foo::bar");
	assert_name("_RINvCs1234_7mycrate3foopE", "mycrate::foo::<_>");
}
END_TEST

START_TEST(a_long_name_is_cut_to_the_room)
{
	char text[8];
	ck_assert_uint_eq(demangle_name("a_name_too_long", text, sizeof(text)), 7);
	ck_assert_str_eq(text, "a_name_");
	ck_assert_uint_eq(demangle_name("_ZN3foo3barEi", text, sizeof(text)), 7);
	ck_assert_str_eq(text, "foo::ba");
	ck_assert_uint_eq(demangle_name("malloc", text, 1), 0);
	ck_assert_str_eq(text, "");
	ck_assert_uint_eq(demangle_name("malloc", text, 0), 0);
}
END_TEST

START_TEST(a_cut_leaves_whole_characters)
{
	char text[8];
	demangle_name("abcde\xc3\xa9zzz", text, sizeof(text)); /* ends right after the character */
	ck_assert_str_eq(text, "abcde\xc3\xa9");
	demangle_name("abcdef\xc3\xa9zzz", text, sizeof(text));
	ck_assert_str_eq(text, "abcdef");
	demangle_name("abcd\xf0\x9f\x98\x80zzz", text, sizeof(text));
	ck_assert_str_eq(text, "abcd");
}
END_TEST

/* f(a, p<a, a>, p<p<a, a>, p<a, a>>, ...): each parameter is twice the one before, 2^30 times "a"
 * in all. */
START_TEST(a_name_that_stands_for_gigabytes_costs_its_room)
{
	static const char digits[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
	char symbol[1024] = "_Z1f1a1pIS_S_E", text[512];
	for (int i = 1; i <= 30; i++)
		sprintf(symbol + strlen(symbol), "S0_IS%c_S%c_E", digits[i], digits[i]);
	ck_assert_uint_eq(demangle_name(symbol, text, sizeof(text)), sizeof(text) - 1);
	ck_assert_int_eq(strncmp(text, "f(a, p<a, a>, p<p<a, a>, p<a, a> >, ", 36), 0);
}
END_TEST

START_TEST(deep_nesting_does_not_exhaust_the_stack)
{
	static char symbol[200000], text[512];
	memset(symbol, 'P', sizeof(symbol) - 1);
	memcpy(symbol, "_Z1f", 4);
	ck_assert_uint_eq(demangle_name(symbol, text, sizeof(text)), sizeof(text) - 1);
	symbol[8000] = '\0';
	ck_assert_uint_eq(demangle_name(symbol, text, sizeof(text)), sizeof(text) - 1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("demangle");
	TCase *t = tcase_create("demangle");
	tcase_add_test(t, c_names_stay_as_they_are);
	tcase_add_test(t, symbol_versions_are_left_out);
	tcase_add_test(t, cxx_names_get_their_parameters);
	tcase_add_test(t, older_rust_names_lose_their_hash);
	tcase_add_test(t, newer_rust_names_are_read);
	tcase_add_test(t, a_long_name_is_cut_to_the_room);
	tcase_add_test(t, a_cut_leaves_whole_characters);
	tcase_add_test(t, a_name_that_stands_for_gigabytes_costs_its_room);
	tcase_add_test(t, deep_nesting_does_not_exhaust_the_stack);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
