/* spprofctl as its users meet it, against a fake server: what it prints, what it asks for, how it
 * ends. */
#include "config.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "support/tap_main.h"
#include "unit/clients/fake_server.h"
#include "unit/clients/program.h"

enum {
	PID_OK = 100,
	PID_REFUSED = 200, /* + code */
	PID_HANG_UP = 300,
	PID_NONSENSE = 301,
};

static char *dir;
static struct program result;

static void answer_list(int fd, bool include_exited)
{
	Spprof__V1__Estimate live = {PROTOBUF_C_MESSAGE_INIT(&spprof__v1__estimate__descriptor),
		3 << 20, 2 << 20, 4 << 20, 1234};
	Spprof__V1__Process first = SPPROF__V1__PROCESS__INIT, second = first, gone = first;
	first.pid = 4711;
	first.comm = (char *)"server";
	first.command_line = (char *)"/opt/server --flag";
	first.state = SPPROF__V1__PROCESS__STATE__ATTACHED;
	first.interval_bytes = 512 << 10;
	first.live_bytes = &live;
	second.pid = 4712;
	second.comm = (char *)"evil\x1b[2J\"\\";
	second.state = SPPROF__V1__PROCESS__STATE__LOST;
	second.unconfirmed = true;
	second.note = (char *)"closed its descriptors";
	gone.pid = 4713;
	gone.comm = (char *)"gone";
	gone.state = SPPROF__V1__PROCESS__STATE__EXITED;
	Spprof__V1__Process *processes[] = {&first, &second, &gone};
	Spprof__V1__ListResponse list = SPPROF__V1__LIST_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	list.processes = processes;
	list.n_processes = include_exited ? 3 : 2;
	response.kind_case = SPPROF__V1__RESPONSE__KIND_LIST;
	response.list = &list;
	fake_server_send(fd, &response);
}

static void answer_stats(int fd, int32_t pid)
{
	Spprof__V1__Counter lost = SPPROF__V1__COUNTER__INIT, drops = lost;
	lost.name = (char *)"lost_birth_ring_full_bytes";
	lost.value = 1536;
	lost.help = (char *)"stood for by samples that found no room";
	drops.name = (char *)"ring_drops";
	drops.value = 3;
	Spprof__V1__Counter *counters[] = {&lost, &drops};
	Spprof__V1__Estimate live = {PROTOBUF_C_MESSAGE_INIT(&spprof__v1__estimate__descriptor),
		3 << 20, 2 << 20, 4 << 20, 1234};
	Spprof__V1__Process process = SPPROF__V1__PROCESS__INIT;
	process.pid = pid;
	Spprof__V1__StatsResponse stats = SPPROF__V1__STATS_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	stats.process = pid ? &process : NULL;
	stats.counters = counters;
	stats.n_counters = 2;
	stats.live_bytes = pid ? &live : NULL;
	Spprof__V1__CaptureModule module = SPPROF__V1__CAPTURE_MODULE__INIT, *modules[] = {&module};
	Spprof__V1__Capture capture = SPPROF__V1__CAPTURE__INIT;
	module.path = (char *)"/lib/odd.so";
	module.no_info = 12;
	capture.confidence = SPPROF__V1__CAPTURE__CONFIDENCE__MEDIUM;
	capture.recommendation = (char *)"build /lib/odd.so anew";
	capture.truncated_percent = 12.5;
	capture.audited = 40;
	capture.agreement_percent = 100;
	capture.modules = modules;
	capture.n_modules = 1;
	stats.capture = pid ? &capture : NULL;
	response.kind_case = SPPROF__V1__RESPONSE__KIND_STATS;
	response.stats = &stats;
	fake_server_send(fd, &response);
}

