/* codes: one number for each code, its definition in the segment, and what a fork makes of both. */
#define _GNU_SOURCE
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fork_word.h"
#include "python/codes.h"
#include "segment.h"
#include "support/fake_code.h"
#include "support/tap_main.h"

static struct segment segment;
static struct layout layout;

static struct segment make_segment(void)
{
	const struct segment_facts facts = {
		.ring_count = 2, .ring_size = 64u << 10, .interval_bytes = 1024};
	struct segment made;

	ck_assert_int_eq(segment_create(&made, &facts), 0);
	segment_map_definitions(&made);
	return made;
}

static void setup(void)
{
	layout = fake_layout();
	ck_assert_int_eq(fork_word_make(), 0);
	segment = make_segment();
	ck_assert(codes_init());
}

static uint32_t number_of(const struct fake_code *code)
{
	struct codes_last last = {0};

	return codes_number(&layout, &segment, &last, (const char *)code);
}

static const struct wire_code *definition_in(const struct segment *where, uint32_t number)
{
	const uint64_t *index =
		(const uint64_t *)(const void *)(where->definitions + WIRE_CODES_INDEX_OFFSET);

	if (number == 0 || index[number] == 0)
		return NULL;
	const struct wire_code *code = (const void *)(where->definitions + (index[number] >> 32));
	ck_assert_uint_eq(code->size, (uint32_t)index[number]);
	ck_assert_uint_ge(index[number] >> 32, WIRE_CODES_OFFSET);
	ck_assert_uint_le((index[number] >> 32) + code->size, WIRE_DEFINITIONS_SIZE);
	return code;
}

static void assert_is(const struct wire_code *code, const char *name, const char *file, int line)
{
	ck_assert_ptr_nonnull(code);
	ck_assert_uint_eq(code->name_bytes, strlen(name));
	ck_assert_uint_eq(code->file_bytes, strlen(file));
	ck_assert_int_eq(memcmp(code->text, name, strlen(name)), 0);
	ck_assert_int_eq(memcmp(code->text + strlen(name), file, strlen(file)), 0);
	ck_assert_int_eq(code->first_line, line);
}

START_TEST(a_code_is_defined_once_as_it_is)
{
	struct fake_code *code = fake_code_new("Thing.method", "/srv/app.py", 42, 7);
	uint32_t number = number_of(code);
	const struct wire_code *definition = definition_in(&segment, number);

	assert_is(definition, "Thing.method", "/srv/app.py", 42);
	ck_assert_uint_eq(definition->lines, WIRE_CODE_LOCATIONS);
	ck_assert_uint_eq(definition->flags, 0);
	ck_assert_uint_eq(definition->line_bytes, 16);
	ck_assert_int_eq(memcmp(definition->text + definition->name_bytes + definition->file_bytes,
				 code->lines->data, 16),
		0);
	for (int i = 0; i < 100; i++)
		ck_assert_uint_eq(number_of(code), number);
	ck_assert_uint_eq(atomic_load(&segment.header->counters.codes), 1);
}
END_TEST

START_TEST(the_same_code_made_anew_has_the_same_number)
{
	uint32_t first = number_of(fake_code_new("f", "/srv/app.py", 1, 1));

	for (int i = 0; i < 50; i++)
		ck_assert_uint_eq(number_of(fake_code_new("f", "/srv/app.py", 1, 1)), first);
	ck_assert_uint_ne(number_of(fake_code_new("g", "/srv/app.py", 1, 1)), first);
	ck_assert_uint_ne(number_of(fake_code_new("f", "/srv/app.pz", 1, 1)), first);
	ck_assert_uint_ne(number_of(fake_code_new("f", "/srv/app.py", 2, 1)), first);
	ck_assert_uint_ne(number_of(fake_code_new("f", "/srv/app.py", 1, 2)), first);
	ck_assert_uint_eq(atomic_load(&segment.header->counters.codes), 5);
}
END_TEST

