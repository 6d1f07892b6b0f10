/* Helpers that are killed, hang, lie or cannot be started, and files that make them. */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include "symbol_client_fixture.h"

/* Runs the loop until the helper has answered this much. */
static void await_answers(uint64_t wanted)
{
	while (stats().offsets_answered < wanted)
		uv_run(&loop, UV_RUN_ONCE);
}

START_TEST(a_helper_killed_during_a_resolve_is_restarted_and_the_rest_answered)
{
	enum { COUNT = 20000 };
	static struct symbol_query queries[COUNT];
	use_fake();
	uint32_t files[] = {add_word("pieces"), add_word("pieces"), add_word("answer")};
	for (int i = 0; i < COUNT; i++)
		queries[i] = (struct symbol_query){files[i % 3], (uint64_t)i};
	begin(queries, COUNT, LONG_MS);
	await_answers(500);
	ck_assert_uint_lt(stats().offsets_answered, COUNT);
	ck_assert_int_eq(kill(stats().helper_pid, SIGKILL), 0);
	await_calls(1);
	ck_assert_uint_eq(stats().helper_starts, 2);
	ck_assert_uint_eq(stats().helper_deaths, 1);
	for (int i = 0; i < COUNT; i++)
		assert_state(queries[i].file, queries[i].offset, 1);
}
END_TEST

START_TEST(the_real_helper_killed_during_a_resolve_is_restarted_too)
{
	enum { COUNT = 20000 };
	static struct symbol_query queries[COUNT];
	use_real();
	uint32_t file = add_path(in_build_tree("spprof-symbolizer"));
	for (int i = 0; i < COUNT; i++)
		queries[i] = (struct symbol_query){file, 0x4000 + (uint64_t)i};
	begin(queries, COUNT, LONG_MS);
	await_answers(1);
	ck_assert_int_eq(kill(stats().helper_pid, SIGKILL), 0);
	await_calls(1);
	ck_assert_uint_eq(stats().helper_starts, 2);
	assert_state(file, queries[COUNT - 1].offset, 1);
}
END_TEST

START_TEST(a_helper_killed_while_idle_is_started_when_needed)
{
	use_fake();
	uint32_t file = add_word("answer");
	resolve_one(file, 1);
	ck_assert_int_eq(kill(stats().helper_pid, SIGKILL), 0);
	while (stats().helper_pid)
		uv_run(&loop, UV_RUN_ONCE);
	resolve_one(file, 2);
	assert_named(file, 2, "f2");
	ck_assert_uint_eq(stats().helper_deaths, 0);
}
END_TEST

START_TEST(a_stopped_helper_does_not_keep_the_callback)
{
	const struct symbol_client_options options = {.stall_ms = 300};
	use(in_build_tree("tests/unit/server/fake_symbolizer"), &options);
	uint32_t file = add_word("answer");
	resolve_one(file, 1);
	ck_assert_int_eq(kill(stats().helper_pid, SIGSTOP), 0);
	resolve(&(struct symbol_query){file, 2}, 1, 50);
	assert_state(file, 2, 0);
	/* and after the deadline of the helper there is another one */
	resolve_one(file, 2);
	assert_named(file, 2, "f2");
	ck_assert_uint_eq(stats().helper_starts, 2);
}
END_TEST

static void assert_given_up_alone(const char *word)
{
	uint32_t good = add_word("answer"), bad = add_word(word), other = add_word("answer");
	const struct symbol_query queries[] = {{good, 1}, {bad, 1}, {bad, 2}, {other, 1}};
	resolve(queries, 4, LONG_MS);
	assert_named(good, 1, "f1");
	assert_named(other, 1, "f1");
	assert_state(bad, 1, -ENODATA);
	assert_state(bad, 77, -ENODATA);
	ck_assert_uint_eq(stats().files_given_up, 1);
	ck_assert_uint_eq(stats().helper_deaths, 2);
	resolve_one(bad, 3); /* and the helper is left in peace */
	ck_assert_uint_eq(stats().helper_deaths, 2);
}

