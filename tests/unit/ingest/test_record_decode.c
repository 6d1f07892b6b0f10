/* One field after the other is spoilt in a good record. */
#include "config.h"
#include "ingest/record_decode.h"
#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include "spprof/wire/segment.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

static union {
	uint64_t aligned;
	struct wire_record record;
	struct wire_birth birth;
	struct wire_death death;
	struct wire_end end;
	struct wire_audit audit;
	uint8_t bytes[WIRE_RECORD_MAX + 64];
} in;

static size_t size;

START_TEST(births_of_every_depth_are_accepted)
{
	for (uint16_t frames = 0; frames <= WIRE_MAX_FRAMES; frames++) {
		size_t whole = fake_segment_birth(&in, 7, frames);
		ck_assert_int_eq(record_decode(&in, sizeof(in), &size), RECORD_DECODE_BIRTH);
		ck_assert_uint_eq(size, whole);
	}
}
END_TEST

START_TEST(a_live_is_a_birth_told_again)
{
	size_t whole = fake_segment_live(&in, 7, 3, 2);
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), RECORD_DECODE_LIVE);
	ck_assert_uint_eq(size, whole);
	in.birth.id = 0;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
}
END_TEST

START_TEST(a_live_whose_stack_was_not_kept_has_no_frames)
{
	fake_segment_live(&in, 7, 0, 2);
	in.record.flags = WIRE_STACK_NOT_KEPT;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), RECORD_DECODE_LIVE);
	fake_segment_live(&in, 7, 1, 2);
	in.record.flags = WIRE_STACK_NOT_KEPT;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
}
END_TEST

START_TEST(answers_to_a_resync_name_an_epoch_that_can_be)
{
	static const struct {
		uint32_t epoch;
		bool can_be;
	} cases[] = {{0, false}, {1, true}, {WIRE_EPOCH_MAX, true}, {WIRE_EPOCH_MAX + 1, false},
		{UINT32_MAX, false}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t epoch = cases[i].epoch;
		fake_segment_live(&in, 7, 3, epoch);
		ck_assert_int_eq(record_decode(&in, sizeof(in), &size),
			cases[i].can_be ? RECORD_DECODE_LIVE : -EBADMSG);
		fake_segment_end(&in, epoch, 100);
		ck_assert_int_eq(record_decode(&in, sizeof(in), &size),
			cases[i].can_be ? RECORD_DECODE_END : -EBADMSG);
		fake_segment_take_back(&in, 7, epoch);
		ck_assert_int_eq(record_decode(&in, sizeof(in), &size),
			cases[i].can_be || epoch == 0 ? RECORD_DECODE_DEATH : -EBADMSG);
	}
}
END_TEST

START_TEST(the_parts_of_an_audit_are_accepted)
{
	static const uint16_t offsets[] = {0, 4096, 8192, 12288, 16384};

	for (size_t i = 0; i < sizeof(offsets) / sizeof(offsets[0]); i++) {
		size_t whole = fake_segment_audit(
			&in, 7, WIRE_MAX_FRAMES, WIRE_AUDIT_STACK_MAX, offsets[i]);
		ck_assert_int_eq(record_decode(&in, sizeof(in), &size), RECORD_DECODE_AUDIT);
		ck_assert_uint_eq(size, whole);
		ck_assert_uint_le(size, WIRE_RECORD_MAX);
	}
}
END_TEST

static void good_audit(void)
{
	fake_segment_audit(&in, 7, 3, 64, 24);
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), RECORD_DECODE_AUDIT);
}

#define SPOILT(change)                                                                             \
	do {                                                                                       \
		good_audit();                                                                      \
		change;                                                                            \
		ck_assert_msg(record_decode(&in, sizeof(in), &size) == -EBADMSG, #change);         \
	} while (0)

START_TEST(an_audit_that_does_not_add_up_is_malformed)
{
	SPOILT(in.audit.id = 0);
	SPOILT(in.audit.stop = WIRE_STOP_KINDS);
	SPOILT(in.audit.frame_count = 0);
	SPOILT(in.audit.frame_count = WIRE_MAX_FRAMES + 1);
	SPOILT(in.audit.frame_count = 2);
	SPOILT(in.audit.stack_bytes = 0);
	SPOILT(in.audit.stack_bytes = 56);
	SPOILT(in.audit.stack_bytes = 68);
	SPOILT(in.audit.stack_bytes = WIRE_AUDIT_STACK_MAX + 8);
	SPOILT(in.audit.offset = 32);
	SPOILT(in.audit.offset = 20);
	SPOILT(in.audit.offset = 0xfff8);
	SPOILT(in.audit.sp = 0x7001);
	SPOILT(in.audit.sp = UINT64_MAX - 7);
	SPOILT(in.record.size = sizeof(struct wire_audit));
	SPOILT(in.record.size += 8);
}
END_TEST

START_TEST(an_end_of_another_size_is_malformed)
{
	fake_segment_end(&in, 3, 100);
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), RECORD_DECODE_END);
	ck_assert_uint_eq(size, sizeof(struct wire_end));
	in.record.size += 8;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
	in.record.size = sizeof(struct wire_record);
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
}
END_TEST

