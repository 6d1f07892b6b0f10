/* `spprofctl run` with a stub for its private daemon: exit codes, signals, files, and that nothing
 * stays behind. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "support/tap_main.h"
#include "unit/clients/fake_server.h"
#include "unit/clients/program.h"

static char *dir;
static struct program result;

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

/* Some library that the loader takes without a word. */
static void make_agent(void)
{
	Dl_info info;
	ck_assert_int_ne(dladdr(dlsym(RTLD_DEFAULT, "getpid"), &info), 0);
	ck_assert_int_eq(symlink(info.dli_fname, path_of("libspprof-agent.so")), 0);
}

static void setup(void)
{
	char stubs[4096];
	dir = fake_server_make_dir();
	snprintf(stubs, sizeof(stubs), "%s/tests/unit/clients", getenv("BUILDDIR"));
	setenv("SPPROF_BINDIR", stubs, 1);
	setenv("SPPROF_LIBDIR", dir, 1);
	make_agent();
	setenv("XDG_RUNTIME_DIR", dir, 1);
	setenv("SPPROF_SOCKET", "/nonexistent", 1);
	setenv("STUB_PID", path_of("stub"), 1);
	unsetenv("STUB_MODE");
	unsetenv("SPPROF_RATE");
	unsetenv("LD_PRELOAD");
}

static void teardown(void)
{
	program_deinit(&result);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
	free(dir);
}

static bool stub_was_started(pid_t *pid, char *stub_dir)
{
	FILE *file = fopen(path_of("stub"), "r");
	if (!file)
		return false;
	int found = fscanf(file, "%d %100s", pid, stub_dir);
	fclose(file);
	return found == 2;
}

static void assert_nothing_is_left(void)
{
	pid_t pid;
	char stub_dir[101];
	ck_assert(stub_was_started(&pid, stub_dir));
	ck_assert_msg(
		strncmp(stub_dir, dir, strlen(dir)) == 0, "the daemon was put into %s", stub_dir);
	ck_assert_int_eq(access(stub_dir, F_OK), -1);
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
}

static void assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "no '%s' in: %s", part, text);
}

static void assert_file(const char *name, const char *expected)
{
	char text[128] = {0};
	FILE *file = fopen(path_of(name), "r");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, file), 0);
	fclose(file);
	ck_assert_str_eq(text, expected);
}

#define RUN(...)	  program_run(&result, "spprofctl", "run", __VA_ARGS__, NULL)
#define RUN_SHELL(script) RUN("--", "sh", "-c", script)

START_TEST(the_exit_code_is_the_program_s)
{
	RUN_SHELL("exit 7");
	ck_assert_int_eq(result.exit_code, 7);
	assert_nothing_is_left();
	RUN("true");
	ck_assert_int_eq(result.exit_code, 0);
}
END_TEST

START_TEST(a_program_ended_by_a_signal_gives_128_and_its_number)
{
	RUN_SHELL("kill -KILL $$");
	ck_assert_int_eq(result.exit_code, 128 + SIGKILL);
	assert_nothing_is_left();
}
END_TEST

START_TEST(a_program_that_cannot_run_is_told_as_env_does)
{
	RUN("/nonexistent/program");
	ck_assert_int_eq(result.exit_code, CTL_NOT_FOUND);
	assert_has(result.err, "/nonexistent/program");
	assert_nothing_is_left();
	RUN("--", dir);
	ck_assert_int_eq(result.exit_code, CTL_NOT_EXECUTABLE);
	assert_nothing_is_left();
}
END_TEST

static const struct {
	const char *name;
	int number;
} forwarded[] = {{"HUP", SIGHUP}, {"INT", SIGINT}, {"TERM", SIGTERM}, {"USR1", SIGUSR1}};

START_TEST(a_signal_sent_to_us_reaches_the_program)
{
	char script[128];
	snprintf(script, sizeof(script),
		"trap 'exit 9' %1$s; kill -%1$s $PPID; while :; do :; done", forwarded[_i].name);
	RUN_SHELL(script);
	ck_assert_int_eq(result.exit_code, 9);
	assert_nothing_is_left();
}
END_TEST

START_TEST(a_signal_that_the_program_dies_of_leaves_nothing_behind)
{
	char script[128];
	snprintf(script, sizeof(script), "kill -%s $PPID; while :; do :; done", forwarded[_i].name);
	RUN_SHELL(script);
	ck_assert_int_eq(result.exit_code, 128 + forwarded[_i].number);
	assert_nothing_is_left();
}
END_TEST

/* A second SIGINT would have come before the SIGUSR1, which the program asks for after the first.
 */
