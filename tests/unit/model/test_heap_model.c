#include <errno.h>
#include <string.h>
#include "heap_fixture.h"
#include "support/random.h"

static uint64_t it_grew(const struct heap_model *model, uint64_t before)
{
	ck_assert_uint_gt(heap_model_changes(model), before);
	return heap_model_changes(model);
}

START_TEST(a_birth_lives_until_its_death)
{
	struct heap_model *model = new_model(&roomy);
	give_birth(model, 1);
	give_birth(model, 2);
	ck_assert_uint_eq(totals_of(model).live, 2);
	ck_assert_uint_eq(totals_of(model).digest, wire_digest(1) + wire_digest(2));
	heap_model_death(model, 1, 0);
	ck_assert_uint_eq(totals_of(model).live, 1);
	ck_assert_uint_eq(totals_of(model).digest, wire_digest(2));
	ck_assert_uint_eq(totals_of(model).births, 2);
	ck_assert_uint_eq(totals_of(model).deaths, 1);
	heap_model_free(model);
}
END_TEST

START_TEST(a_death_before_its_birth_counts_as_born_and_died)
{
	struct heap_model *model = new_model(&roomy);
	heap_model_death(model, 7, 2000000);
	heap_model_end_round(model);
	give_birth(model, 7); /* the end of the next round is still to come */
	struct heap_totals totals = totals_of(model);
	ck_assert_uint_eq(totals.live, 0);
	ck_assert_uint_eq(totals.births, 1);
	ck_assert_uint_eq(totals.deaths, 1);
	ck_assert_uint_eq(totals.digest, 0);
	struct estimate_sum live[50], cumulative[50];
	heap_model_sums(model, live, cumulative, 50);
	ck_assert_uint_eq(live[7].samples, 0);
	ck_assert_uint_eq(cumulative[7].samples, 1);
	heap_model_end_round(model);
	heap_model_end_round(model);
	ck_assert_uint_eq(totals_of(model).unknown_deaths, 0);
	heap_model_free(model);
}
END_TEST

START_TEST(two_heaps_whose_sums_differ_have_not_the_same_number_of_changes)
{
	struct heap_limits limits = {.max_live = 2, .max_deaths = 100};
	struct heap_model *model = new_model(&limits);
	struct heap_birth birth, other = birth_of(9);
	uint64_t before = heap_model_changes(model);
	give_birth(model, 1);
	before = it_grew(model, before);
	heap_model_live(model, &other, 1);
	before = it_grew(model, before);
	give_birth(model, 2); /* folds */
	before = it_grew(model, before);
	ck_assert(heap_model_take_back(model, 9, 1, &birth));
	before = it_grew(model, before);
	birth = birth_of(2);
	heap_model_unfold(model, &birth);
	before = it_grew(model, before);
	heap_model_death(model, 1, 0);
	before = it_grew(model, before);
	other = birth_of(10);
	heap_model_found(model, &other, true);
	before = it_grew(model, before);
	heap_model_request(model, 2);
	ck_assert_uint_eq(heap_model_sweep(model, false), 2);
	it_grew(model, before);
	heap_model_free(model);
}
END_TEST

START_TEST(what_changes_no_sum_is_no_change)
{
	struct heap_model *model = new_model(&roomy);
	give_birth(model, 1);
	uint64_t before = heap_model_changes(model);
	give_birth(model, 1);
	heap_model_request(model, 1);
	ck_assert(heap_model_name(model, 1, 1));
	ck_assert_uint_eq(heap_model_sweep(model, false), 0);
	heap_model_death(model, 5, 0);
	heap_model_end_round(model);
	ck_assert(!heap_model_tidy(model));
	ck_assert_uint_eq(heap_model_changes(model), before);
	heap_model_free(model);
}
END_TEST

static bool is_odd(const struct heap_birth *entry, void *asked)
{
	(*(uint32_t *)asked)++;
	return entry->id % 2 == 1;
}

START_TEST(what_does_not_count_is_in_no_sum_unless_its_birth_told_of_it)
{
	struct heap_model *model = new_model(&roomy);
	struct estimate_sum live[50], cumulative[50];
	uint32_t asked = 0;
	give_birth(model, 1);
	give_birth(model, 2);
	heap_model_request(model, 1);
	for (uint64_t id = 3; id <= 6; id++) {
		struct heap_birth birth = birth_of(id);
		heap_model_live(model, &birth, 1);
	}
	heap_model_death(model, 6, 0);
	heap_model_sums_of(model, is_odd, &asked, live, cumulative, 50);
	ck_assert_uint_eq(asked, 5);
	for (uint64_t id = 1; id <= 5; id++)
		ck_assert_uint_eq(live[id].samples, id % 2);
	ck_assert_uint_eq(cumulative[2].samples, 1);
	ck_assert_uint_eq(cumulative[3].samples, 1);
	ck_assert_uint_eq(cumulative[4].samples, 0);
	ck_assert_uint_eq(cumulative[6].samples, 1); /* dead: nobody is asked */
	heap_model_free(model);
}
END_TEST

