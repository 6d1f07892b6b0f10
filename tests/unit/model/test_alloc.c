#include "base/alloc.h"
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include "support/tap_main.h"

START_TEST(zeroed_memory_is_zero_and_strdup_copies)
{
	_cleanup_free_ unsigned char *p = alloc_zeroed(100, 3);
	for (int i = 0; i < 300; i++)
		ck_assert_uint_eq(p[i], 0);
	const char *original = "heap";
	_cleanup_free_ char *copy = alloc_strdup(original);
	ck_assert_ptr_ne(copy, original);
	ck_assert_str_eq(copy, original);
}
END_TEST

START_TEST(zero_bytes_still_yield_a_pointer)
{
	_cleanup_free_ void *zeroed = alloc_zeroed(0, 8);
	_cleanup_free_ void *resized = alloc_resize(NULL, 0, 8);
	ck_assert_ptr_nonnull(zeroed);
	ck_assert_ptr_nonnull(resized);
}
END_TEST

START_TEST(what_grows_has_room_for_one_more_and_doubles)
{
	_cleanup_free_ uint64_t *items = NULL;
	uint32_t room = 0, grown = 0;
	for (uint32_t count = 0; count < 1000; count++) {
		uint32_t before = room;
		ALLOC_GROW(items, room, count);
		ck_assert_uint_gt(room, count);
		grown += room != before;
		items[count] = count;
	}
	for (uint32_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(items[i], i);
	ck_assert_uint_eq(room, 1024);
	ck_assert_uint_eq(grown, 7);
}
END_TEST

static char *make(void)
{
	_cleanup_free_ char *s = alloc_strdup("kept");
	return TAKE(s);
}

START_TEST(take_hands_over_what_cleanup_would_have_freed)
{
	_cleanup_free_ char *s = make();
	ck_assert_str_eq(s, "kept");
}
END_TEST

START_TEST(an_impossible_size_ends_the_process)
{
	alloc_resize(NULL, SIZE_MAX / 2, 4);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("alloc");
	TCase *t = tcase_create("alloc");
	tcase_add_test(t, zeroed_memory_is_zero_and_strdup_copies);
	tcase_add_test(t, zero_bytes_still_yield_a_pointer);
	tcase_add_test(t, what_grows_has_room_for_one_more_and_doubles);
	tcase_add_test(t, take_hands_over_what_cleanup_would_have_freed);
	tcase_add_test_raise_signal(t, an_impossible_size_ends_the_process, SIGABRT);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
