/* What a worker tells again, what is read from its map, and what neither has named. */
#include "heap_fixture.h"

static bool take_back(struct heap_model *model, uint64_t id, uint32_t epoch)
{
	struct heap_birth withdrawn;
	bool taken = heap_model_take_back(model, id, epoch, &withdrawn);
	ck_assert(!taken || withdrawn.id == id);
	return taken;
}

static struct estimate_sum cumulative_of(const struct heap_model *model)
{
	struct estimate_sum live, cumulative;
	heap_model_sums(model, &live, &cumulative, 1);
	return cumulative;
}

static void assert_counts(
	const struct heap_model *model, uint64_t births, uint64_t deaths, uint64_t live)
{
	struct heap_totals totals = totals_of(model);
	ck_assert_uint_eq(totals.births, births);
	ck_assert_uint_eq(totals.deaths, deaths);
	ck_assert_uint_eq(totals.live, live);
	ck_assert_uint_eq(totals.births, totals.deaths + totals.live + totals.folded_samples);
	ck_assert_uint_eq(cumulative_of(model).samples, births);
	ck_assert_uint_eq(totals.duplicate_births + totals.duplicate_deaths, 0);
}

START_TEST(a_live_names_what_is_known_and_brings_what_is_not)
{
	struct heap_model *model = new_model(&roomy);
	give_birth(model, 1);
	heap_model_end_round(model);
	heap_model_request(model, 7);
	tell_live(model, 1, 7);
	tell_live(model, 2, 7);
	tell_live(model, 2, 7);
	assert_counts(model, 2, 0, 2);
	heap_model_death(model, 2, birth_of(2).time_ns + 5);
	tell_live(model, 2, 7); /* from another ring */
	assert_counts(model, 2, 1, 1);
	ck_assert_uint_eq(totals_of(model).lifetimes[2], 1);
	ck_assert_uint_eq(heap_model_sweep(model, false), 0);
	heap_model_free(model);
}
END_TEST

START_TEST(a_sweep_erases_what_was_known_before_the_request_and_not_named)
{
	struct heap_model *model = new_model(&roomy);
	for (uint64_t id = 1; id <= 300; id++)
		give_birth(model, id);
	heap_model_end_round(model);
	heap_model_request(model, 3);
	for (uint64_t id = 2; id <= 300; id += 2)
		tell_live(model, id, 3);
	for (uint64_t id = 301; id <= 310; id++)
		give_birth(model, id);
	ck_assert_uint_eq(heap_model_sweep(model, false), 150);
	assert_counts(model, 310, 150, 160);
	struct heap_totals totals = totals_of(model);
	ck_assert_uint_eq(totals.inferred_deaths, 150);
	for (int i = 0; i < (int)HEAP_LIFETIMES; i++)
		ck_assert_uint_eq(totals.lifetimes[i], 0);
	uint64_t digest = 0;
	for (uint64_t id = 2; id <= 310; id += id < 300 ? 2 : 1)
		digest += wire_digest(id);
	ck_assert_uint_eq(totals.digest, digest);
	for (uint64_t id = 2; id <= 300; id += 2) /* they can still be found */
		heap_model_death(model, id, 0);
	assert_counts(model, 310, 300, 10);
	heap_model_free(model);
}
END_TEST

START_TEST(a_live_of_an_earlier_request_does_not_name_for_this_one)
{
	struct heap_model *model = new_model(&roomy);
	give_birth(model, 1);
	heap_model_request(model, 1);
	heap_model_request(model, 2);
	tell_live(model, 1, 1);
	tell_live(model, 5, 1); /* a birth that is heard of after the request */
	ck_assert_uint_eq(heap_model_sweep(model, false), 1);
	assert_counts(model, 2, 1, 1);
	heap_model_free(model);
}
END_TEST

START_TEST(without_a_request_a_sweep_erases_nothing)
{
	struct heap_model *model = new_model(&roomy);
	give_birth(model, 1);
	tell_live(model, 2, 9); /* answers an earlier daemon */
	ck_assert_uint_eq(heap_model_sweep(model, false), 0);
	assert_counts(model, 2, 0, 2);
	take_back(model, 2, 9);
	assert_counts(model, 1, 0, 1);
	heap_model_free(model);
}
END_TEST

