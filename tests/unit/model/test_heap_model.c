#include "model/heap_model.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include "spprof/wire/segment.h"
#include "support/random.h"
#include "support/tap_main.h"

static const struct heap_limits roomy = {.max_live = 1u << 20, .max_deaths = 1u << 20};

static struct heap_model *new_model(const struct heap_limits *limits)
{
	struct heap_model *model;
	ck_assert_int_eq(heap_model_new(&model, limits), 0);
	return model;
}

static struct heap_totals totals_of(const struct heap_model *model)
{
	struct heap_totals totals;
	heap_model_totals(model, &totals);
	return totals;
}

static struct heap_birth birth_of(uint64_t id)
{
	return (struct heap_birth){
		.id = id,
		.size_bytes = 1 + id * 37 % 100000,
		.interval_bytes = id % 2 ? 16384 : 524288,
		.time_ns = 1000000 + id,
		.address = id << 4,
		.tid = (uint32_t)id % 8,
		.stack = (uint32_t)(id % 50),
	};
}

static void give_birth(struct heap_model *model, uint64_t id)
{
	struct heap_birth birth = birth_of(id);
	if (!heap_model_hear(model, id))
		heap_model_birth(model, &birth);
}

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

static void tell_live(struct heap_model *model, uint64_t id, uint32_t epoch)
{
	struct heap_birth birth = birth_of(id);
	if (!heap_model_name(model, id, epoch) && heap_model_has_room(model, id))
		heap_model_live(model, &birth, epoch);
}

static bool take_back(struct heap_model *model, uint64_t id, uint32_t epoch)
{
	struct heap_birth withdrawn;
	bool taken = heap_model_take_back(model, id, epoch, &withdrawn);
	ck_assert(!taken || withdrawn.id == id);
	return taken;
}

