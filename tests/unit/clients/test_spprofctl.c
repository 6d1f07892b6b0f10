/* spprofctl as its users meet it: misuse, refusals, and the commands that answer at once. */
#include "config.h"
#include <sys/stat.h>
#include <unistd.h>
#include "ctl/ctl.h"
#include "spprofctl_fixture.h"

static const char *const misuses[][5] = {
	{"frobnicate"},
	{"--frobnicate"},
	{"--socket"},
	{"--socket", "", "list"},
	{"help", "frobnicate"},
	{"list", "extra"},
	{"list", "--frobnicate"},
	{"stats", "abc"},
	{"stats", "0"},
	{"stats", "1", "2"},
	{"version", "extra"},
	{"env", "extra"},
	{"env", "-r", "0"},
	{"env", "-r", "1025G"},
	{"snapshot"},
	{"snapshot", "-1"},
	{"snapshot", "99999999999"},
	{"snapshot", "12x"},
	{"snapshot", "1", "2"},
	{"snapshot", "1", "-f", "html"},
	{"snapshot", "1", "-f"},
	{"snapshot", "1", "-o", "heap.dat"},
	{"snapshot", "1", "--top", "many"},
	{"snapshot", "1", "--top", "-1"},
	{"snapshot", "1", "--depth", "4294967296"},
	{"snapshot", "1", "--timeout", "0"},
	{"snapshot", "1", "--timeout", "31"},
	{"snapshot", "1", "--cumulative=yes"},
	{"run"},
	{"run", "--"},
	{"run", "-r", "fast", "true"},
	{"run", "-f", "json", "true"},
	{"run", "-f", "html", "true"},
	{"run", "-o", "heap.dat", "true"},
};

START_TEST(misuse_is_one_line_on_stderr_and_exit_code_2)
{
	const char *const *words = misuses[_i];
	RUN(words[0], words[1], words[2], words[3], words[4]);
	ck_assert_msg(
		result.exit_code == CTL_USAGE, "%s %s: %d", words[0], words[1], result.exit_code);
	ck_assert_str_eq(result.out, "");
	assert_one_line(result.err);
	assert_has(result.err, "--help");
}
END_TEST

START_TEST(no_command_is_misuse)
{
	program_run(&result, "spprofctl", NULL);
	ck_assert_int_eq(result.exit_code, CTL_USAGE);
}
END_TEST

static const char *const commands[] = {"run", "env", "list", "snapshot", "stats", "version"};

START_TEST(help_is_the_same_both_ways_and_goes_to_stdout)
{
	RUN(commands[_i], "--help");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	ck_assert_str_eq(result.err, "");
	assert_has(result.out, commands[_i]);
	char *first = strdup(result.out);
	RUN("help", commands[_i]);
	ck_assert_int_eq(result.exit_code, CTL_OK);
	ck_assert_str_eq(result.out, first);
	free(first);
}
END_TEST

START_TEST(refusals_become_exit_codes_with_the_daemon_s_words)
{
	static const int codes[] = {CTL_FAILED, CTL_USAGE, CTL_NO_PROCESS, CTL_NO_PROCESS,
		CTL_NOT_PERMITTED, CTL_FAILED};
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", PID_REFUSED + _i);
	RUN("snapshot", pid);
	ck_assert_int_eq(result.exit_code, codes[_i]);
	ck_assert_str_eq(result.out, "");
	ck_assert_str_eq(result.err, "spprofctl: the daemon's?reason\n");
	RUN("stats", pid);
	ck_assert_int_eq(result.exit_code, codes[_i]);
}
END_TEST

START_TEST(no_daemon_is_exit_code_4)
{
	RUN("--socket", "/nonexistent", "list");
	ck_assert_int_eq(result.exit_code, CTL_NO_DAEMON);
	assert_one_line(result.err);
	assert_has(result.err, "/nonexistent");
	RUN("run", "--socket", "/nonexistent", "true");
	ck_assert_int_eq(result.exit_code, CTL_NO_DAEMON);
}
END_TEST

/* Root may enter everywhere, so that it has to become somebody else, who in turn must reach the
 * program. */
START_TEST(a_daemon_that_is_not_for_us_is_exit_code_5)
{
	static const char *const argv[] = {"spprofctl", "list", NULL};
	if (geteuid() == 0)
		result.uid = 65534;
	ck_assert_int_eq(chmod(path_of("api.sock"), 0), 0);
	program_start(&result, argv);
	program_wait(&result);
	if (result.exit_code == PROGRAM_NOT_STARTED && geteuid() == 0) {
		puts("# not shown: only root can reach this build tree");
		return;
	}
	ck_assert_int_eq(result.exit_code, CTL_NOT_PERMITTED);
	assert_one_line(result.err);
}
END_TEST

START_TEST(a_daemon_that_hangs_up_or_babbles_is_exit_code_1)
{
	char pid[16];
	snprintf(pid, sizeof(pid), "%d", _i);
	RUN("snapshot", pid, "-o", path_of("heap.json"));
	ck_assert_int_eq(result.exit_code, CTL_FAILED);
	assert_one_line(result.err);
	ck_assert_int_eq(access(path_of("heap.json"), F_OK), -1);
}
END_TEST

START_TEST(a_list_is_a_table_with_harmless_names)
{
	RUN("list");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	ck_assert_str_eq(result.err, "");
	assert_has(result.out, "PID");
	assert_has(result.out, "/opt/server --flag");
	assert_has(result.out, "512 KiB");
	assert_has(result.out, "3 MiB");
	assert_has(result.out, "2..4 MiB");
	assert_has(result.out, "1.23k");
	assert_has(result.out, "unconfirmed: closed its descriptors");
	ck_assert_ptr_null(strchr(result.out, '\x1b'));
	ck_assert_ptr_null(strstr(result.out, "4713"));
	RUN("list", "-a");
	assert_has(result.out, "4713");
}
END_TEST

