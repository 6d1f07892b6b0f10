/* Positions and records that no worker writes. */
#include "config.h"
#include <errno.h>
#include <unistd.h>
#include "consumer_fixture.h"

START_TEST(a_corrupt_head_costs_its_ring_only)
{
	static const uint64_t heads[] = {1024 + RING_SIZE + 8, 1024 - 8, 0, 1025, 1028, 1031,
		1024 + RING_SIZE + 1, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 63};
	size_t at = 0;

	fake_segment_seek(&segment, 1, 1024);
	restart_consumer();
	append_birth(0, 1, 2);
	append_birth(2, 3, 2);
	set_head(1, heads[_i]);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 2);
	assert_got_birth(&at, 3, 2);
	ck_assert_uint_eq(at, got.size);
	ck_assert_uint_eq(stats.corrupt_rings, 1);
	ck_assert_uint_eq(tail_of(1), heads[_i] & ~UINT64_C(7));

	set_head(1, heads[_i] & ~UINT64_C(7));
	assert_works(1);
	ck_assert_uint_eq(stats.corrupt_rings, 1);
}
END_TEST

START_TEST(a_head_that_stays_unaligned_is_counted_each_time_and_yields_nothing)
{
	set_head(0, 20);
	for (unsigned i = 1; i < 5; i++) {
		ck_assert_int_eq(ring_consumer_round(consumer, true, ALL, &sink), 0);
		ring_consumer_stats(consumer, &stats);
		ck_assert_uint_eq(stats.corrupt_rings, i);
	}
	ck_assert_uint_eq(got.count, 0);
}
END_TEST

START_TEST(a_corrupt_record_costs_what_follows_it_up_to_the_head)
{
	size_t at = 0;

	append_birth(0, 1, 2);
	uint64_t bad = head_of(0);
	append_birth(0, 2, 2);
	append_birth(0, 3, 2);
	append_birth(1, 4, 2);
	uint32_t size = 77;
	fake_segment_put(&segment, 0, bad, &size, sizeof(size));
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 2);
	assert_got_birth(&at, 4, 2);
	ck_assert_uint_eq(at, got.size);
	ck_assert_uint_eq(stats.corrupt_records, 1);
	ck_assert_uint_eq(tail_of(0), head_of(0));
	assert_works(0);
}
END_TEST

START_TEST(a_record_of_length_zero_never_spins)
{
	size_t offset = wire_ring_data_offset(RING_SIZE, 0);

	for (uint64_t id = 1; id <= 200; id++)
		append_death(0, id);
	ck_assert_int_eq(fallocate(segment.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (off_t)offset, RING_SIZE),
		0);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 0);
	ck_assert_uint_eq(stats.corrupt_records, 1);
	assert_works(0);
}
END_TEST

START_TEST(a_record_that_reaches_past_the_head_is_corrupt)
{
	append_birth(0, 1, 1);
	size_t size = fake_segment_birth(words(), 2, 30);
	fake_segment_put(&segment, 0, head_of(0), words(), size);
	set_head(0, head_of(0) + size - 8);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_uint_eq(stats.corrupt_records, 1);
	assert_works(0);
}
END_TEST

START_TEST(what_the_worker_writes_into_the_tail_is_not_read)
{
	size_t at = 0;

	append_birth(0, 1, 1);
	atomic_store_explicit(&segment.rings[0].tail, 12345, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	append_birth(0, 2, 1);
	atomic_store_explicit(&segment.rings[0].tail, 3, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 1);
	assert_got_birth(&at, 2, 1);
	ck_assert_uint_eq(tail_of(0), head_of(0));
	ck_assert_uint_eq(stats.corrupt_rings, 0);
}
END_TEST

START_TEST(a_new_daemon_begins_at_the_head_when_the_tail_cannot_be)
{
	static const uint64_t tails[] = {1, 7, RING_SIZE * 9, UINT64_MAX};

	for (uint64_t id = 1; id < 10; id++)
		append_birth(0, id, 1);
	atomic_store_explicit(&segment.rings[0].tail, tails[_i], memory_order_relaxed);
	restart_consumer();
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 0);
	ck_assert_uint_eq(stats.corrupt_rings, 1);
	ck_assert_uint_eq(tail_of(0), head_of(0));
	assert_works(0);
}
END_TEST

START_TEST(a_segment_that_cannot_be_read_is_an_error)
{
	append_birth(0, 1, 1);
	int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(dup2(nothing, segment_map_fd(map)), 0);
	close(nothing);
	ck_assert_int_eq(drain(), -EBADF);
	ck_assert_uint_eq(got.count, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ring_consumer_damage");
	TCase *t = tcase_create("ring_consumer_damage");
	tcase_add_checked_fixture(t, set_up, stop);
	tcase_add_loop_test(t, a_corrupt_head_costs_its_ring_only, 0, 10);
	tcase_add_test(t, a_head_that_stays_unaligned_is_counted_each_time_and_yields_nothing);
	tcase_add_test(t, a_corrupt_record_costs_what_follows_it_up_to_the_head);
	tcase_add_test(t, a_record_of_length_zero_never_spins);
	tcase_add_test(t, a_record_that_reaches_past_the_head_is_corrupt);
	tcase_add_test(t, what_the_worker_writes_into_the_tail_is_not_read);
	tcase_add_loop_test(t, a_new_daemon_begins_at_the_head_when_the_tail_cannot_be, 0, 4);
	tcase_add_test(t, a_segment_that_cannot_be_read_is_an_error);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
