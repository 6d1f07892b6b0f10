#include "config.h"
#include <errno.h>
#include <string.h>
#include "ingest/code_decode.h"
#include "spprof/wire/definitions.h"
#include "support/tap_main.h"

#define BEGIN WIRE_CODES_OFFSET
#define END   WIRE_DEFINITIONS_SIZE

static _Alignas(8) uint8_t bytes[CODE_DECODE_MAX_SIZE + 8];
static struct wire_code *const code = (struct wire_code *)bytes;
static struct code_definition got;

static int place(uint64_t offset, uint64_t size)
{
	uint32_t got_offset, got_size;
	int r = code_decode_place(WIRE_CODE_PLACE(offset, size), &got_offset, &got_size);
	if (r == 0) {
		ck_assert_uint_eq(got_offset, offset);
		ck_assert_uint_eq(got_size, size);
	}
	return r;
}

/* Returns its size. */
static uint32_t define(const char *name, const char *file, uint32_t line_bytes)
{
	memset(bytes, 0, sizeof bytes);
	code->lines = WIRE_CODE_LOCATIONS;
	code->first_line = 12;
	code->name_bytes = (uint16_t)strlen(name);
	code->file_bytes = (uint16_t)strlen(file);
	code->line_bytes = line_bytes;
	memcpy(code->text, name, code->name_bytes);
	memcpy(code->text + code->name_bytes, file, code->file_bytes);
	memset(code->text + code->name_bytes + code->file_bytes, 0x80, line_bytes);
	code->size =
		(uint32_t)(sizeof *code + code->name_bytes + code->file_bytes + line_bytes + 7) &
		~7u;
	return code->size;
}

static void check_text(const char *text, const char *is, size_t size)
{
	ck_assert_uint_eq(size, strlen(text));
	ck_assert_mem_eq(is, text, size);
}

START_TEST(a_place_lies_among_the_definitions)
{
	ck_assert_int_eq(place(0, 0), -ENOENT);
	ck_assert_int_eq(place(BEGIN, 24), 0);
	ck_assert_int_eq(place(END - 24, 24), 0);
	ck_assert_int_eq(place(END - CODE_DECODE_MAX_SIZE, CODE_DECODE_MAX_SIZE), 0);
	ck_assert_int_eq(place(END - 24, 32), -EBADMSG);
	ck_assert_int_eq(place(END, 24), -EBADMSG);
	ck_assert_int_eq(place(UINT32_MAX & ~7u, 24), -EBADMSG);
	ck_assert_int_eq(place(BEGIN - 8, 24), -EBADMSG);
	ck_assert_int_eq(place(0, 24), -EBADMSG);
	ck_assert_int_eq(place(BEGIN + 4, 24), -EBADMSG);
}
END_TEST

START_TEST(a_place_has_a_possible_size)
{
	ck_assert_int_eq(place(BEGIN, 0), -EBADMSG);
	ck_assert_int_eq(place(BEGIN, 16), -EBADMSG);
	ck_assert_int_eq(place(BEGIN, 25), -EBADMSG);
	ck_assert_int_eq(place(BEGIN, CODE_DECODE_MAX_SIZE + 8), -EBADMSG);
	ck_assert_int_eq(place(BEGIN, UINT32_MAX), -EBADMSG);
}
END_TEST

START_TEST(a_definition_is_taken_apart)
{
	uint32_t size = define("Loader.load", "/srv/app.py", 5);
	code->flags = WIRE_CODE_FILE_CUT | WIRE_CODE_LINES_CUT;
	ck_assert_int_eq(code_decode(bytes, size, &got), 0);
	check_text("Loader.load", got.name, got.name_bytes);
	check_text("/srv/app.py", got.file, got.file_bytes);
	ck_assert(!got.name_cut && got.file_cut && got.lines_cut);
	ck_assert_int_eq(got.first_line, 12);
	ck_assert_uint_eq(got.lines, WIRE_CODE_LOCATIONS);
	ck_assert_uint_eq(got.line_bytes, 5);
	ck_assert_mem_eq(got.line_table, "\x80\x80\x80\x80\x80", 5);
}
END_TEST

START_TEST(a_definition_may_have_nothing_but_its_head)
{
	ck_assert_int_eq(code_decode(bytes, define("", "", 0), &got), 0);
	ck_assert_uint_eq(got.name_bytes + got.file_bytes + got.line_bytes, 0);
}
END_TEST

START_TEST(the_size_is_the_one_that_was_told)
{
	uint32_t size = define("f", "a.py", 8);
	code->size += 8;
	ck_assert_int_eq(code_decode(bytes, size, &got), -EBADMSG);
	code->size -= 16;
	ck_assert_int_eq(code_decode(bytes, size, &got), -EBADMSG);
	ck_assert_int_eq(code_decode(bytes, CODE_DECODE_MAX_SIZE + 8, &got), -EBADMSG);
	ck_assert_int_eq(code_decode(bytes, 16, &got), -EBADMSG);
}
END_TEST

START_TEST(no_part_reaches_beyond_the_whole)
{
	uint32_t size = define("f", "a.py", 8);
	code->line_bytes += 8;
	ck_assert_int_eq(code_decode(bytes, size, &got), -EBADMSG);
	code->line_bytes = UINT32_MAX - 4;
	ck_assert_int_eq(code_decode(bytes, size, &got), -EBADMSG);
	size = define("f", "a.py", 8);
	code->file_bytes += 16;
	ck_assert_int_eq(code_decode(bytes, size, &got), -EBADMSG);
}
END_TEST

START_TEST(no_part_is_larger_than_parts_are)
{
	uint32_t size = define("f", "a.py", WIRE_CODE_LINES_MAX);
	ck_assert_int_eq(code_decode(bytes, size, &got), 0);
	code->line_bytes = 0;
	code->name_bytes = WIRE_CODE_NAME_MAX + 1;
	ck_assert_int_eq(code_decode(bytes, size, &got), -EBADMSG);
	code->name_bytes = WIRE_CODE_NAME_MAX;
	ck_assert_int_eq(code_decode(bytes, size, &got), 0);
	code->file_bytes = WIRE_CODE_FILE_MAX + 1;
	ck_assert_int_eq(code_decode(bytes, size, &got), -EBADMSG);
}
END_TEST

START_TEST(control_characters_become_question_marks)
{
	uint32_t size = define("a\x01"
			       "b\n\x1b[31m\x7f",
		"\xc3\xa9\r.py", 2);
	code->text[0] = '\0';
	ck_assert_int_eq(code_decode(bytes, size, &got), 0);
	check_text("??b??[31m?", got.name, got.name_bytes);
	check_text("\xc3\xa9?.py", got.file, got.file_bytes);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("code_decode");
	TCase *tc = tcase_create("code_decode");
	tcase_add_test(tc, a_place_lies_among_the_definitions);
	tcase_add_test(tc, a_place_has_a_possible_size);
	tcase_add_test(tc, a_definition_is_taken_apart);
	tcase_add_test(tc, a_definition_may_have_nothing_but_its_head);
	tcase_add_test(tc, the_size_is_the_one_that_was_told);
	tcase_add_test(tc, no_part_reaches_beyond_the_whole);
	tcase_add_test(tc, no_part_is_larger_than_parts_are);
	tcase_add_test(tc, control_characters_become_question_marks);
	suite_add_tcase(s, tc);
	return s;
}

TAP_MAIN(suite)