START_TEST(a_file_that_killed_the_helper_twice_is_given_up)
{
	use_fake();
	assert_given_up_alone("die");
}
END_TEST

START_TEST(a_file_that_hung_the_helper_twice_is_given_up)
{
	const struct symbol_client_options options = {.stall_ms = 100};
	use(in_build_tree("tests/unit/server/fake_symbolizer"), &options);
	assert_given_up_alone("hang");
}
END_TEST

START_TEST(a_helper_that_answers_what_was_not_asked_is_ended)
{
	use_fake();
	assert_given_up_alone("nonsense");
}
END_TEST

START_TEST(a_file_that_is_closed_again_and_again_is_given_up)
{
	use_fake();
	uint32_t file = add_word("stale");
	resolve_one(file, 1);
	assert_state(file, 1, -ENODATA);
	ck_assert_uint_gt(stats().files_reopened, 0);
}
END_TEST

START_TEST(a_file_that_answers_between_deaths_is_not_given_up)
{
	use_fake();
	uint32_t file = add_word("half");
	const struct symbol_query queries[] = {{file, 1}, {file, 2}, {file, 3}, {file, 4}};
	resolve(queries, 4, LONG_MS);
	for (int i = 0; i < 4; i++)
		assert_state(file, queries[i].offset, 1);
	ck_assert_uint_eq(stats().files_given_up, 0);
}
END_TEST

START_TEST(a_file_that_cannot_be_opened_costs_no_helper)
{
	use_fake();
	uint32_t file = add_word("refuse");
	resolve_one(file, 1);
	assert_state(file, 1, -ENODATA);
	ck_assert_uint_eq(stats().helper_deaths, 0);
	ck_assert_uint_eq(stats().files_given_up, 0);
}
END_TEST

static void assert_no_names_from(const char *program)
{
	use(program, NULL);
	uint32_t file = add_word("answer");
	resolve_one(file, 1);
	assert_state(file, 1, 0); /* the file is not to blame */
	resolve_one(file, 1);
	assert_state(file, 1, 0);
}

START_TEST(without_the_program_nobody_waits)
{
	assert_no_names_from("/nonexistent/spprof-symbolizer");
	ck_assert_uint_eq(stats().helper_starts, 0);
}
END_TEST

START_TEST(a_program_that_ends_at_once_is_not_the_files_fault)
{
	assert_no_names_from("/bin/false");
	ck_assert_uint_eq(stats().files_given_up, 0);
}
END_TEST

START_TEST(a_program_of_another_version_is_not_talked_to)
{
	assert_no_names_from(in_build_tree("tests/unit/server/fake_symbolizer_old"));
	ck_assert_uint_eq(stats().files_given_up, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("symbol_client_failures");
	TCase *t = tcase_create("symbol_client_failures");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_helper_killed_during_a_resolve_is_restarted_and_the_rest_answered);
	tcase_add_test(t, the_real_helper_killed_during_a_resolve_is_restarted_too);
	tcase_add_test(t, a_helper_killed_while_idle_is_started_when_needed);
	tcase_add_test(t, a_stopped_helper_does_not_keep_the_callback);
	tcase_add_test(t, a_file_that_killed_the_helper_twice_is_given_up);
	tcase_add_test(t, a_file_that_hung_the_helper_twice_is_given_up);
	tcase_add_test(t, a_helper_that_answers_what_was_not_asked_is_ended);
	tcase_add_test(t, a_file_that_is_closed_again_and_again_is_given_up);
	tcase_add_test(t, a_file_that_answers_between_deaths_is_not_given_up);
	tcase_add_test(t, a_file_that_cannot_be_opened_costs_no_helper);
	tcase_add_test(t, without_the_program_nobody_waits);
	tcase_add_test(t, a_program_that_ends_at_once_is_not_the_files_fault);
	tcase_add_test(t, a_program_of_another_version_is_not_talked_to);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