/* Tells what it was asked for, so that tests can see it in the output. */
static void answer_snapshot(int fd, const Spprof__V1__SnapshotRequest *request)
{
	char text[256];
	snprintf(text, sizeof(text),
		"format=%d top=%" PRIu32 " depth=%" PRIu32 " width=%" PRIu32
		" color=%d cumulative=%d timeout=%" PRIu32 "\n",
		(int)request->format, request->top, request->depth, request->width, request->color,
		request->cumulative, request->timeout_ms);
	fake_server_send_snapshot(fd, text, 3);
}

static int answer_pid(int fd, int32_t pid, const Spprof__V1__Request *request)
{
	if (pid == PID_HANG_UP)
		return -1;
	if (pid == PID_NONSENSE)
		return fake_server_send_bytes(fd, "GET / HTTP/1.0\r\n", 16);
	if (pid >= PID_REFUSED)
		return fake_server_send_error(
			fd, (Spprof__V1__Error__Code)(pid - PID_REFUSED), "the daemon's\nreason");
	if (request->kind_case == SPPROF__V1__REQUEST__KIND_STATS)
		answer_stats(fd, pid);
	else
		answer_snapshot(fd, request->snapshot);
	return 0;
}

static int answer(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)data;
	switch (request->kind_case) {
	case SPPROF__V1__REQUEST__KIND_LIST:
		answer_list(fd, request->list->include_exited);
		return 0;
	case SPPROF__V1__REQUEST__KIND_PING:
		return fake_server_send_ping(fd);
	case SPPROF__V1__REQUEST__KIND_STATS:
		return answer_pid(fd, request->stats->pid, request);
	default:
		return answer_pid(fd, request->snapshot->pid, request);
	}
}

static void setup(void)
{
	static const char *const variables[] = {"SPPROF_RATE", "SPPROF_LIBDIR", "SPPROF_BINDIR",
		"XDG_RUNTIME_DIR", "NO_COLOR", "LD_PRELOAD"};
	for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++)
		unsetenv(variables[i]);
	setenv("TERM", "xterm", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	dir = fake_server_make_dir();
	setenv("SPPROF_SOCKET", dir, 1);
	fake_server_start(fake_server_new(dir, answer, NULL));
}

static void teardown(void)
{
	program_deinit(&result);
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
	free(dir);
}

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void assert_has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "no '%s' in: %s", part, text);
}

static void assert_one_line(const char *text)
{
	const char *newline = strchr(text, '\n');
	ck_assert_msg(newline && !newline[1], "not one line: %s", text);
}

#define RUN(...) program_run(&result, "spprofctl", __VA_ARGS__, NULL)

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

START_TEST(a_snapshot_asks_for_what_the_options_say)
{
	RUN("snapshot", "100");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	ck_assert_str_eq(
		result.out, "format=0 top=20 depth=3 width=0 color=0 cumulative=0 timeout=0\n");
	RUN("snapshot", "100", "-f", "collapsed", "--top", "3", "--depth=2", "--cumulative",
		"--timeout", "30");
	ck_assert_str_eq(
		result.out, "format=3 top=3 depth=2 width=0 color=0 cumulative=1 timeout=30000\n");
}
END_TEST

static void run_in_terminal(const char *const argv[])
{
	result.terminal = true;
	result.err_fd = 0;
	program_start(&result, argv);
	program_wait(&result);
}

START_TEST(text_fits_the_terminal_and_has_colours_unless_refused)
{
	static const char *const argv[] = {"spprofctl", "snapshot", "100", NULL};
	run_in_terminal(argv);
	ck_assert_str_eq(
		result.out, "format=0 top=20 depth=3 width=60 color=1 cumulative=0 timeout=0\n");
	setenv("NO_COLOR", "1", 1);
	run_in_terminal(argv);
	assert_has(result.out, "width=60 color=0");
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	run_in_terminal(argv);
	assert_has(result.out, "color=0");
}
END_TEST

START_TEST(a_table_fits_the_terminal)
{
	run_in_terminal((const char *const[]){"spprofctl", "stats", "100", NULL});
	assert_has(result.out, "lost_birth_ring_full_bytes 1.50 KiB stood for by");
	ck_assert_ptr_null(strstr(result.out, "that found no room"));
}
END_TEST