START_TEST(a_death_is_forgotten_at_the_end_of_the_next_round)
{
	struct heap_model *model = new_model(&roomy);
	heap_model_death(model, 7, 0);
	heap_model_end_round(model);
	ck_assert_uint_eq(totals_of(model).unknown_deaths, 0);
	heap_model_end_round(model);
	ck_assert_uint_eq(totals_of(model).unknown_deaths, 1);
	give_birth(model, 7);
	ck_assert_uint_eq(totals_of(model).live, 1);
	heap_model_free(model);
}
END_TEST

START_TEST(a_birth_told_again_counts_once_whether_it_lives_or_died)
{
	struct heap_model *model = new_model(&roomy);
	give_birth(model, 1);
	give_birth(model, 1);
	heap_model_death(model, 1, 0);
	give_birth(model, 1); /* told again from another ring, after the death */
	heap_model_death(model, 1, 0);
	heap_model_death(model, 2, 0);
	give_birth(model, 2);
	give_birth(model, 2);
	struct heap_totals totals = totals_of(model);
	ck_assert_uint_eq(totals.births, 2);
	ck_assert_uint_eq(totals.deaths, 2);
	ck_assert_uint_eq(totals.live, 0);
	ck_assert_uint_eq(totals.duplicate_births, 3);
	ck_assert_uint_eq(totals.duplicate_deaths, 1);
	heap_model_free(model);
}
END_TEST

START_TEST(lifetimes_are_counted_by_powers_of_two_in_either_order)
{
	struct heap_model *model = new_model(&roomy);
	const uint64_t lifetimes_ns[] = {1, 2, 3, 1000, 1 << 20, UINT64_C(1) << 60};
	for (uint64_t i = 0; i < 6; i++) {
		struct heap_birth birth = birth_of(i + 1);
		if (i % 2)
			heap_model_birth(model, &birth);
		heap_model_death(model, birth.id, (uint64_t)birth.time_ns + lifetimes_ns[i]);
		if (i % 2 == 0)
			heap_model_birth(model, &birth);
	}
	give_birth(model, 100);
	heap_model_death(model, 100, 0); /* inferred: no time */
	give_birth(model, 101);
	heap_model_death(model, 101, 5); /* a clock that went back */
	struct heap_totals totals = totals_of(model);
	ck_assert_uint_eq(totals.deaths, 8);
	ck_assert_uint_eq(totals.lifetimes[0], 2);
	ck_assert_uint_eq(totals.lifetimes[1], 2);
	ck_assert_uint_eq(totals.lifetimes[9], 1);
	ck_assert_uint_eq(totals.lifetimes[20], 1);
	ck_assert_uint_eq(totals.lifetimes[HEAP_LIFETIMES - 1], 1);
	heap_model_free(model);
}
END_TEST

START_TEST(past_max_live_samples_fold_and_are_counted_with_their_bytes)
{
	struct heap_model *model =
		new_model(&(struct heap_limits){.max_live = 100, .max_deaths = 10});
	double bytes = 0;
	for (uint64_t id = 1; id <= 150; id++) {
		give_birth(model, id);
		struct heap_birth birth = birth_of(id);
		if (id > 100)
			bytes += (double)birth.size_bytes /
				 estimate_probability(birth.size_bytes, birth.interval_bytes);
	}
	struct heap_totals totals = totals_of(model);
	ck_assert_uint_eq(totals.live, 100);
	ck_assert_uint_eq(totals.births, 150);
	ck_assert_uint_eq(totals.folded_samples, 50);
	ck_assert_double_eq_tol(totals.folded_bytes, bytes, 1e-6);
	static struct estimate_sum live[50], cumulative[50];
	heap_model_sums(model, live, cumulative, 50);
	for (int i = 0; i < 50; i++) {
		ck_assert_uint_eq(live[i].samples, 2);
		ck_assert_uint_eq(cumulative[i].samples, 3);
	}
	heap_model_death(model, 1, 0);
	give_birth(model, 151); /* there is room again */
	ck_assert_uint_eq(totals_of(model).live, 100);
	ck_assert_uint_eq(totals_of(model).folded_samples, 50);
	heap_model_free(model);
}
END_TEST