START_TEST(ctrl_c_reaches_the_program_once)
{
	static const char *const argv[] = {"spprofctl", "run", "--", "sh", "-c",
		"n=0; trap 'n=$((n+1)); kill -USR1 $PPID' INT; trap 'exit $n' USR1; echo ready; "
		"while :; do :; done",
		NULL};
	result.terminal = true;
	result.err_fd = 0;
	program_start(&result, argv);
	char text[6] = {0};
	for (size_t size = 0; size < 5;) {
		ssize_t got = read(result.out_fd, text + size, 5 - size);
		ck_assert_int_gt(got, 0);
		size += (size_t)got;
	}
	ck_assert_str_eq(text, "ready");
	ck_assert_int_eq(write(result.out_fd, "\x03", 1), 1);
	program_wait(&result);
	ck_assert_int_eq(result.exit_code, 1);
	assert_nothing_is_left();
}
END_TEST

START_TEST(a_reader_who_leaves_our_stderr_does_not_end_us)
{
	static const char *const argv[] = {"spprofctl", "run", "--", "sh", "-c", "exit 7", NULL};
	int ends[2];
	ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
	close(ends[0]);
	result.err_fd = ends[1];
	program_start(&result, argv);
	program_wait(&result);
	ck_assert_int_eq(result.exit_code, 7);
	assert_nothing_is_left();
}
END_TEST

START_TEST(the_program_gets_agent_socket_and_rate)
{
	char expected[256], stub_dir[101];
	pid_t pid;
	RUN("-r", "64K", "--", "sh", "-c", "echo $LD_PRELOAD $SPPROF_SOCKET $SPPROF_RATE");
	ck_assert(stub_was_started(&pid, stub_dir));
	snprintf(expected, sizeof(expected), "%s/libspprof-agent.so %s 65536\n", dir, stub_dir);
	ck_assert_str_eq(result.out, expected);
	snprintf(expected, sizeof(expected), "spprofctl --socket %s snapshot ", stub_dir);
	assert_has(result.err, expected);
}
END_TEST

START_TEST(options_behind_the_program_are_the_program_s)
{
	RUN("echo", "-r", "--help");
	ck_assert_str_eq(result.out, "-r --help\n");
}
END_TEST

START_TEST(the_last_snapshot_is_taken_while_the_pid_still_names_the_program)
{
	RUN("-o", path_of("heap.json"), "--", "sh", "-c", "exit 7");
	ck_assert_int_eq(result.exit_code, 7);
	assert_file("heap.json", "format 1 of a process in state Z\n");
	assert_has(result.err, "wrote ");
	assert_nothing_is_left();
}
END_TEST

START_TEST(the_option_chooses_the_format_of_the_last_snapshot)
{
	RUN("-f", "pprof", "-o", path_of("heap"), "true");
	ck_assert_int_eq(result.exit_code, 0);
	assert_file("heap", "format 2 of a process in state Z\n");
}
END_TEST

START_TEST(a_last_snapshot_as_text_is_live_and_cumulative)
{
	RUN("-o", path_of("heap.txt"), "true");
	ck_assert_int_eq(result.exit_code, 0);
	assert_file("heap.txt", "format 0 of a process in state Z\n\ncumulative format 0 of a "
				"process in state Z\n");
}
END_TEST

START_TEST(a_snapshot_that_cannot_be_had_fails_a_run_that_went_well)
{
	setenv("STUB_MODE", "refuse", 1);
	RUN("-o", path_of("heap.json"), "true");
	ck_assert_int_eq(result.exit_code, CTL_NO_PROCESS);
	assert_has(result.err, "stub: it has no agent");
	ck_assert_int_eq(access(path_of("heap.json"), F_OK), -1);
	RUN("-o", path_of("heap.json"), "--", "sh", "-c", "exit 7");
	ck_assert_int_eq(result.exit_code, 7);
	assert_nothing_is_left();
}
END_TEST

START_TEST(a_signal_ends_the_wait_for_the_last_snapshot)
{
	setenv("STUB_MODE", "silent", 1);
	RUN("-o", path_of("heap.json"), "true");
	ck_assert_int_eq(result.exit_code, CTL_FAILED);
	assert_has(result.err, "interrupted");
	ck_assert_int_eq(access(path_of("heap.json"), F_OK), -1);
	assert_nothing_is_left();
}
END_TEST

START_TEST(a_daemon_that_dies_does_not_take_the_program_along)
{
	RUN("-o", path_of("heap.json"), "--", "sh", "-c",
		"read -r pid dir <\"$STUB_PID\"; kill -KILL $pid; exit 7");
	ck_assert_int_eq(result.exit_code, 7);
	ck_assert_int_eq(access(path_of("heap.json"), F_OK), -1);
	assert_nothing_is_left();
}
END_TEST

