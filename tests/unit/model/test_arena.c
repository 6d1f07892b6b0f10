#include "base/arena.h"
#include <stdint.h>
#include <string.h>
#include "support/tap_main.h"

START_TEST(bytes_keep_their_place_and_content)
{
	struct arena arena = ARENA_INIT;
	uint8_t *taken[3000];
	for (size_t i = 0; i < 3000; i++) {
		taken[i] = arena_take(&arena, 1 + i % 97);
		ck_assert_uint_eq((uintptr_t)taken[i] % 8, 0);
		memset(taken[i], (int)(i % 251), 1 + i % 97);
	}
	for (size_t i = 0; i < 3000; i++)
		for (size_t k = 0; k < 1 + i % 97; k++)
			ck_assert_uint_eq(taken[i][k], i % 251);
	arena_deinit(&arena);
}
END_TEST

START_TEST(the_announced_cost_is_the_cost)
{
	struct arena arena = ARENA_INIT;
	const size_t sizes[] = {1, 8, 1000, 5, 70000, 3, 300000, 64};
	for (size_t i = 0; i < 8 * 50; i++) {
		size_t announced = arena_bytes_after(&arena, sizes[i % 8]);
		arena_take(&arena, sizes[i % 8]);
		ck_assert_uint_eq(arena.bytes, announced);
	}
	ck_assert_uint_eq(arena_bytes_after(&arena, SIZE_MAX), SIZE_MAX);
	arena_deinit(&arena);
	ck_assert_uint_eq(arena.bytes, 0);
}
END_TEST

START_TEST(small_takes_cost_little_more_than_their_bytes)
{
	struct arena arena = ARENA_INIT;
	for (int i = 0; i < 100000; i++)
		arena_take(&arena, 24);
	ck_assert_uint_le(arena.bytes, 100000 * 24 * 11 / 10);
	arena_deinit(&arena);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("arena");
	TCase *t = tcase_create("arena");
	tcase_add_test(t, bytes_keep_their_place_and_content);
	tcase_add_test(t, the_announced_cost_is_the_cost);
	tcase_add_test(t, small_takes_cost_little_more_than_their_bytes);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
