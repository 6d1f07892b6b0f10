#include "config.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include "ingest/code_decode.h"
#include "ingest/segment_map.h"
#include "server/session_codes.h"
#include "spprof/wire/definitions.h"
#include "spprof/wire/record.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

static struct fake_segment segment;
static struct segment_map *map;
static struct session_codes *codes;

static void make(size_t max_bytes)
{
	session_codes_free(codes);
	ck_assert_int_eq(session_codes_new(&codes, map, max_bytes), 0);
}

static void setup(void)
{
	fake_segment_init(&segment, 2, 64u << 10, 0);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	ck_assert_int_eq(segment_map_new(&map, fake_segment_dup(&segment), NULL), 0);
	codes = NULL;
	make(SESSION_CODES_MAX_BYTES);
}

static void teardown(void)
{
	session_codes_free(codes);
	segment_map_free(map);
	fake_segment_deinit(&segment);
}

/* The line, or -1: not kept. */
static int64_t line_of(uint64_t code, uint32_t unit)
{
	uint32_t line = 12345;
	return session_codes_line(codes, code, unit, &line) ? (int64_t)line : -1;
}

START_TEST(a_unit_has_its_line)
{
	fake_segment_code(&segment, 3, "f", "a.py", 10);
	ck_assert_int_eq(line_of(3, 0), 10);
	ck_assert_int_eq(line_of(3, 63), 73);
	ck_assert_int_eq(line_of(3, 64), 0);
	ck_assert_int_eq(line_of(3, WIRE_FRAME_NO_UNIT - 1), 0);
	ck_assert_int_eq(line_of(3, WIRE_FRAME_NO_UNIT), 10);
	struct session_code code = session_codes_get(codes, 3);
	ck_assert_str_eq(code.name, "f");
	ck_assert_str_eq(code.file, "a.py");
	ck_assert_uint_eq(code.first_line, 10);
}
END_TEST

START_TEST(the_last_number_is_one_and_the_next_is_none)
{
	fake_segment_code(&segment, WIRE_CODES_MAX - 1, "f", "a.py", 10);
	ck_assert_int_eq(line_of(WIRE_CODES_MAX - 1, 0), 10);
	ck_assert_int_eq(line_of(WIRE_CODES_MAX, 0), -1);
	ck_assert_int_eq(line_of(0, 0), -1);
	ck_assert_int_eq(line_of(UINT64_MAX, 0), -1);
}
END_TEST

START_TEST(what_was_found_is_not_fetched_again)
{
	struct wire_code *code = fake_segment_code(&segment, 1, "f", "a.py", 10);
	ck_assert_int_eq(line_of(1, 5), 15);
	memset(code, 0xff, sizeof *code);
	fake_segment_code_place(&segment, 1, 0);
	ck_assert_int_eq(line_of(1, 5), 15);
	session_codes_detach(codes);
	ck_assert_int_eq(line_of(1, 6), 16);
	ck_assert_str_eq(session_codes_get(codes, 1).name, "f");
}
END_TEST

START_TEST(without_a_segment_nothing_new_is_known)
{
	fake_segment_code(&segment, 1, "f", "a.py", 10);
	session_codes_detach(codes);
	ck_assert_int_eq(line_of(1, 0), -1);
}
END_TEST

START_TEST(what_made_no_sense_once_never_does)
{
	struct wire_code *code = fake_segment_code(&segment, 1, "f", "a.py", 10);
	uint32_t size = code->size;
	code->size += 8;
	ck_assert_int_eq(line_of(1, 0), -1);
	code->size = size;
	session_codes_round(codes);
	ck_assert_int_eq(line_of(1, 0), -1);
	fake_segment_code_place(&segment, 2, UINT64_MAX);
	ck_assert_int_eq(line_of(2, 0), -1);
}
END_TEST

START_TEST(what_was_not_there_is_looked_for_again)
{
	ck_assert_int_eq(line_of(1, 0), -1);
	fake_segment_code(&segment, 1, "f", "a.py", 10);
	ck_assert_int_eq(line_of(1, 0), 10);
}
END_TEST

