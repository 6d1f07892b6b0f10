/* A segment made by hand, drained; what arrived is compared with what was written. */
#include "config.h"
#include "consumer_fixture.h"

static void assert_got_death(size_t *at, uint64_t id)
{
	size_t size = fake_segment_death(words(), id);

	ck_assert_uint_le(*at + size, got.size);
	ck_assert_mem_eq(got.bytes + *at, words(), size);
	*at += size;
}

START_TEST(records_arrive_with_all_their_bytes)
{
	size_t at = 0;

	append_birth(0, 1, 0);
	append_birth(0, 2, 30);
	append_birth(0, 3, WIRE_MAX_FRAMES);
	append_death(0, 1);
	append_birth(2, 4, 1);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 0);
	assert_got_birth(&at, 2, 30);
	assert_got_birth(&at, 3, WIRE_MAX_FRAMES);
	assert_got_death(&at, 1);
	assert_got_birth(&at, 4, 1);
	ck_assert_uint_eq(at, got.size);
	ck_assert_uint_eq(stats.records, 5);
	ck_assert_uint_eq(stats.bytes, got.size);
	ck_assert_uint_eq(stats.rounds, 1);
	ck_assert_uint_eq(stats.corrupt_records + stats.corrupt_rings + stats.unknown_records, 0);
}
END_TEST

START_TEST(the_shared_tail_follows_the_head)
{
	append_birth(1, 1, 5);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(tail_of(1), head_of(1));
	ck_assert_uint_eq(tail_of(0), 0);
}
END_TEST

START_TEST(a_record_may_wrap_around_at_every_offset)
{
	uint16_t frames = 20;
	size_t size = sizeof(struct wire_birth) + frames * sizeof(uint64_t);
	uint64_t id = 1;

	for (uint64_t before = 0; before <= size; before += 8) {
		fake_segment_seek(&segment, 1, 5 * RING_SIZE - before);
		restart_consumer();
		got.size = 0;
		append_birth(1, id, frames);
		append_death(1, id);
		ck_assert_int_eq(drain(), 0);
		size_t at = 0;
		assert_got_birth(&at, id, frames);
		assert_got_death(&at, id);
		ck_assert_uint_eq(at, got.size);
		id++;
	}
}
END_TEST

START_TEST(a_ring_filled_to_the_brim_is_drained)
{
	size_t at = 0, deaths = RING_SIZE / sizeof(struct wire_death);

	fake_segment_seek(&segment, 0, 40);
	restart_consumer();
	for (uint64_t id = 1; id <= deaths; id++)
		append_death(0, id);
	ck_assert_uint_eq(head_of(0) - tail_of(0), RING_SIZE);
	ck_assert_int_eq(drain(), 0);
	for (uint64_t id = 1; id <= deaths; id++)
		assert_got_death(&at, id);
	ck_assert_uint_eq(at, got.size);
}
END_TEST

START_TEST(positions_may_pass_the_end_of_their_type)
{
	size_t at = 0;

	fake_segment_seek(&segment, 0, UINT64_MAX - 63);
	restart_consumer();
	append_birth(0, 1, 10);
	append_birth(0, 2, 10);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 10);
	assert_got_birth(&at, 2, 10);
	ck_assert_uint_eq(stats.corrupt_rings, 0);
}
END_TEST

START_TEST(unknown_types_are_skipped_by_their_size)
{
	size_t at = 0;

	for (uint32_t size = 8; size <= WIRE_RECORD_MAX; size += 1024) {
		memset(words(), 0xaa, WIRE_RECORD_MAX);
		struct wire_record *newer = (struct wire_record *)words();
		newer->size = size;
		newer->type = 99;
		fake_segment_append(&segment, 0, newer, size);
	}
	append_birth(0, 5, 1);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 5, 1);
	ck_assert_uint_eq(at, got.size);
	ck_assert_uint_eq(stats.unknown_records, 5);
	ck_assert_uint_eq(stats.records, 1);
}
END_TEST

START_TEST(a_new_daemon_goes_on_where_the_last_one_stopped)
{
	size_t at = 0;

	append_birth(0, 1, 1);
	ck_assert_int_eq(drain(), 0);
	append_birth(0, 2, 1);
	got.size = 0;
	restart_consumer();
	ck_assert_int_eq(ring_consumer_round(consumer, true, ALL, &sink), 0);
	assert_got_birth(&at, 2, 1);
	ck_assert_uint_eq(at, got.size);
}
END_TEST

static const uint8_t *heard_at;

static void on_audit(const struct wire_audit *part, void *data)
{
	(void)data;
	heard_at = part->payload;
}

/* Looks at what belonged to calls that have returned. */
static __attribute__((noinline, no_sanitize("address", "thread"))) size_t count_bytes(
	const volatile uint8_t *from, size_t size, uint8_t value)
{
	size_t count = 0;
	for (size_t i = 0; i < size; i++)
		count += from[i] == value;
	return count;
}

START_TEST(what_an_audit_brought_is_not_left_in_memory)
{
	enum { SECRET = 0xa5, BYTES = 4096 };
	struct record_sink audits = sink;
	size_t size = fake_segment_audit(words(), 1, 4, BYTES, 32);
	memset((uint8_t *)words() + size - BYTES, SECRET, BYTES);
	fake_segment_append(&segment, 0, words(), size);
	audits.audit = on_audit;
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &audits), 0);
	size_t left = count_bytes(heard_at, BYTES, SECRET);
	ck_assert_uint_le(left, BYTES / 16);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ring_consumer");
	TCase *t = tcase_create("ring_consumer");
	tcase_add_checked_fixture(t, set_up, stop);
	tcase_add_test(t, records_arrive_with_all_their_bytes);
	tcase_add_test(t, the_shared_tail_follows_the_head);
	tcase_add_test(t, a_record_may_wrap_around_at_every_offset);
	tcase_add_test(t, a_ring_filled_to_the_brim_is_drained);
	tcase_add_test(t, positions_may_pass_the_end_of_their_type);
	tcase_add_test(t, unknown_types_are_skipped_by_their_size);
	tcase_add_test(t, a_new_daemon_goes_on_where_the_last_one_stopped);
	tcase_add_test(t, what_an_audit_brought_is_not_left_in_memory);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