START_TEST(what_a_live_brought_is_taken_back_without_a_trace)
{
	struct heap_model *model = new_model(&roomy);
	for (uint64_t id = 1; id <= 20; id++)
		give_birth(model, id);
	struct estimate_sum before = cumulative_of(model), after;
	heap_model_request(model, 4);
	for (uint64_t id = 100; id < 1100; id++) {
		tell_live(model, id, 4);
		take_back(model, id, 4);
	}
	assert_counts(model, 20, 0, 20);
	after = cumulative_of(model);
	ck_assert_mem_eq(&before, &after, sizeof(before)); /* to the last bit */
	ck_assert_uint_eq(totals_of(model).taken_back, 1000);
	heap_model_end_round(model);
	heap_model_end_round(model);
	ck_assert_uint_eq(totals_of(model).unknown_deaths, 0);
	heap_model_free(model);
}
END_TEST

START_TEST(what_is_known_from_elsewhere_dies_when_a_live_is_taken_back)
{
	struct heap_model *model = new_model(&roomy);
	give_birth(model, 1);
	heap_model_request(model, 4);
	tell_live(model, 2, 4);
	heap_model_request(model, 5);
	tell_live(model, 1, 5);
	tell_live(model, 2, 5); /* told by the request before */
	take_back(model, 1, 5);
	take_back(model, 2, 5);
	assert_counts(model, 2, 2, 0);
	ck_assert_uint_eq(totals_of(model).taken_back, 0);
	ck_assert_uint_eq(totals_of(model).inferred_deaths, 0);
	heap_model_free(model);
}
END_TEST

/* Ring A: LIVE, take back. Ring B: BIRTH, DEATH. However they are read within two rounds. */
START_TEST(a_birth_and_its_live_count_once_in_whatever_order)
{
	static const char *const orders[] = {"LTBD", "LBTD", "LBDT", "BLTD", "BLDT", "BDLT", "LTDB",
		"DLTB", "DBLT", "LDTB", "LDBT", "DLBT"};
	for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
		struct heap_model *model = new_model(&roomy);
		heap_model_request(model, 4);
		for (const char *event = orders[i]; *event; event++) {
			if (*event == 'L')
				tell_live(model, 1, 4);
			else if (*event == 'T')
				take_back(model, 1, 4);
			else if (*event == 'B')
				give_birth(model, 1);
			else
				heap_model_death(model, 1, birth_of(1).time_ns + 9);
		}
		struct heap_totals totals = totals_of(model);
		ck_assert_msg(totals.births == 1 && totals.deaths == 1 && totals.live == 0, "%s",
			orders[i]);
		ck_assert_uint_eq(cumulative_of(model).samples, 1);
		heap_model_end_round(model);
		heap_model_end_round(model);
		ck_assert_uint_eq(totals_of(model).unknown_deaths, 0);
		heap_model_free(model);
	}
}
END_TEST

START_TEST(a_birth_overtaken_by_its_live_is_no_duplicate_and_not_swept)
{
	struct heap_model *model = new_model(&roomy);
	heap_model_request(model, 1);
	tell_live(model, 1, 1);
	heap_model_request(model, 2);
	give_birth(model, 1);
	assert_counts(model, 1, 0, 1);
	ck_assert_uint_eq(heap_model_sweep(model, false), 0);
	take_back(model, 1, 1); /* too late: its birth is known */
	assert_counts(model, 1, 1, 0);
	heap_model_free(model);
}
END_TEST

START_TEST(more_requests_than_there_are_eras_mix_nothing_up)
{
	struct heap_model *model = new_model(&roomy);
	give_birth(model, 1);
	for (uint32_t epoch = 1; epoch <= 200; epoch++) {
		heap_model_request(model, epoch);
		tell_live(model, 1, epoch);
		tell_live(model, 1000 + epoch, epoch);
		assert_counts(model, 1 + epoch, 0, 1 + epoch);
	}
	take_back(model, 1200, 200);
	take_back(model, 1180, 200); /* it was 180 that brought it */
	assert_counts(model, 200, 1, 199);
	heap_model_request(model, 201);
	tell_live(model, 1, 201);
	ck_assert_uint_eq(heap_model_sweep(model, false), 198);
	assert_counts(model, 200, 199, 1);
	heap_model_free(model);
}
END_TEST