static void read_entry(struct heap_model *model, uint64_t id, bool announced, uint32_t epoch)
{
	struct heap_birth birth = birth_of(id);
	if (!heap_model_find(model, id, announced, epoch))
		heap_model_found(model, &birth, announced);
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

static void count_visit(const struct heap_birth *entry, void *data)
{
	*(uint64_t *)data += wire_digest(entry->id);
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

/* Requests, readings and sweeps at random, against a list that knows what each of them means. */
START_TEST(any_order_of_requests_readings_and_sweeps_gives_what_the_rules_say)
{
	enum { IDS = 3000 };
	static struct {
		bool lives, named, found;
	} truth[IDS + 1];
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct random random = {seed};
		struct heap_model *model = new_model(&roomy);
		memset(truth, 0, sizeof(truth));
		uint32_t epoch = 0;
		uint64_t next = 1, live = 0;
		for (int i = 0; i < 20000; i++) {
			uint64_t id = 1 + random_below(&random, IDS), swept = 0;
			bool spare = random_below(&random, 2);
			switch (random_below(&random, 400)) {
			case 0: /* as often as not before all is tidy */
				heap_model_request(model, ++epoch);
				for (id = 1; id <= IDS; id++)
					truth[id].named = false;
				break;
			case 1:
				heap_model_begin_reading(model);
				for (id = 1; id <= IDS; id++)
					truth[id].found = false;
				break;
			case 2:
				for (id = 1; id <= IDS; id++) {
					bool dead = truth[id].lives && !truth[id].named &&
						    !(spare && truth[id].found);
					swept += dead;
					truth[id].lives &= !dead;
				}
				live -= swept;
				ck_assert_uint_eq(heap_model_sweep(model, spare), swept);
				heap_model_begin_reading(model);
				for (id = 1; id <= IDS; id++)
					truth[id].found = false;
				break;
			case 3 ... 150:
				if (next > IDS)
					break;
				give_birth(model, next);
				truth[next].lives = truth[next].named = true;
				live++, next++;
				break;
			case 151 ... 250:
				if (!truth[id].lives || epoch == 0)
					break;
				tell_live(model, id, epoch);
				truth[id].named = true;
				truth[id].found = false;
				break;
			case 251 ... 350:
				if (!truth[id].lives)
					break;
				read_entry(model, id, false, epoch);
				truth[id].found = !truth[id].named;
				break;
			case 351 ... 380:
				if (!truth[id].lives)
					break;
				heap_model_death(model, id, 0);
				truth[id].lives = false;
				live--;
				break;
			default:
				heap_model_end_round(model);
				if (random_below(&random, 10) == 0)
					heap_model_tidy(model);
			}
			ck_assert_uint_eq(totals_of(model).live, live);
		}
		uint64_t digest = 0, visited = 0;
		for (uint64_t id = 1; id <= IDS; id++)
			digest += truth[id].lives ? wire_digest(id) : 0;
		heap_model_each_live(model, count_visit, &visited);
		ck_assert_uint_eq(totals_of(model).digest, digest);
		ck_assert_uint_eq(visited, digest);
		heap_model_free(model);
	}
}
END_TEST

/* The rules of the round as the protocol states them, with lists instead of tables. */
struct naive {
	struct heap_birth live[4096];
	size_t live_count;
	struct {
		uint64_t id;
		uint32_t round;
		bool born;
	} remembered[8192];
	size_t remembered_count;
	uint32_t round;
	uint64_t births, deaths, unknown;
};

static void naive_birth(struct naive *n, const struct heap_birth *birth)
{
	for (size_t i = 0; i < n->live_count; i++)
		if (n->live[i].id == birth->id)
			return;
	for (size_t i = 0; i < n->remembered_count; i++) {
		if (n->remembered[i].id == birth->id) {
			n->births += !n->remembered[i].born;
			n->deaths += !n->remembered[i].born;
			n->remembered[i].born = true;
			return;
		}
	}
	n->births++;
	n->live[n->live_count++] = *birth;
}

static void naive_death(struct naive *n, uint64_t id)
{
	bool born = false;
	for (size_t i = 0; i < n->live_count; i++) {
		if (n->live[i].id == id) {
			n->live[i] = n->live[--n->live_count];
			n->deaths++;
			born = true;
		}
	}
	for (size_t i = 0; i < n->remembered_count; i++)
		if (n->remembered[i].id == id)
			return;
	n->remembered[n->remembered_count].id = id;
	n->remembered[n->remembered_count].round = n->round;
	n->remembered[n->remembered_count++].born = born;
}

static void naive_end_round(struct naive *n)
{
	size_t kept = 0;
	for (size_t i = 0; i < n->remembered_count; i++) {
		if (n->remembered[i].round + 1 > n->round)
			n->remembered[kept++] = n->remembered[i];
		else
			n->unknown += !n->remembered[i].born;
	}
	n->remembered_count = kept;
	n->round++;
}

struct marks {
	bool seen[4097];
	uint64_t digest;
};

static void mark(const struct heap_birth *entry, void *data)
{
	struct marks *marks = data;
	struct heap_birth expected = birth_of(entry->id);
	ck_assert_mem_eq(entry, &expected, sizeof(expected));
	ck_assert(!marks->seen[entry->id]);
	marks->seen[entry->id] = true;
	marks->digest += wire_digest(entry->id);
}

static void assert_equals_naive(const struct heap_model *model, const struct naive *n)
{
	static struct marks marks;
	struct heap_totals totals = totals_of(model);
	memset(&marks, 0, sizeof(marks));
	heap_model_each_live(model, mark, &marks);
	for (size_t i = 0; i < n->live_count; i++)
		ck_assert(marks.seen[n->live[i].id]);
	ck_assert_uint_eq(totals.live, n->live_count);
	ck_assert_uint_eq(totals.digest, marks.digest);
	ck_assert_uint_eq(totals.births, n->births);
	ck_assert_uint_eq(totals.deaths, n->deaths);
	ck_assert_uint_eq(totals.unknown_deaths, n->unknown);
	ck_assert_uint_eq(totals.births, totals.deaths + totals.live + totals.folded_samples);
}

struct event {
	uint64_t id;
	bool is_death;
};

static void shuffle(struct event *events, size_t count, struct random *random)
{
	for (size_t i = count; i > 1; i--) {
		size_t other = random_below(random, i);
		struct event event = events[i - 1];
		events[i - 1] = events[other];
		events[other] = event;
	}
}

/* Any events in any order, ids reused without mercy: the two models must agree after every round.
 */
START_TEST(any_event_order_gives_what_the_rules_say)
{
	static struct naive naive;
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct random random = {seed};
		struct heap_model *model = new_model(&roomy);
		memset(&naive, 0, sizeof(naive));
		naive.round = 1;
		for (int round = 0; round < 40; round++) {
			uint64_t events = random_below(&random, 100);
			for (uint64_t i = 0; i < events; i++) {
				uint64_t id = 1 + random_below(&random, 300);
				if (random_below(&random, 2)) {
					struct heap_birth birth = birth_of(id);
					give_birth(model, id);
					naive_birth(&naive, &birth);
				} else {
					heap_model_death(model, id, 0);
					naive_death(&naive, id);
				}
			}
			assert_equals_naive(model, &naive);
			heap_model_end_round(model);
			naive_end_round(&naive);
			assert_equals_naive(model, &naive);
		}
		heap_model_free(model);
	}
}
END_TEST

