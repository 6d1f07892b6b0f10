/* When a round begins, what it covers, and where it ends. */
#include "config.h"
#include <sys/stat.h>
#include "consumer_fixture.h"

START_TEST(without_a_dirty_bit_there_is_no_round)
{
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.rounds, 0);
	append_birth(0, 1, 1);
	atomic_store_explicit(&segment.header->dirty, 0, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.rounds, 0);
	ck_assert_uint_eq(got.count, 0);
}
END_TEST

START_TEST(a_sweep_finds_what_no_dirty_bit_tells)
{
	append_birth(0, 1, 1);
	append_birth(2, 2, 1);
	atomic_store_explicit(&segment.header->dirty, 0, memory_order_relaxed);
	ck_assert_int_eq(ring_consumer_round(consumer, true, ALL, &sink), 0);
	ck_assert_uint_eq(got.count, 2);
}
END_TEST

START_TEST(one_dirty_bit_makes_a_round_over_all_rings)
{
	append_birth(0, 1, 1);
	append_birth(1, 2, 1);
	atomic_store_explicit(&segment.header->dirty, 1, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(atomic_load_explicit(&segment.header->dirty, memory_order_relaxed), 0);
}
END_TEST

START_TEST(after_a_death_the_next_round_looks_into_every_ring)
{
	append_death(0, 1);
	ck_assert_int_eq(drain(), 0);
	/* committed before that death, its bit not set yet */
	append_birth(1, 1, 1);
	atomic_store_explicit(&segment.header->dirty, 0, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 2);
	/* that one delivered, so another looks; then peace */
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.rounds, 3);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.rounds, 3);
}
END_TEST

/* While ring 0 is drained, more is written: to it, and to the ring that comes after. */
static void append_more(const struct wire_birth *birth, void *data)
{
	uint64_t id = birth->id;

	on_birth(birth, data);
	if (id < 10) {
		append_birth(0, 10 + id, 1);
		append_birth(1, 20 + id, 1);
	}
}

START_TEST(a_round_ends_at_the_heads_that_were_read_at_its_beginning)
{
	const struct record_sink writer = {.birth = append_more,
		.live = on_birth,
		.death = on_death,
		.end = on_end,
		.data = &got};
	size_t at = 0;

	append_birth(0, 1, 1);
	append_birth(0, 2, 1);
	append_birth(1, 3, 1);
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &writer), 0);
	assert_got_birth(&at, 1, 1);
	assert_got_birth(&at, 2, 1);
	assert_got_birth(&at, 3, 1);
	ck_assert_uint_eq(at, got.size);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 3 + 6);
}
END_TEST

START_TEST(a_budget_slices_a_round_without_moving_its_end)
{
	unsigned calls = 0;
	size_t at = 0;
	int r;

	for (uint64_t id = 1; id <= 40; id++)
		append_birth((uint32_t)(id / 20), id, 20);
	do {
		size_t before = got.size;
		r = ring_consumer_round(consumer, false, 1000, &sink);
		ck_assert_int_ge(r, 0);
		ck_assert_uint_le(got.size - before, 1000 + WIRE_RECORD_MAX);
		ck_assert(r == 0 || got.size > before);
		if (++calls == 1)
			append_birth(2, 99, 1); /* after the round's beginning */
	} while (r == 1);
	ck_assert_uint_ge(calls, got.size / (1000 + WIRE_RECORD_MAX));
	for (uint64_t id = 1; id <= 40; id++)
		assert_got_birth(&at, id, 20);
	ck_assert_uint_eq(at, got.size);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 99, 1);
	ck_assert_uint_eq(stats.rounds, 2);
}
END_TEST

START_TEST(the_smallest_budget_still_takes_the_largest_record)
{
	append_birth(0, 1, WIRE_MAX_FRAMES);
	append_birth(0, 2, WIRE_MAX_FRAMES);
	ck_assert_int_eq(ring_consumer_round(consumer, false, 1, &sink), 1);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_int_eq(ring_consumer_round(consumer, false, 1, &sink), 0);
	ck_assert_uint_eq(got.count, 2);
}
END_TEST

static uint64_t held_id;

static bool is_ready(const struct wire_birth *birth, void *data)
{
	ck_assert_ptr_eq(data, &got);
	return birth->id != held_id;
}

START_TEST(no_record_waits_while_another_ring_fills)
{
	struct record_sink holding = sink;
	size_t bytes = 0;

	holding.ready = is_ready;
	held_id = 1;
	append_birth(0, 1, 4);
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &holding), RING_CONSUMER_HELD);
	for (uint64_t id = 2; bytes <= segment.ring_size / 2; id++) {
		append_birth(1, id, 4);
		bytes += sizeof(struct wire_birth) + 4 * sizeof(uint64_t);
	}
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &holding), 0);
	size_t at = 0;
	assert_got_birth(&at, 1, 4);
}
END_TEST

START_TEST(a_record_that_is_not_ready_comes_again_and_nothing_overtakes_it)
{
	struct record_sink holding = sink;
	size_t at = 0;

	holding.ready = is_ready;
	held_id = 2;
	for (uint64_t id = 1; id <= 3; id++)
		append_birth(0, id, 4);
	append_birth(1, 4, 4);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(
			ring_consumer_round(consumer, false, ALL, &holding), RING_CONSUMER_HELD);
	assert_got_birth(&at, 1, 4);
	ck_assert_uint_eq(at, got.size);
	append_birth(1, 5, 4); /* not this round's */
	held_id = 4;
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &holding), RING_CONSUMER_HELD);
	held_id = 0;
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &holding), 0);
	ring_consumer_stats(consumer, &stats);
	ck_assert_uint_eq(stats.rounds, 1);
	ck_assert_uint_eq(stats.records, 4);
	ck_assert_uint_eq(stats.corrupt_records, 0);
	for (uint64_t id = 2; id <= 4; id++)
		assert_got_birth(&at, id, 4);
	ck_assert_uint_eq(at, got.size);
}
END_TEST

START_TEST(draining_an_untouched_ring_allocates_no_pages)
{
	struct stat before, after;

	ck_assert_int_eq(fstat(segment.fd, &before), 0);
	for (uint32_t i = 0; i < RINGS; i++)
		set_head(i, RING_SIZE);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.corrupt_records, RINGS);
	ck_assert_int_eq(fstat(segment.fd, &after), 0);
	ck_assert_int_eq(after.st_blocks, before.st_blocks);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ring_consumer_rounds");
	TCase *t = tcase_create("ring_consumer_rounds");
	tcase_add_checked_fixture(t, set_up, stop);
	tcase_add_test(t, without_a_dirty_bit_there_is_no_round);
	tcase_add_test(t, a_sweep_finds_what_no_dirty_bit_tells);
	tcase_add_test(t, one_dirty_bit_makes_a_round_over_all_rings);
	tcase_add_test(t, after_a_death_the_next_round_looks_into_every_ring);
	tcase_add_test(t, a_round_ends_at_the_heads_that_were_read_at_its_beginning);
	tcase_add_test(t, a_budget_slices_a_round_without_moving_its_end);
	tcase_add_test(t, the_smallest_budget_still_takes_the_largest_record);
	tcase_add_test(t, a_record_that_is_not_ready_comes_again_and_nothing_overtakes_it);
	tcase_add_test(t, no_record_waits_while_another_ring_fills);
	tcase_add_test(t, draining_an_untouched_ring_allocates_no_pages);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