START_TEST(without_a_daemon_the_program_is_not_started)
{
	setenv("SPPROF_BINDIR", "/nonexistent", 1);
	RUN("--", "touch", path_of("started"));
	ck_assert_int_eq(result.exit_code, CTL_NO_DAEMON);
	assert_has(result.err, "/nonexistent/spprofd");
	ck_assert_int_eq(access(path_of("started"), F_OK), -1);
}
END_TEST

START_TEST(a_daemon_that_fails_to_start_is_exit_code_4_with_its_own_words)
{
	setenv("STUB_MODE", "fail", 1);
	RUN("--", "touch", path_of("started"));
	ck_assert_int_eq(result.exit_code, CTL_NO_DAEMON);
	assert_has(result.err, "stub: no luck today\n");
	assert_has(result.err, "CMD was not started");
	ck_assert_int_eq(access(path_of("started"), F_OK), -1);
	assert_nothing_is_left();
}
END_TEST

START_TEST(a_signal_ends_the_wait_for_the_daemon)
{
	setenv("STUB_MODE", "mute", 1);
	RUN("--", "touch", path_of("started"));
	ck_assert_int_eq(result.exit_code, 128 + SIGTERM);
	ck_assert_int_eq(access(path_of("started"), F_OK), -1);
	assert_nothing_is_left();
}
END_TEST

START_TEST(a_place_that_cannot_take_the_file_is_known_before_the_program_starts)
{
	RUN("-o", "/nonexistent/heap.json", "--", "touch", path_of("started"));
	ck_assert_int_eq(result.exit_code, CTL_FAILED);
	ck_assert_int_eq(access(path_of("started"), F_OK), -1);
	ck_assert_int_eq(access(path_of("stub"), F_OK), -1);
}
END_TEST

static int answer_ping(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)request, (void)data;
	return fake_server_send_ping(fd);
}

START_TEST(closed_standard_descriptors_do_no_harm)
{
	static const char *const argv[] = {"spprofctl", "run", "--", "sh", "-c", "exit 7", NULL};
	result.closed = true;
	program_start(&result, argv);
	program_wait(&result);
	ck_assert_int_eq(result.exit_code, 7);
	assert_nothing_is_left();
}
END_TEST

START_TEST(a_daemon_that_answers_is_used)
{
	char expected[128];
	pid_t pid;
	char stub_dir[101];
	setenv("SPPROF_SOCKET", dir, 1);
	fake_server_start(fake_server_new(dir, answer_ping, NULL));
	RUN_SHELL("echo $SPPROF_SOCKET");
	ck_assert_int_eq(result.exit_code, 0);
	snprintf(expected, sizeof(expected), "%s\n", dir);
	ck_assert_str_eq(result.out, expected);
	ck_assert(!stub_was_started(&pid, stub_dir));
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("clients/ctl/run");
	TCase *tcase = tcase_create("run");
	const int signals = sizeof(forwarded) / sizeof(forwarded[0]);
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_exit_code_is_the_program_s);
	tcase_add_test(tcase, a_program_ended_by_a_signal_gives_128_and_its_number);
	tcase_add_test(tcase, a_program_that_cannot_run_is_told_as_env_does);
	tcase_add_loop_test(tcase, a_signal_sent_to_us_reaches_the_program, 0, signals);
	tcase_add_loop_test(
		tcase, a_signal_that_the_program_dies_of_leaves_nothing_behind, 0, signals);
	tcase_add_test(tcase, ctrl_c_reaches_the_program_once);
	tcase_add_test(tcase, a_reader_who_leaves_our_stderr_does_not_end_us);
	tcase_add_test(tcase, the_program_gets_agent_socket_and_rate);
	tcase_add_test(tcase, options_behind_the_program_are_the_program_s);
	tcase_add_test(tcase, the_last_snapshot_is_taken_while_the_pid_still_names_the_program);
	tcase_add_test(tcase, the_option_chooses_the_format_of_the_last_snapshot);
	tcase_add_test(tcase, a_last_snapshot_as_text_is_live_and_cumulative);
	tcase_add_test(tcase, a_snapshot_that_cannot_be_had_fails_a_run_that_went_well);
	tcase_add_test(tcase, a_signal_ends_the_wait_for_the_last_snapshot);
	tcase_add_test(tcase, a_daemon_that_dies_does_not_take_the_program_along);
	tcase_add_test(tcase, without_a_daemon_the_program_is_not_started);
	tcase_add_test(tcase, a_daemon_that_fails_to_start_is_exit_code_4_with_its_own_words);
	tcase_add_test(tcase, a_signal_ends_the_wait_for_the_daemon);
	tcase_add_test(tcase, a_place_that_cannot_take_the_file_is_known_before_the_program_starts);
	tcase_add_test(tcase, closed_standard_descriptors_do_no_harm);
	tcase_add_test(tcase, a_daemon_that_answers_is_used);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(suite)