START_TEST(other_code_at_the_same_addresses_has_another_number)
{
	struct fake_code *code = fake_code_new("f", "<string>", 1, 1);
	uint32_t before = number_of(code);

	fake_code_set(code, "g", "<string>", 1, 1);
	uint32_t name = number_of(code);
	fake_code_set(code, "f", "<strinG>", 1, 1);
	uint32_t file = number_of(code);
	fake_code_set(code, "f", "<string>", 1, 1);
	code->lines->data[8] ^= 1;
	uint32_t lines = number_of(code);
	ck_assert(name != before && file != before && lines != before);
	assert_is(definition_in(&segment, name), "g", "<string>", 1);
	assert_is(definition_in(&segment, file), "f", "<strinG>", 1);
	fake_code_set(code, "f", "<string>", 1, 1);
	ck_assert_uint_eq(number_of(code), before);
}
END_TEST

START_TEST(what_is_too_long_is_cut_and_said_to_be)
{
	struct fake_code *code = fake_code_new("", "", 1, 1);
	char name[1024], file[2048];

	memset(name, 'n', sizeof name);
	memset(file, 'd', sizeof file);
	memcpy(file + sizeof file - 5, "/m.py", 5);
	fake_string_set(code->name, name, sizeof name, 1);
	fake_string_set(code->file, file, sizeof file, 1);
	code->lines->size = sizeof code->lines->data;
	const struct wire_code *cut = definition_in(&segment, number_of(code));
	ck_assert_uint_eq(cut->name_bytes, WIRE_CODE_NAME_MAX);
	ck_assert_uint_eq(cut->file_bytes, WIRE_CODE_FILE_MAX);
	ck_assert_uint_eq(cut->line_bytes, WIRE_CODE_LINES_MAX);
	ck_assert_uint_eq(
		cut->flags, WIRE_CODE_NAME_CUT | WIRE_CODE_FILE_CUT | WIRE_CODE_LINES_CUT);
	ck_assert_int_eq(memcmp(cut->text + cut->name_bytes + cut->file_bytes - 5, "/m.py", 5), 0);
}
END_TEST

static unsigned fill(unsigned count, uint64_t line_bytes)
{
	struct fake_code *code = fake_code_new("full", "/srv/app.py", 1, 1);
	unsigned kept = 0;

	code->lines->size = line_bytes;
	for (unsigned i = 0; i < count; i++) {
		code->first_line = (int32_t)i;
		kept += number_of(code) != 0;
	}
	return kept;
}

START_TEST(numbers_come_to_an_end)
{
	ck_assert_uint_eq(fill(WIRE_CODES_MAX + 1000, 16), WIRE_CODES_MAX - 1);
	ck_assert_ptr_nonnull(definition_in(&segment, WIRE_CODES_MAX - 1));
	ck_assert_uint_eq(number_of(fake_code_new("more", "/srv/app.py", 1, 1)), 0);
}
END_TEST

START_TEST(room_comes_to_an_end)
{
	uint32_t first = number_of(fake_code_new("first", "/srv/app.py", 1, 1));
	unsigned kept = fill(1000, WIRE_CODE_LINES_MAX);

	ck_assert_uint_gt(kept, 200);
	ck_assert_uint_lt(kept, WIRE_DEFINITIONS_SIZE / WIRE_CODE_LINES_MAX);
	for (uint32_t number = 1; number <= kept + 1; number++)
		ck_assert_ptr_nonnull(definition_in(&segment, number));
	assert_is(definition_in(&segment, first), "first", "/srv/app.py", 1);
}
END_TEST