START_TEST(a_list_leaves_out_what_is_not_known)
{
	RUN("list");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	/* A time of 0 is not an age of half a century, nor an interval of 0 a rate. */
	ck_assert_ptr_null(strstr(result.out, "0d"));
	ck_assert_ptr_null(strstr(result.out, " 0 B"));
}
END_TEST

START_TEST(a_list_can_be_json)
{
	RUN("list", "--json", "--all");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	assert_has(result.out, "\"pid\": 4711,");
	assert_has(result.out, "\"comm\": \"evil\\u001b[2J\\\"\\\\\"");
	assert_has(result.out,
		"\"live_bytes\": {\n        \"value\": 3145728,\n        \"low\": 2097152,");
	assert_has(result.out, "\"state\": \"exited\"");
}
END_TEST

START_TEST(stats_of_a_process_are_estimates_and_counters)
{
	RUN("stats", "100");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	assert_has(result.out, "live_bytes");
	assert_has(result.out, "2..4 MiB");
	assert_has(result.out, "1.50 KiB");
	assert_has(result.out, "stood for by samples that found no room");
	assert_has(result.out,
		"capture confidence: medium (12.5% of the stacks are cut short, 0.0% have "
		"guessed frames; libunwind agrees in 100.00% of 40): build /lib/odd.so "
		"anew\n");
	assert_has(result.out, "/lib/odd.so");
	RUN("stats", "100", "--json");
	assert_has(result.out, "\"confidence\": \"medium\"");
	assert_has(result.out, "\"path\": \"/lib/odd.so\"");
	RUN("stats", "--json");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	ck_assert_str_eq(result.out, "{\n  \"counters\": {\n    \"lost_birth_ring_full_bytes\": "
				     "1536,\n    \"ring_drops\": 3\n  }\n}\n");
}
END_TEST

START_TEST(version_names_the_daemon_that_answers)
{
	RUN("version");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	assert_has(result.out, "spprofctl " PACKAGE_VERSION "\n");
	assert_has(result.out, "spprofd 9.8.7 in /tmp/");
	RUN("--version");
	assert_has(result.out, "spprofctl " PACKAGE_VERSION "\n");
	setenv("SPPROF_SOCKET", "/nonexistent", 1);
	RUN("version");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	ck_assert_str_eq(result.out, "spprofctl " PACKAGE_VERSION "\n");
}
END_TEST

static void make_agent(void)
{
	FILE *file = fopen(path_of("libspprof-agent.so"), "w");
	fclose(file);
	setenv("SPPROF_LIBDIR", dir, 1);
}

START_TEST(env_prints_what_a_shell_can_eval)
{
	char expected[512];
	make_agent();
	RUN("env", "-r", "64K");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	snprintf(expected, sizeof(expected),
		"export LD_PRELOAD='%s/libspprof-agent.so'\n"
		"export SPPROF_SOCKET='%s'\n"
		"export SPPROF_RATE='65536'\n",
		dir, dir);
	ck_assert_str_eq(result.out, expected);
	ck_assert_str_eq(result.err, "");
}
END_TEST

START_TEST(env_without_an_agent_is_an_error)
{
	setenv("SPPROF_LIBDIR", "/nonexistent", 1);
	RUN("env");
	ck_assert_int_eq(result.exit_code, CTL_FAILED);
	ck_assert_str_eq(result.out, "");
	assert_one_line(result.err);
	assert_has(result.err, "/nonexistent/libspprof-agent.so");
}
END_TEST

START_TEST(env_without_a_daemon_says_so_and_goes_on)
{
	make_agent();
	setenv("SPPROF_SOCKET", "/nonexistent", 1);
	RUN("env");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	assert_has(result.out, "export SPPROF_SOCKET='/nonexistent'\n");
	assert_has(result.err, "no spprofd answers yet");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("clients/ctl/spprofctl");
	TCase *t = tcase_create("clients/ctl/spprofctl");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, misuse_is_one_line_on_stderr_and_exit_code_2, 0,
		sizeof(misuses) / sizeof(misuses[0]));
	tcase_add_test(t, no_command_is_misuse);
	tcase_add_loop_test(t, help_is_the_same_both_ways_and_goes_to_stdout, 0,
		sizeof(commands) / sizeof(commands[0]));
	tcase_add_loop_test(t, refusals_become_exit_codes_with_the_daemon_s_words, 0, 6);
	tcase_add_test(t, no_daemon_is_exit_code_4);
	tcase_add_test(t, a_daemon_that_is_not_for_us_is_exit_code_5);
	tcase_add_loop_test(
		t, a_daemon_that_hangs_up_or_babbles_is_exit_code_1, PID_HANG_UP, PID_NONSENSE + 1);
	tcase_add_test(t, a_list_is_a_table_with_harmless_names);
	tcase_add_test(t, a_list_leaves_out_what_is_not_known);
	tcase_add_test(t, a_list_can_be_json);
	tcase_add_test(t, stats_of_a_process_are_estimates_and_counters);
	tcase_add_test(t, version_names_the_daemon_that_answers);
	tcase_add_test(t, env_prints_what_a_shell_can_eval);
	tcase_add_test(t, env_without_an_agent_is_an_error);
	tcase_add_test(t, env_without_a_daemon_says_so_and_goes_on);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
