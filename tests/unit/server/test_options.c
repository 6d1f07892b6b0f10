#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "server/options.h"
#include "support/tap_main.h"

/* What is said to the user goes nowhere: TAP owns the standard output. */
static int parse(struct options *options, const char *const *arguments)
{
	char *argv[16] = {(char *)"spprofd"};
	int argc = 1;
	for (; arguments[argc - 1] != NULL; argc++)
		argv[argc] = (char *)arguments[argc - 1];
	optind = 0;
	int nowhere = open("/dev/null", O_WRONLY), keep = dup(STDOUT_FILENO),
	    keep_err = dup(STDERR_FILENO);
	fflush(stdout);
	dup2(nowhere, STDOUT_FILENO);
	dup2(nowhere, STDERR_FILENO);
	int r = options_parse(options, argc, argv);
	fflush(stdout);
	dup2(keep, STDOUT_FILENO);
	dup2(keep_err, STDERR_FILENO);
	close(nowhere);
	close(keep);
	close(keep_err);
	return r;
}

#define PARSE(options, ...) parse(options, (const char *const[]){__VA_ARGS__, NULL})

static void clear_environment(void)
{
	unsetenv("SPPROF_SOCKET");
	unsetenv("SPPROF_LOG");
	unsetenv("SPPROF_LIBEXECDIR");
}

START_TEST(the_command_line_wins_over_the_environment)
{
	struct options options;
	setenv("SPPROF_SOCKET", "/env", 1);
	setenv("SPPROF_LOG", "error", 1);
	ck_assert_int_eq(parse(&options, (const char *const[]){NULL}), 0);
	ck_assert_str_eq(options.socket_dir, "/env");
	ck_assert_int_eq(options.log_level, LOG_LEVEL_ERROR);
	options_deinit(&options);
	ck_assert_int_eq(PARSE(&options, "--socket-dir=/arg", "--log-level", "debug"), 0);
	ck_assert_str_eq(options.socket_dir, "/arg");
	ck_assert_int_eq(options.log_level, LOG_LEVEL_DEBUG);
	options_deinit(&options);
}
END_TEST

START_TEST(bounds_take_units_and_minima)
{
	struct options options;
	ck_assert_int_eq(
		PARSE(&options, "--max-memory=2G", "--max-stack-bytes", "64k", "--max-live=1K"), 0);
	ck_assert_uint_eq(options.limits.max_memory, UINT64_C(2) << 30);
	ck_assert_uint_eq(options.limits.max_stack_bytes, 64u << 10);
	ck_assert_uint_eq(options.limits.max_live, 1024);
	ck_assert_uint_eq(options.limits.max_stacks, options_default_limits.max_stacks);
	options_deinit(&options);
	ck_assert_int_eq(PARSE(&options, "--max-memory=1K"), -EINVAL);
	options_deinit(&options);
	ck_assert_int_eq(PARSE(&options, "--max-live=0"), -EINVAL);
	options_deinit(&options);
}
END_TEST

START_TEST(sizes_are_whole_numbers_with_a_known_unit)
{
	uint64_t size;
	static const char *const bad[] = {"", "K", "-1", "+1", " 1", "1.5K", "1KB", "1T", "0x10",
		"99999999999999999999", "18446744073709551615K", "1 K"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
		ck_assert_msg(
			options_parse_size(bad[i], &size) == -EINVAL, "'%s' was taken", bad[i]);
	ck_assert_int_eq(options_parse_size("18446744073709551615", &size), 0);
	ck_assert_uint_eq(size, UINT64_MAX);
	ck_assert_int_eq(options_parse_size("3m", &size), 0);
	ck_assert_uint_eq(size, 3u << 20);
	ck_assert_int_eq(options_parse_size("0", &size), 0);
	ck_assert_uint_eq(size, 0);
}
END_TEST

START_TEST(what_makes_no_sense_is_a_usage_error)
{
	struct options options;
	static const char *const bad[] = {
		"--nonsense", "--log-level=loud", "--ready-fd=x", "--max-live", "--group", "stray"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		ck_assert_msg(PARSE(&options, bad[i]) == -EINVAL, "'%s' was taken", bad[i]);
		options_deinit(&options);
	}
}
END_TEST

START_TEST(help_and_version_are_answered_at_once)
{
	struct options options;
	ck_assert_int_eq(PARSE(&options, "--help", "--nonsense"), OPTIONS_DONE);
	options_deinit(&options);
	ck_assert_int_eq(PARSE(&options, "-V"), OPTIONS_DONE);
	options_deinit(&options);
}
END_TEST

START_TEST(the_helpers_are_found_in_the_build_tree_if_told_so)
{
	struct options options;
	setenv("SPPROF_LIBEXECDIR", "/build", 1);
	ck_assert_int_eq(PARSE(&options, "--ready-fd=7"), 0);
	ck_assert_str_eq(options.symbolizer, "/build/spprof-symbolizer");
	ck_assert_str_eq(options.map_reader, "/build/spprof-map-reader");
	ck_assert_str_eq(options.proc_reader, "/build/spprof-proc-reader");
	ck_assert_int_eq(options.ready_fd, 7);
	ck_assert(!options.exit_with_parent);
	options_deinit(&options);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("options");
	TCase *t = tcase_create("options");
	tcase_add_checked_fixture(t, clear_environment, NULL);
	tcase_add_test(t, the_command_line_wins_over_the_environment);
	tcase_add_test(t, bounds_take_units_and_minima);
	tcase_add_test(t, sizes_are_whole_numbers_with_a_known_unit);
	tcase_add_test(t, what_makes_no_sense_is_a_usage_error);
	tcase_add_test(t, help_and_version_are_answered_at_once);
	tcase_add_test(t, the_helpers_are_found_in_the_build_tree_if_told_so);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