START_TEST(what_was_read_and_will_not_be_told_of_is_swept_unless_it_is_named)
{
	struct heap_model *model = new_model(&roomy);
	heap_model_request(model, 6);
	for (uint64_t id = 1; id <= 3; id++) {
		ck_assert(!heap_model_knows(model, id));
		read_entry(model, id, false, 6);
		ck_assert(heap_model_knows(model, id));
	}
	ck_assert_uint_eq(heap_model_sweep(model, true), 0);
	heap_model_begin_reading(model); /* another one */
	for (uint64_t id = 1; id <= 3; id++)
		read_entry(model, id, false, 6);
	tell_live(model, 1, 6);
	give_birth(model, 2);
	ck_assert_uint_eq(heap_model_sweep(model, false), 1);
	assert_counts(model, 3, 1, 2);
	heap_model_free(model);
}
END_TEST

START_TEST(what_is_told_again_past_max_live_is_refused_and_not_summed_up)
{
	struct heap_model *model =
		new_model(&(struct heap_limits){.max_live = 10, .max_deaths = 10});
	for (uint32_t epoch = 1; epoch <= 3; epoch++) {
		heap_model_request(model, epoch);
		for (uint64_t id = 1; id <= 25; id++)
			tell_live(model, id, epoch);
		assert_counts(model, 10, 0, 10);
		ck_assert_uint_eq(heap_model_sweep(model, false), 0);
	}
	heap_model_free(model);
}
END_TEST

START_TEST(what_was_read_is_not_taken_back)
{
	for (int announced = 0; announced < 2; announced++) {
		struct heap_model *model = new_model(&roomy);
		heap_model_request(model, 4);
		read_entry(model, 1, announced, 4);
		tell_live(model, 2, 4);
		read_entry(model, 2, announced, 4); /* told of by a LIVE, and read as well */
		ck_assert(!take_back(model, 1, 4));
		ck_assert(!take_back(model, 2, 4));
		assert_counts(model, 2, 2, 0);
		ck_assert_uint_eq(totals_of(model).taken_back, 0);
		heap_model_free(model);
	}
}
END_TEST

START_TEST(the_birth_of_what_was_read_is_no_duplicate)
{
	struct heap_model *model = new_model(&roomy);
	heap_model_request(model, 4);
	read_entry(model, 1, false, 4);
	give_birth(model, 1);
	assert_counts(model, 1, 0, 1);
	ck_assert_uint_eq(heap_model_sweep(model, false), 0); /* it names it */
	heap_model_free(model);
}
END_TEST

START_TEST(a_folded_sample_that_is_told_again_counts_once)
{
	struct heap_model *model =
		new_model(&(struct heap_limits){.max_live = 2, .max_deaths = 10});
	struct heap_birth birth = birth_of(3);
	for (uint64_t id = 1; id <= 3; id++)
		give_birth(model, id);
	ck_assert(!heap_model_has_room(model, 3));
	heap_model_death(model, 1, 0);
	heap_model_request(model, 4);
	tell_live(model, 2, 4);
	ck_assert(!heap_model_name(model, 3, 4));
	ck_assert(heap_model_has_room(model, 3));
	heap_model_unfold(model, &birth);
	assert_counts(model, 3, 1, 2);
	ck_assert_uint_eq(totals_of(model).folded_samples, 0);
	ck_assert_double_eq(totals_of(model).folded_bytes, 0);
	ck_assert(!take_back(model, 3, 4)); /* its BIRTH had come */
	assert_counts(model, 3, 2, 1);
	heap_model_free(model);
}
END_TEST

static struct estimate_sum live_of(const struct heap_model *model)
{
	struct estimate_sum live, cumulative;
	heap_model_sums(model, &live, &cumulative, 1);
	return live;
}

/* What can be asked of the model, of a moment at which ids first ... last live. */
static void assert_lives(const struct heap_model *model, uint64_t first, uint64_t last)
{
	uint64_t digest = 0, visited = 0;
	for (uint64_t id = first; id <= last; id++)
		digest += wire_digest(id);
	heap_model_each_live(model, count_visit, &visited);
	ck_assert_uint_eq(totals_of(model).live, last - first + 1);
	ck_assert_uint_eq(live_of(model).samples, last - first + 1);
	ck_assert_uint_eq(totals_of(model).digest, digest);
	ck_assert_uint_eq(visited, digest);
}