START_TEST(binary_formats_are_kept_from_terminals)
{
	run_in_terminal((const char *const[]){"spprofctl", "snapshot", "100", "-f", "pprof", NULL});
	ck_assert_int_eq(result.exit_code, CTL_USAGE);
	ck_assert_str_eq(result.out, "");
	assert_one_line(result.err);
	assert_has(result.err, "-o FILE");
}
END_TEST

START_TEST(a_file_s_suffix_chooses_the_format_and_the_option_overrules_it)
{
	RUN("snapshot", "100", "-o", path_of("a.pb.gz"));
	ck_assert_int_eq(result.exit_code, CTL_OK);
	ck_assert_str_eq(result.out, "");
	FILE *file = fopen(path_of("a.pb.gz"), "r");
	char text[128] = {0};
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
	fclose(file);
	assert_has(text, "format=2");
	RUN("snapshot", "100", "-f", "text", "-o", path_of("b.pb.gz"));
	file = fopen(path_of("b.pb.gz"), "r");
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
	fclose(file);
	assert_has(text, "format=0");
}
END_TEST

START_TEST(a_place_that_cannot_take_the_file_is_exit_code_1)
{
	RUN("snapshot", "100", "-o", "/nonexistent/heap.json");
	ck_assert_int_eq(result.exit_code, CTL_FAILED);
	assert_one_line(result.err);
	assert_has(result.err, "/nonexistent/heap.json");
	RUN("snapshot", "100", "-f", "json", "-o", "/dev/full");
	ck_assert_int_eq(result.exit_code, CTL_FAILED);
	assert_has(result.err, "No space left");
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
	Suite *suite = suite_create("clients/ctl/spprofctl");
	TCase *tcase = tcase_create("spprofctl");
	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, misuse_is_one_line_on_stderr_and_exit_code_2, 0,
		sizeof(misuses) / sizeof(misuses[0]));
	tcase_add_test(tcase, no_command_is_misuse);
	tcase_add_loop_test(tcase, help_is_the_same_both_ways_and_goes_to_stdout, 0,
		sizeof(commands) / sizeof(commands[0]));
	tcase_add_loop_test(tcase, refusals_become_exit_codes_with_the_daemon_s_words, 0, 6);
	tcase_add_test(tcase, no_daemon_is_exit_code_4);
	tcase_add_test(tcase, a_daemon_that_is_not_for_us_is_exit_code_5);
	tcase_add_loop_test(tcase, a_daemon_that_hangs_up_or_babbles_is_exit_code_1, PID_HANG_UP,
		PID_NONSENSE + 1);
	tcase_add_test(tcase, a_list_is_a_table_with_harmless_names);
	tcase_add_test(tcase, a_list_leaves_out_what_is_not_known);
	tcase_add_test(tcase, a_list_can_be_json);
	tcase_add_test(tcase, stats_of_a_process_are_estimates_and_counters);
	tcase_add_test(tcase, a_snapshot_asks_for_what_the_options_say);
	tcase_add_test(tcase, text_fits_the_terminal_and_has_colours_unless_refused);
	tcase_add_test(tcase, a_table_fits_the_terminal);
	tcase_add_test(tcase, binary_formats_are_kept_from_terminals);
	tcase_add_test(tcase, a_file_s_suffix_chooses_the_format_and_the_option_overrules_it);
	tcase_add_test(tcase, a_place_that_cannot_take_the_file_is_exit_code_1);
	tcase_add_test(tcase, version_names_the_daemon_that_answers);
	tcase_add_test(tcase, env_prints_what_a_shell_can_eval);
	tcase_add_test(tcase, env_without_an_agent_is_an_error);
	tcase_add_test(tcase, env_without_a_daemon_says_so_and_goes_on);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(suite)