START_TEST(what_a_stack_repeats_is_found_again_and_nothing_else)
{
	struct fake_code *f = fake_code_new("f", "/srv/app.py", 1, 1);
	struct fake_code *g = fake_code_new("g", "/srv/app.py", 9, 1);
	struct fake_code *elsewhere = fake_code_new("f", "/srv/lib.py", 1, 1);
	const struct fake_code *stack[] = {f, f, g, g, f, elsewhere, f, elsewhere, g};
	struct codes_last last = {0};

	g->file = f->file; /* as in an interpreter, where a file's code shares its name */
	for (unsigned i = 0; i < sizeof stack / sizeof stack[0]; i++)
		ck_assert_uint_eq(codes_number(&layout, &segment, &last, (const char *)stack[i]),
			number_of(stack[i]));
	ck_assert_uint_ne(number_of(f), number_of(g));
	ck_assert_uint_ne(number_of(f), number_of(elsewhere));
}
END_TEST

START_TEST(without_a_segment_nothing_is_defined)
{
	struct segment none;
	struct codes_last last = {0};
	const char *code = (const char *)fake_code_new("f", "/srv/app.py", 1, 1);

	segment_init_private(&none);
	ck_assert_uint_eq(codes_number(&layout, &none, &last, code), 0);
	ck_assert_uint_eq(codes_number(&layout, &none, &last, code), 0);
	ck_assert_uint_ne(codes_number(&layout, &segment, &last, code), 0);
}
END_TEST

START_TEST(a_child_takes_over_what_its_parent_has_defined)
{
	struct fake_code *old = fake_code_new("old", "/srv/app.py", 1, 1);
	uint32_t number = number_of(old);
	struct segment child = make_segment();

	codes_inherit(&child, &segment);
	assert_is(definition_in(&child, number), "old", "/srv/app.py", 1);
	ck_assert_uint_eq(atomic_load(&child.header->counters.codes), 1);
	segment = child;
	ck_assert_uint_eq(number_of(old), number);
	uint32_t next = number_of(fake_code_new("new", "/srv/app.py", 1, 1));
	ck_assert_uint_eq(next, number + 1);
	assert_is(definition_in(&child, next), "new", "/srv/app.py", 1);
}
END_TEST

START_TEST(a_child_of_a_process_without_a_segment_begins_anew)
{
	struct fake_code *old = fake_code_new("old", "/srv/app.py", 1, 1);
	struct segment none, child = make_segment();

	ck_assert_uint_eq(number_of(fake_code_new("other", "/srv/app.py", 1, 1)), 1);
	ck_assert_uint_eq(number_of(old), 2);
	segment_init_private(&none);
	codes_inherit(&none, &segment);
	codes_inherit(&child, &none);
	segment = child;
	ck_assert_uint_eq(number_of(old), 1);
	assert_is(definition_in(&child, 1), "old", "/srv/app.py", 1);
}
END_TEST

START_TEST(a_child_that_nobody_has_settled_writes_nothing_into_its_parents_segment)
{
	struct fake_code *code = fake_code_new("child", "/srv/app.py", 1, 1);

	number_of(fake_code_new("parent", "/srv/app.py", 1, 1));
	pid_t pid = fork();
	if (pid == 0)
		_exit(number_of(code) != 0);
	int status;
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	ck_assert_ptr_null(definition_in(&segment, 2));
	ck_assert_uint_eq(number_of(code), 2);
	assert_is(definition_in(&segment, 2), "child", "/srv/app.py", 1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("codes");
	TCase *t = tcase_create("codes");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_code_is_defined_once_as_it_is);
	tcase_add_test(t, the_same_code_made_anew_has_the_same_number);
	tcase_add_test(t, other_code_at_the_same_addresses_has_another_number);
	tcase_add_test(t, what_is_too_long_is_cut_and_said_to_be);
	tcase_add_test(t, numbers_come_to_an_end);
	tcase_add_test(t, room_comes_to_an_end);
	tcase_add_test(t, what_a_stack_repeats_is_found_again_and_nothing_else);
	tcase_add_test(t, without_a_segment_nothing_is_defined);
	tcase_add_test(t, a_child_takes_over_what_its_parent_has_defined);
	tcase_add_test(t, a_child_of_a_process_without_a_segment_begins_anew);
	tcase_add_test(t, a_child_that_nobody_has_settled_writes_nothing_into_its_parents_segment);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
