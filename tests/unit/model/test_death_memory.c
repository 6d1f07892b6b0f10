#include "model/death_memory.h"
#include "support/tap_main.h"

static bool add(struct death_memory *memory, uint64_t id)
{
	return death_memory_add(memory, &(const struct death){.id = id, .time_ns = id * 2});
}

START_TEST(a_death_is_found_for_two_rounds)
{
	struct death_memory memory = {.max = 10};
	ck_assert(add(&memory, 7));
	ck_assert_uint_eq(death_memory_end_round(&memory), 0);
	ck_assert_uint_eq(death_memory_find(&memory, 7)->time_ns, 14);
	ck_assert_ptr_null(death_memory_find(&memory, 8));
	death_memory_end_round(&memory);
	ck_assert_ptr_null(death_memory_find(&memory, 7));
	death_memory_deinit(&memory);
}
END_TEST

START_TEST(what_is_forgotten_unborn_and_not_taken_back_is_told)
{
	struct death_memory memory = {.max = 10};
	for (uint64_t id = 1; id <= 5; id++)
		ck_assert(add(&memory, id));
	death_memory_find(&memory, 2)->born = true;
	death_memory_find(&memory, 4)->taken_back = true;
	ck_assert_uint_eq(death_memory_end_round(&memory), 0);
	ck_assert_uint_eq(death_memory_end_round(&memory), 3);
	ck_assert_uint_eq(death_memory_end_round(&memory), 0);
	death_memory_deinit(&memory);
}
END_TEST

START_TEST(the_bound_is_of_both_rounds)
{
	struct death_memory memory = {.max = 3};
	ck_assert(add(&memory, 1) && add(&memory, 2));
	death_memory_end_round(&memory);
	ck_assert(add(&memory, 3));
	ck_assert(!add(&memory, 4));
	death_memory_end_round(&memory);
	ck_assert(add(&memory, 4) && add(&memory, 5));
	death_memory_deinit(&memory);
}
END_TEST

START_TEST(memory_of_a_flood_is_given_back_by_and_by)
{
	struct death_memory memory = {.max = 1u << 20};
	for (uint64_t id = 1; id <= 10000; id++)
		ck_assert(add(&memory, id));
	size_t flooded = death_memory_bytes(&memory);
	for (int round = 0; round < 40; round++)
		death_memory_end_round(&memory);
	ck_assert_uint_lt(memory.this_round.capacity + memory.last_round.capacity, 64);
	ck_assert_uint_lt(death_memory_bytes(&memory), flooded);
	death_memory_deinit(&memory);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("death_memory");
	TCase *t = tcase_create("death_memory");
	tcase_add_test(t, a_death_is_found_for_two_rounds);
	tcase_add_test(t, what_is_forgotten_unborn_and_not_taken_back_is_told);
	tcase_add_test(t, the_bound_is_of_both_rounds);
	tcase_add_test(t, memory_of_a_flood_is_given_back_by_and_by);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