START_TEST(a_round_looks_in_vain_a_few_times_only)
{
	fake_segment_code(&segment, 1, "f", "a.py", 10);
	ck_assert_int_eq(line_of(1, 0), 10);
	for (uint32_t code = 100; code < 612; code++)
		ck_assert_int_eq(line_of(code, 0), -1);
	fake_segment_code(&segment, 2, "g", "a.py", 20);
	ck_assert_int_eq(line_of(2, 0), -1);
	ck_assert_int_eq(line_of(1, 0), 10);
	session_codes_round(codes);
	ck_assert_int_eq(line_of(2, 0), 20);
}
END_TEST

START_TEST(memory_is_bounded_and_what_is_there_stays)
{
	char name[32];
	make(64u << 10);
	uint32_t kept = 0;
	for (uint32_t i = 1; i < 2000; i++) {
		snprintf(name, sizeof name, "function_%u", i);
		fake_segment_code(&segment, i, name, "a.py", 10);
		kept += line_of(i, 0) == 10;
		ck_assert_uint_le(session_codes_bytes(codes), 64u << 10);
	}
	ck_assert_uint_gt(kept, 20);
	ck_assert_uint_lt(kept, 1000);
	ck_assert_int_eq(line_of(1, 3), 13);
	ck_assert_str_eq(session_codes_get(codes, kept).file, "a.py");
}
END_TEST

START_TEST(no_more_is_fetched_than_there_can_be)
{
	struct wire_code *code = fake_segment_code(&segment, 1, "f", "a.py", 10);
	uint64_t most = WIRE_DEFINITIONS_SIZE / CODE_DECODE_MAX_SIZE + 1, kept = 0;
	code->size = CODE_DECODE_MAX_SIZE;
	for (uint32_t i = 1; i < 2 * most; i++) {
		fake_segment_code_place(
			&segment, i, WIRE_CODE_PLACE(WIRE_CODES_OFFSET, CODE_DECODE_MAX_SIZE));
		kept += line_of(i, 1) == 11;
		session_codes_round(codes);
	}
	ck_assert_uint_eq(kept, most);
}
END_TEST

START_TEST(what_is_cut_says_so)
{
	struct wire_code *code = fake_segment_code(&segment, 1, "Outer.inn", "srv/app.py", 10);
	code->flags = WIRE_CODE_NAME_CUT | WIRE_CODE_FILE_CUT | WIRE_CODE_LINES_CUT;
	ck_assert_int_eq(line_of(1, 62), 72);
	ck_assert_int_eq(line_of(1, 63), 0);
	ck_assert_str_eq(session_codes_get(codes, 1).name, "Outer.inn..");
	ck_assert_str_eq(session_codes_get(codes, 1).file, "..srv/app.py");
}
END_TEST

START_TEST(a_first_line_below_one_is_none)
{
	fake_segment_code(&segment, 1, "f", "a.py", -7);
	ck_assert_int_eq(line_of(1, WIRE_FRAME_NO_UNIT), 0);
	ck_assert_int_eq(line_of(1, 6), 0);
	ck_assert_int_eq(line_of(1, 9), 2);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("session_codes");
	TCase *t = tcase_create("session_codes");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_unit_has_its_line);
	tcase_add_test(t, the_last_number_is_one_and_the_next_is_none);
	tcase_add_test(t, what_was_found_is_not_fetched_again);
	tcase_add_test(t, without_a_segment_nothing_new_is_known);
	tcase_add_test(t, what_made_no_sense_once_never_does);
	tcase_add_test(t, what_was_not_there_is_looked_for_again);
	tcase_add_test(t, a_round_looks_in_vain_a_few_times_only);
	tcase_add_test(t, memory_is_bounded_and_what_is_there_stays);
	tcase_add_test(t, no_more_is_fetched_than_there_can_be);
	tcase_add_test(t, what_is_cut_says_so);
	tcase_add_test(t, a_first_line_below_one_is_none);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
