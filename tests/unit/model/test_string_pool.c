#include "base/string_pool.h"
#include <stdio.h>
#include <string.h>
#include "support/tap_main.h"

static struct string_pool *pool;

static void setup(void)
{
	ck_assert_int_eq(string_pool_new(&pool), 0);
}

static void teardown(void)
{
	pool = string_pool_free(pool);
	ck_assert_ptr_null(pool);
}

START_TEST(equal_bytes_give_the_same_pointer)
{
	char other[] = "main.c";
	const char *first = string_pool_add(pool, "main.c", 6);
	ck_assert_ptr_ne(first, other);
	ck_assert_ptr_eq(first, string_pool_add(pool, other, 6));
	ck_assert_str_eq(first, "main.c");
	ck_assert_ptr_ne(first, string_pool_add(pool, "main.cc", 7));
	ck_assert_str_eq(string_pool_add(pool, "main.cc", 4), "main");
}
END_TEST

START_TEST(an_embedded_nul_ends_the_string)
{
	ck_assert_str_eq(string_pool_add(pool, "ab\0cd", 5), "ab");
	ck_assert_ptr_eq(string_pool_add(pool, "ab\0cd", 5), string_pool_add(pool, "ab", 2));
	ck_assert_str_eq(string_pool_add(pool, "\0", 1), "");
	ck_assert_ptr_eq(string_pool_add(pool, "", 0), string_pool_add(pool, NULL, 0));
}
END_TEST

START_TEST(pointers_and_contents_stay_while_the_pool_grows)
{
	static const char *strings[20000];
	char text[32];
	for (int i = 0; i < 20000; i++) {
		int size = snprintf(text, sizeof(text), "function_%d", i);
		strings[i] = string_pool_add(pool, text, (size_t)size);
	}
	size_t bytes = string_pool_bytes(pool);
	for (int i = 0; i < 20000; i++) {
		int size = snprintf(text, sizeof(text), "function_%d", i);
		ck_assert_str_eq(strings[i], text);
		ck_assert_ptr_eq(strings[i], string_pool_add(pool, text, (size_t)size));
	}
	ck_assert_uint_eq(string_pool_bytes(pool), bytes);
	ck_assert_uint_ge(bytes, 20000 * 10);
	ck_assert_uint_le(bytes, 20000 * 64);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("string_pool");
	TCase *t = tcase_create("string_pool");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, equal_bytes_give_the_same_pointer);
	tcase_add_test(t, an_embedded_nul_ends_the_string);
	tcase_add_test(t, pointers_and_contents_stay_while_the_pool_grows);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