START_TEST(a_sweep_is_whole_at_once_however_much_is_left_to_tidy)
{
	enum { IDS = 100000 };
	struct heap_model *model = new_model(&roomy);
	for (uint64_t id = 1; id <= IDS; id++)
		give_birth(model, id);
	size_t full = heap_model_bytes(model);
	heap_model_request(model, 3);
	for (uint64_t id = IDS - 999; id <= IDS; id++)
		tell_live(model, id, 3);
	ck_assert_uint_eq(heap_model_sweep(model, false), IDS - 1000);
	unsigned slices = 1;
	do {
		assert_lives(model, IDS - 999, IDS);
		assert_counts(model, IDS, IDS - 1000, 1000);
		ck_assert(!heap_model_knows(model, 1));
	} while (heap_model_tidy(model) && ++slices);
	ck_assert_uint_ge(slices, 30);
	assert_lives(model, IDS - 999, IDS);
	assert_counts(model, IDS, IDS - 1000, 1000);
	ck_assert_uint_lt(heap_model_bytes(model), full / 20);
	heap_model_free(model);
}
END_TEST

START_TEST(what_was_swept_is_unknown_whatever_comes_before_it_is_tidied_away)
{
	struct heap_model *model = new_model(&roomy);
	for (uint64_t id = 1; id <= 1000; id++)
		give_birth(model, id);
	heap_model_request(model, 3);
	ck_assert_uint_eq(heap_model_sweep(model, false), 1000);
	heap_model_death(model, 1, 0); /* of nothing that is known */
	ck_assert(!take_back(model, 2, 3));
	tell_live(model, 3, 3);
	read_entry(model, 4, true, 3);
	read_entry(model, 5, false, 3);
	give_birth(model, 6);
	assert_counts(model, 1004, 1000, 4);
	heap_model_request(model, 4);
	tell_live(model, 3, 4);
	ck_assert_uint_eq(heap_model_sweep(model, false), 3); /* and not the ghosts again */
	assert_counts(model, 1004, 1003, 1);
	while (heap_model_tidy(model))
		;
	assert_lives(model, 3, 3);
	heap_model_end_round(model);
	heap_model_end_round(model);
	ck_assert_uint_eq(totals_of(model).unknown_deaths, 1);
	heap_model_free(model);
}
END_TEST

START_TEST(ghosts_take_no_room_from_the_living_and_little_memory)
{
	struct heap_model *model =
		new_model(&(struct heap_limits){.max_live = 10000, .max_deaths = 10});
	size_t most = 0;
	uint64_t id = 0;
	for (uint32_t epoch = 1; epoch <= 20; epoch++) {
		for (int i = 0; i < 10000; i++) {
			give_birth(model, ++id);
			most = heap_model_bytes(model) > most ? heap_model_bytes(model) : most;
		}
		ck_assert_uint_eq(totals_of(model).folded_samples, 0);
		heap_model_request(model, epoch);
		ck_assert_uint_eq(heap_model_sweep(model, false), 10000);
	}
	ck_assert_uint_le(most, 10000 * 75 + 50 * 200 + 8192);
	heap_model_free(model);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("heap_model_resync");
	TCase *t = tcase_create("heap_model_resync");
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_live_names_what_is_known_and_brings_what_is_not);
	tcase_add_test(t, a_sweep_erases_what_was_known_before_the_request_and_not_named);
	tcase_add_test(t, a_live_of_an_earlier_request_does_not_name_for_this_one);
	tcase_add_test(t, without_a_request_a_sweep_erases_nothing);
	tcase_add_test(t, what_a_live_brought_is_taken_back_without_a_trace);
	tcase_add_test(t, what_is_known_from_elsewhere_dies_when_a_live_is_taken_back);
	tcase_add_test(t, a_birth_and_its_live_count_once_in_whatever_order);
	tcase_add_test(t, a_birth_overtaken_by_its_live_is_no_duplicate_and_not_swept);
	tcase_add_test(t, more_requests_than_there_are_eras_mix_nothing_up);
	tcase_add_test(t, what_was_read_and_will_not_be_told_of_is_swept_unless_it_is_named);
	tcase_add_test(t, what_is_told_again_past_max_live_is_refused_and_not_summed_up);
	tcase_add_test(t, what_was_read_is_not_taken_back);
	tcase_add_test(t, the_birth_of_what_was_read_is_no_duplicate);
	tcase_add_test(t, a_folded_sample_that_is_told_again_counts_once);
	tcase_add_test(t, a_sweep_is_whole_at_once_however_much_is_left_to_tidy);
	tcase_add_test(t, what_was_swept_is_unknown_whatever_comes_before_it_is_tidied_away);
	tcase_add_test(t, ghosts_take_no_room_from_the_living_and_little_memory);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
