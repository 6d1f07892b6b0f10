/* Helpers that die, hang and lie, and whose stacks they get. */
#define _GNU_SOURCE
#include "config.h"
#include <sys/stat.h>
#include "auditor_fixture.h"

static void setup_impatient(void)
{
	find_symbolizer();
	set_up(200, symbolizer_path);
}

/* The helper takes its time before it is ready. */
static void setup_slow_start(void)
{
	find_symbolizer();
	int fd = mkstemp(slow_symbolizer);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(fchmod(fd, 0755), 0);
	dprintf(fd, "#!/bin/sh\n/bin/sleep 0.1\nexec %s\n", symbolizer_path);
	close(fd);
	set_up(30000, slow_symbolizer);
}

START_TEST(a_helper_that_has_closed_the_file_is_told_of_it_again)
{
	begin("again");
	write_audit(1);
	ck_assert_uint_eq(await(1)->verdicts[SESSION_AUDIT_AGREED], 1);
	struct auditor_stats stats;
	auditor_stats(auditor, &stats);
	ck_assert_uint_eq(stats.helper_starts, 1);
	ck_assert_uint_eq(stats.helper_deaths, 0);
}
END_TEST

static void helper_fails_over(const char *word)
{
	begin(word);
	write_audit(1);
	ck_assert_uint_eq(await(1)->unjudged[SESSION_AUDIT_HELPER], 1);
	struct auditor_stats stats;
	auditor_stats(auditor, &stats);
	ck_assert_uint_eq(stats.helper_deaths, 1);
	/* The next stack is another helper's. */
	write_audit(2);
	ck_assert_uint_eq(await(2)->unjudged[SESSION_AUDIT_HELPER], 2);
	auditor_stats(auditor, &stats);
	ck_assert_uint_eq(stats.helper_starts, 2);
}

START_TEST(a_helper_that_dies_is_replaced)
{
	helper_fails_over("die");
}
END_TEST

START_TEST(a_helper_that_hangs_is_ended_and_replaced)
{
	helper_fails_over("hang");
}
END_TEST

START_TEST(a_verdict_that_cannot_be_ends_the_helper)
{
	helper_fails_over("nonsense");
}
END_TEST

/* As if another user's worker came next: a real one takes a test that runs as root. */
static void change_user(void)
{
	((struct session_facts *)session_facts(session))->uid++;
}

static uint64_t starts_after_audit(uint64_t id)
{
	struct auditor_stats stats;
	write_audit(id);
	await(id);
	auditor_stats(auditor, &stats);
	ck_assert_uint_eq(stats.judged, id);
	ck_assert_uint_eq(stats.helper_deaths, 0);
	return stats.helper_starts;
}

START_TEST(no_helper_gets_stacks_of_two_users)
{
	begin("answer");
	ck_assert_uint_eq(starts_after_audit(1), 1);
	ck_assert_uint_eq(starts_after_audit(2), 1);
	change_user();
	ck_assert_uint_eq(starts_after_audit(3), 2);
	ck_assert_uint_eq(starts_after_audit(4), 2);
}
END_TEST

START_TEST(one_users_failures_do_not_come_before_another_users_stacks)
{
	map_code("answer");
	map_code("die");
	attach();
	for (uint64_t id = 1; id <= 10; id++)
		write_audit(id);
	hear(10);
	change_user();
	code = codes[0];
	write_audit(11);
	hear(11);
	uint64_t deaths = auditor_numbers().helper_deaths;
	while (auditor_numbers().judged == 0)
		uv_run(&loop, UV_RUN_ONCE);
	/* At most the one that was under way. */
	ck_assert_uint_le(auditor_numbers().helper_deaths, deaths + 1);
	ck_assert_uint_ge(auditor_numbers().waiting, 1);
}
END_TEST

/* How much later the second verdict comes than the first one. */
static uint64_t distance_of_two_verdicts_ns(const char *word)
{
	uint64_t at[2];
	begin(word);
	write_audit(1);
	write_audit(2);
	for (uint64_t i = 0; i < 2; i++) {
		while (auditor_numbers().judged <= i)
			uv_run(&loop, UV_RUN_ONCE);
		at[i] = uv_hrtime();
	}
	return at[1] - at[0];
}

START_TEST(the_start_of_a_helper_is_rested_for)
{
	ck_assert_uint_ge(distance_of_two_verdicts_ns("answer"), UINT64_C(850000000));
}
END_TEST

START_TEST(the_first_half_of_an_audit_that_is_asked_for_twice_is_rested_for)
{
	ck_assert_uint_ge(distance_of_two_verdicts_ns("slow again"), UINT64_C(850000000));
}
END_TEST

/* Standard error goes to a file from here on. */
static FILE *catch_log(void)
{
	FILE *log = tmpfile();
	ck_assert_ptr_nonnull(log);
	ck_assert_int_ge(dup2(fileno(log), STDERR_FILENO), 0);
	return log;
}

static uint64_t count_lines(FILE *log)
{
	char line[1024];
	uint64_t lines = 0;
	rewind(log);
	while (fgets(line, sizeof line, log) != NULL)
		lines++;
	return lines;
}

START_TEST(a_helper_that_dies_for_ever_new_users_does_not_flood_the_log)
{
	enum { DEATHS = 40, MESSAGES_OF_EACH = 2, BURST = 10 };
	begin("die");
	FILE *log = catch_log();
	uint64_t since = uv_hrtime();
	for (uint64_t id = 1; id <= DEATHS; id++) {
		write_audit(id);
		await(id);
		change_user();
	}
	ck_assert_uint_eq(auditor_numbers().helper_deaths, DEATHS);
	uint64_t seconds = (uv_hrtime() - since) / UINT64_C(1000000000) + 1;
	ck_assert_uint_ge(count_lines(log), 1);
	ck_assert_uint_le(count_lines(log), MESSAGES_OF_EACH * (BURST + seconds));
	fclose(log);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *s = suite_create("auditor_helper");
	TCase *t = tcase_create("auditor");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_helper_that_has_closed_the_file_is_told_of_it_again);
	tcase_add_test(t, a_helper_that_dies_is_replaced);
	tcase_add_test(t, a_verdict_that_cannot_be_ends_the_helper);
	tcase_add_test(t, no_helper_gets_stacks_of_two_users);
	tcase_add_test(t, one_users_failures_do_not_come_before_another_users_stacks);
	tcase_add_test(t, the_first_half_of_an_audit_that_is_asked_for_twice_is_rested_for);
	tcase_add_test(t, a_helper_that_dies_for_ever_new_users_does_not_flood_the_log);
	suite_add_tcase(s, t);
	t = tcase_create("impatient");
	tcase_add_checked_fixture(t, setup_impatient, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_helper_that_hangs_is_ended_and_replaced);
	suite_add_tcase(s, t);
	t = tcase_create("slow start");
	tcase_add_checked_fixture(t, setup_slow_start, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_start_of_a_helper_is_rested_for);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(make_suite)