/* What rings do to a correct worker: each id is born once and dies at most once, and the DEATH may
 * be read up to one round before the BIRTH. The outcome must be that of the true order. */
START_TEST(orders_shuffled_within_two_rounds_end_in_the_true_heap)
{
	enum { IDS = 2000, ROUNDS = 30 };
	for (uint64_t seed = 1; seed <= 20; seed++) {
		struct random random = {seed * 7919};
		static struct event rounds[ROUNDS + 2][4 * IDS];
		size_t counts[ROUNDS + 2] = {0};
		uint64_t deaths = 0, digest = 0;
		static struct estimate_sum expected_live[50], live[50], cumulative[50];
		memset(expected_live, 0, sizeof(expected_live));
		for (uint64_t id = 1; id <= IDS; id++) {
			uint64_t birth_round = 1 + random_below(&random, ROUNDS);
			rounds[birth_round][counts[birth_round]++] = (struct event){id, false};
			if (random_below(&random, 4) == 0) {
				struct heap_birth birth = birth_of(id);
				estimate_add(&expected_live[birth.stack], birth.size_bytes,
					birth.interval_bytes);
				digest += wire_digest(id);
				continue;
			}
			uint64_t earliest = birth_round - 1;
			uint64_t death_round =
				earliest + random_below(&random, ROUNDS + 2 - earliest);
			rounds[death_round][counts[death_round]++] = (struct event){id, true};
			deaths++;
		}
		struct heap_model *model = new_model(&roomy);
		for (size_t r = 0; r < ROUNDS + 2; r++) {
			shuffle(rounds[r], counts[r], &random);
			for (size_t i = 0; i < counts[r]; i++) {
				if (rounds[r][i].is_death)
					heap_model_death(model, rounds[r][i].id, 0);
				else
					give_birth(model, rounds[r][i].id);
			}
			heap_model_end_round(model);
		}
		struct heap_totals totals = totals_of(model);
		ck_assert_uint_eq(totals.births, IDS);
		ck_assert_uint_eq(totals.deaths, deaths);
		ck_assert_uint_eq(totals.live, IDS - deaths);
		ck_assert_uint_eq(totals.digest, digest);
		ck_assert_uint_eq(totals.unknown_deaths + totals.duplicate_births, 0);
		heap_model_sums(model, live, cumulative, 50);
		for (int i = 0; i < 50; i++) {
			ck_assert_uint_eq(live[i].samples, expected_live[i].samples);
			ck_assert_double_eq_tol(live[i].bytes, expected_live[i].bytes,
				1e-9 * expected_live[i].bytes);
			ck_assert_uint_eq(cumulative[i].samples, IDS / 50);
		}
		heap_model_free(model);
	}
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
	tcase_add_test(t, any_order_of_requests_readings_and_sweeps_gives_what_the_rules_say);
	tcase_add_test(t, any_event_order_gives_what_the_rules_say);
	tcase_add_test(t, orders_shuffled_within_two_rounds_end_in_the_true_heap);
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