START_TEST(past_max_deaths_deaths_are_not_remembered_and_counted)
{
	struct heap_model *model =
		new_model(&(struct heap_limits){.max_live = 1000, .max_deaths = 10});
	for (uint64_t id = 1; id <= 25; id++)
		heap_model_death(model, id, 0);
	ck_assert_uint_eq(totals_of(model).forgotten_deaths, 15);
	heap_model_end_round(model);
	heap_model_death(model, 99, 0); /* last round's ten still fill the memory */
	ck_assert_uint_eq(totals_of(model).forgotten_deaths, 16);
	for (uint64_t id = 1; id <= 25; id++)
		give_birth(model, id);
	ck_assert_uint_eq(totals_of(model).live, 15);
	heap_model_death(model, 25, 0); /* applied, though not remembered */
	ck_assert_uint_eq(totals_of(model).live, 14);
	ck_assert_uint_eq(totals_of(model).unguarded_deaths, 1);
	ck_assert_uint_eq(totals_of(model).forgotten_deaths, 16);
	heap_model_end_round(model);
	heap_model_death(model, 100, 0); /* and now there is room */
	ck_assert_uint_eq(totals_of(model).forgotten_deaths, 16);
	heap_model_free(model);
}
END_TEST

START_TEST(a_flood_of_events_does_not_grow_the_memory_past_its_bound)
{
	struct heap_model *model =
		new_model(&(struct heap_limits){.max_live = 5000, .max_deaths = 1000});
	struct random random = {42};
	size_t most = 0;
	for (int i = 0; i < 400000; i++) {
		uint64_t id = 1 + random_next(&random) % 1000000;
		if (i % 3)
			give_birth(model, id);
		else
			heap_model_death(model, id, 0);
		if (i % 50000 == 0)
			heap_model_end_round(model);
		most = heap_model_bytes(model) > most ? heap_model_bytes(model) : most;
	}
	ck_assert_uint_le(most, 5000 * 75 + 1000 * 100 + 50 * 200 + 8192);
	heap_model_free(model);
}
END_TEST

START_TEST(a_live_sample_costs_what_the_header_says_and_death_gives_it_back)
{
	struct heap_model *model = new_model(&roomy);
	size_t empty = heap_model_bytes(model);
	for (uint64_t id = 1; id <= 200000; id++)
		give_birth(model, id);
	/* 200,000 of 262,144 slots: near the middle of what load factors allow */
	ck_assert_uint_le(heap_model_bytes(model) - empty, 200000 * 70 + 16384);
	for (uint64_t id = 1; id <= 200000; id++) {
		heap_model_death(model, id, 0);
		if (id % 1000 == 0)
			heap_model_end_round(model);
	}
	for (int i = 0; i < 30; i++)
		heap_model_end_round(model);
	ck_assert_uint_le(heap_model_bytes(model) - empty, 65536);
	heap_model_free(model);
}
END_TEST

START_TEST(sums_fold_stacks_that_the_caller_does_not_know_into_the_first)
{
	struct heap_model *model = new_model(&roomy);
	for (uint64_t id = 1; id <= 100; id++)
		give_birth(model, id);
	struct estimate_sum live[10], cumulative[10];
	memset(live, 0xff, sizeof(live));
	memset(cumulative, 0xff, sizeof(cumulative));
	heap_model_sums(model, live, cumulative, 10);
	ck_assert_uint_eq(live[0].samples, 82);
	ck_assert_uint_eq(cumulative[0].samples, 82);
	for (int i = 1; i < 10; i++)
		ck_assert_uint_eq(live[i].samples, 2);
	heap_model_free(model);
}
END_TEST

START_TEST(limits_that_cannot_be_indexed_are_refused)
{
	struct heap_model *model = NULL;
	struct heap_limits limits = {.max_live = (1u << 30) + 1, .max_deaths = 1};
	ck_assert_int_eq(heap_model_new(&model, &limits), -EINVAL);
	ck_assert_ptr_null(model);
	ck_assert_ptr_null(heap_model_free(NULL));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("heap_model");
	TCase *t = tcase_create("heap_model");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_birth_lives_until_its_death);
	tcase_add_test(t, a_death_before_its_birth_counts_as_born_and_died);
	tcase_add_test(t, two_heaps_whose_sums_differ_have_not_the_same_number_of_changes);
	tcase_add_test(t, what_changes_no_sum_is_no_change);
	tcase_add_test(t, what_does_not_count_is_in_no_sum_unless_its_birth_told_of_it);
	tcase_add_test(t, a_death_is_forgotten_at_the_end_of_the_next_round);
	tcase_add_test(t, a_birth_told_again_counts_once_whether_it_lives_or_died);
	tcase_add_test(t, lifetimes_are_counted_by_powers_of_two_in_either_order);
	tcase_add_test(t, past_max_live_samples_fold_and_are_counted_with_their_bytes);
	tcase_add_test(t, past_max_deaths_deaths_are_not_remembered_and_counted);
	tcase_add_test(t, a_flood_of_events_does_not_grow_the_memory_past_its_bound);
	tcase_add_test(t, a_live_sample_costs_what_the_header_says_and_death_gives_it_back);
	tcase_add_test(t, sums_fold_stacks_that_the_caller_does_not_know_into_the_first);
	tcase_add_test(t, limits_that_cannot_be_indexed_are_refused);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