START_TEST(a_death_is_accepted)
{
	fake_segment_death(&in, 7);
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), RECORD_DECODE_DEATH);
	ck_assert_uint_eq(size, sizeof(struct wire_death));
}
END_TEST

START_TEST(a_record_cut_off_anywhere_asks_for_more)
{
	size_t whole = fake_segment_birth(&in, 7, 5);

	for (size_t available = 0; available < whole; available += 8)
		ck_assert_int_eq(record_decode(&in, available, &size), -EAGAIN);
	ck_assert_int_eq(record_decode(&in, whole, &size), RECORD_DECODE_BIRTH);
}
END_TEST

START_TEST(sizes_of_no_record_are_malformed_whatever_the_type)
{
	static const uint32_t sizes[] = {0, 1, 4, 7, 9, 12, 63, 65, WIRE_RECORD_MAX + 8, UINT32_MAX,
		UINT32_MAX - 7, 1u << 31};

	for (uint16_t type = 0; type < 6; type++) {
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			fake_segment_birth(&in, 7, 3);
			in.record.type = type;
			in.record.size = sizes[i];
			ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
		}
	}
}
END_TEST

START_TEST(a_size_that_does_not_fit_the_frame_count_is_malformed)
{
	fake_segment_birth(&in, 7, 3);
	in.birth.frame_count = 4;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
	in.birth.frame_count = 2;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
	in.birth.frame_count = UINT16_MAX;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
	in.birth.frame_count = 0;
	in.record.size = sizeof(struct wire_birth) - 8;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
}
END_TEST

START_TEST(a_birth_without_id_is_malformed)
{
	fake_segment_birth(&in, 7, 3);
	in.birth.id = 0;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
}
END_TEST

START_TEST(sizes_and_intervals_outside_their_range_are_malformed)
{
	static const struct {
		uint64_t value;
		int expected;
	} cases[] = {
		{0, -EBADMSG},
		{1, RECORD_DECODE_BIRTH},
		{UINT64_C(1) << 62, RECORD_DECODE_BIRTH},
		{(UINT64_C(1) << 62) + 1, -EBADMSG},
		{UINT64_MAX, -EBADMSG},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		fake_segment_birth(&in, 7, 3);
		in.birth.size_bytes = cases[i].value;
		ck_assert_int_eq(record_decode(&in, sizeof(in), &size), cases[i].expected);
		fake_segment_birth(&in, 7, 3);
		in.birth.interval_bytes = cases[i].value;
		ck_assert_int_eq(record_decode(&in, sizeof(in), &size), cases[i].expected);
	}
}
END_TEST

START_TEST(a_stop_that_does_not_exist_is_malformed)
{
	fake_segment_birth(&in, 7, 3);
	in.birth.stop = WIRE_STOP_KINDS - 1;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), RECORD_DECODE_BIRTH);
	in.birth.stop = WIRE_STOP_KINDS;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
}
END_TEST

START_TEST(a_death_of_another_size_or_without_id_is_malformed)
{
	fake_segment_death(&in, 7);
	in.record.size += 8;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
	in.record.size -= 16;
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
	fake_segment_death(&in, 0);
	ck_assert_int_eq(record_decode(&in, sizeof(in), &size), -EBADMSG);
}
END_TEST

START_TEST(types_of_a_newer_agent_are_skipped_by_their_size)
{
	memset(&in, 0, sizeof(in));
	for (uint32_t whole = 8; whole <= WIRE_RECORD_MAX; whole += 8) {
		in.record.size = whole;
		in.record.type = 77;
		ck_assert_int_eq(record_decode(&in, sizeof(in), &size), RECORD_DECODE_UNKNOWN);
		ck_assert_uint_eq(size, whole);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("record_decode");
	TCase *t = tcase_create("record_decode");

	tcase_add_test(t, births_of_every_depth_are_accepted);
	tcase_add_test(t, a_live_is_a_birth_told_again);
	tcase_add_test(t, a_live_whose_stack_was_not_kept_has_no_frames);
	tcase_add_test(t, answers_to_a_resync_name_an_epoch_that_can_be);
	tcase_add_test(t, the_parts_of_an_audit_are_accepted);
	tcase_add_test(t, an_audit_that_does_not_add_up_is_malformed);
	tcase_add_test(t, an_end_of_another_size_is_malformed);
	tcase_add_test(t, a_death_is_accepted);
	tcase_add_test(t, a_record_cut_off_anywhere_asks_for_more);
	tcase_add_test(t, sizes_of_no_record_are_malformed_whatever_the_type);
	tcase_add_test(t, a_size_that_does_not_fit_the_frame_count_is_malformed);
	tcase_add_test(t, a_birth_without_id_is_malformed);
	tcase_add_test(t, sizes_and_intervals_outside_their_range_are_malformed);
	tcase_add_test(t, a_stop_that_does_not_exist_is_malformed);
	tcase_add_test(t, a_death_of_another_size_or_without_id_is_malformed);
	tcase_add_test(t, types_of_a_newer_agent_are_skipped_by_their_size);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
