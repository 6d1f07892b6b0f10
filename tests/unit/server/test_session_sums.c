#include "server/session_sums.h"
#include "model/heap_model.h"
#include "support/tap_main.h"

static struct heap_birth birth_of(uint64_t id)
{
	return (struct heap_birth){
		.id = id, .size_bytes = 1000 * id, .interval_bytes = 16, .time_ns = 1, .stack = 1};
}

static struct heap_model *model_of_one(uint64_t id)
{
	struct heap_limits limits = {.max_live = 100, .max_deaths = 100};
	struct heap_birth birth = birth_of(id);
	struct heap_model *model;
	ck_assert_int_eq(heap_model_new(&model, &limits), 0);
	heap_model_live(model, &birth, 1);
	return model;
}

START_TEST(another_heap_of_as_many_births_and_deaths_is_added_up_anew)
{
	struct heap_model *model = model_of_one(1);
	struct heap_birth gone, other = birth_of(7);
	struct session_sums sums = {0};
	session_sums_update(&sums, model, 10, 0);
	ck_assert_double_eq_tol(sums.live.bytes, 1000, 1);
	ck_assert(heap_model_take_back(model, 1, 1, &gone));
	heap_model_birth(model, &other);
	session_sums_update(&sums, model, 20, 0);
	ck_assert_double_eq_tol(sums.live.bytes, 7000, 1);
	ck_assert_double_eq_tol(sums.cumulative.bytes, 7000, 1);
	heap_model_free(model);
}
END_TEST

START_TEST(sums_younger_than_the_caller_asks_for_are_told_again)
{
	struct heap_model *model = model_of_one(1);
	struct session_sums sums = {0};
	session_sums_update(&sums, model, 10, 5);
	heap_model_death(model, 1, 0);
	session_sums_update(&sums, model, 14, 5);
	ck_assert_uint_eq(sums.live.samples, 1);
	session_sums_update(&sums, model, 15, 5);
	ck_assert_uint_eq(sums.live.samples, 0);
	heap_model_free(model);
}
END_TEST

START_TEST(an_unchanged_heap_is_not_added_up_again_however_old_the_sums_are)
{
	struct heap_model *model = model_of_one(1);
	struct session_sums sums = {0};
	session_sums_update(&sums, model, 10, 0);
	session_sums_update(&sums, model, 1000, 0);
	ck_assert_uint_eq(sums.at_ns, 10);
	heap_model_free(model);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session_sums");
	TCase *t = tcase_create("session_sums");
	tcase_add_test(t, another_heap_of_as_many_births_and_deaths_is_added_up_anew);
	tcase_add_test(t, sums_younger_than_the_caller_asks_for_are_told_again);
	tcase_add_test(t, an_unchanged_heap_is_not_added_up_again_however_old_the_sums_are);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
