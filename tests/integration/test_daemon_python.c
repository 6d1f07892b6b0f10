/* A real spprofd, and workers whose stacks have frames of an interpreter. */
#include "config.h"
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include "spprof/wire/segment.h"
#include "support/daemon_fixture.h"
#include "support/tap_main.h"

#define ATTACHED SPPROF__V1__PROCESS__STATE__ATTACHED
#define EXITED	 SPPROF__V1__PROCESS__STATE__EXITED
#define TEXT	 SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__TEXT
#define JSON	 SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__JSON

static struct fixture_daemon spprofd;
static struct fixture_worker worker;

static void setup(void)
{
	fixture_start(&spprofd, NULL);
	fixture_worker_start(&worker, &spprofd, NULL);
	fixture_worker_tell(&worker, "code 1 10 Loader.load /srv/shop/app.py");
	for (int id = 1; id <= 40; id++)
		fixture_worker_tell(&worker, "python %d 600000 1 %d", id, id <= 30 ? 2 : 5);
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
}

static void teardown(void)
{
	fixture_worker_end(&worker);
	fixture_clean(&spprofd);
}

/* To be freed. Whole stacks. */
static char *take(Spprof__V1__SnapshotRequest__Format format, bool internals)
{
	Spprof__V1__SnapshotRequest request = SPPROF__V1__SNAPSHOT_REQUEST__INIT;
	request.pid = worker.pid;
	request.format = format;
	request.native_internals = internals;
	return fixture_take_snapshot(&spprofd, &request, NULL);
}

static void check_lines(char *text)
{
	ck_assert_msg(strstr(text, "Loader.load") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "app.py:12") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "app.py:15") != NULL, "%s", text);
}

START_TEST(a_snapshot_shows_lines_of_python_and_no_interpreter)
{
	char *text = take(TEXT, false);
	check_lines(text);
	ck_assert_msg(strstr(text, "fake_worker_") == NULL, "%s", text);
	ck_assert_msg(strstr(text, "40 samples") != NULL, "%s", text);
	free(text);
}
END_TEST

START_TEST(a_snapshot_shows_the_interpreter_where_it_is_asked_for)
{
	char *text = take(TEXT, true);
	check_lines(text);
	const char *inner = strstr(text, "fake_worker_middle"), *line = strstr(text, "Loader.load");
	ck_assert_msg(inner != NULL && inner < line, "%s", text);
	ck_assert_msg(
		strstr(line, "fake_worker_root") != NULL || strstr(line, "take_stack") != NULL,
		"%s", text);
	free(text);
}
END_TEST

START_TEST(every_format_knows_the_function)
{
	for (int format = 0; format < 5; format++) {
		char *text = take((Spprof__V1__SnapshotRequest__Format)format, false);
		bool packed = format == SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__PPROF;
		ck_assert_msg(packed || strstr(text, "Loader.load") != NULL, "%s", text);
		free(text);
	}
	char *text = take(JSON, false);
	ck_assert_msg(strstr(text, "\"first_line\": 10") != NULL ||
			      strstr(text, "\"first_line\":10") != NULL,
		"%s", text);
	free(text);
}
END_TEST

START_TEST(an_ended_worker_s_lines_are_known)
{
	fixture_worker_tell(&worker, "code 2 100 late /srv/shop/late.py");
	fixture_worker_tell(&worker, "python 99 600000 2 7");
	fixture_worker_tell(&worker, "exit");
	fixture_await_state(&spprofd, worker.pid, EXITED);
	waitpid(worker.pid, NULL, 0);
	char *text = take(TEXT, false);
	check_lines(text);
	ck_assert_msg(strstr(text, "late.py:107") != NULL, "%s", text);
	free(text);
}
END_TEST

START_TEST(a_late_daemon_finds_every_definition)
{
	fixture_stop(&spprofd, 9);
	fixture_worker_tell(&worker, "code 2 100 late /srv/shop/late.py");
	fixture_start(&spprofd, NULL);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	fixture_worker_tell(&worker, "python 99 600000 2 7");
	fixture_worker_tell(&worker, "python 100 600000 1 7");
	char *text = take(TEXT, false);
	ck_assert_msg(strstr(text, "late.py:107") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "app.py:17") != NULL, "%s", text);
	free(text);
}
END_TEST

static void check_stats(uint32_t python, uint32_t version, const char *should)
{
	fixture_worker_tell(&worker, "interpreter %u %u", python, version);
	Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
	ck_assert_str_eq(stats->stats->python, should);
	fixture_free(stats);
}

START_TEST(statistics_say_what_is_known_of_the_interpreter)
{
	check_stats(0, 0, "");
	check_stats(WIRE_PYTHON_FRAMES | WIRE_OBJECTS_SAMPLED << 8, 0x030b02f0,
		"CPython 3.11.2: frames in stacks; small objects sampled");
	check_stats(WIRE_PYTHON_OFF | WIRE_OBJECTS_OFF << 8, 0x030d00f0,
		"CPython 3.13.0: no frames in stacks (SPPROF_PYTHON=0); small objects not sampled "
		"(SPPROF_PYTHON_OBJECTS=0)");
	check_stats(WIRE_PYTHON_VERSION, 0x031000c1,
		"CPython 3.16.0rc1: no frames in stacks: this version's are not known; 3.9 to 3.14 "
		"are, from their final releases on; small objects not looked at yet");
	check_stats(WIRE_PYTHON_LAYOUT | WIRE_OBJECTS_MALLOC << 8, 0,
		"Python: no frames in stacks: its structures are not those of a release build of "
		"CPython; small objects come from malloc, and are sampled there");
	/* A worker may say anything. */
	check_stats(UINT32_MAX, UINT32_MAX, "");
	check_stats(WIRE_PYTHON_FRAMES | 0xffff00, UINT32_MAX,
		"CPython 255.255.255: frames in stacks; small objects in an unknown state");
}
END_TEST

START_TEST(statistics_count_frames_of_python)
{
	fixture_worker_tell(&worker, "python 99 600000 7 7");
	Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
	ck_assert_double_eq(fixture_counter(stats, "frames_seen"), 123);
	ck_assert_double_eq(fixture_counter(stats, "python_frames_seen"), 41);
	ck_assert_double_eq(fixture_counter(stats, "python_frames_unknown"), 1);
	ck_assert_double_eq(fixture_counter(stats, "frames_unmapped"), 0);
	fixture_free(stats);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("daemon_python");
	TCase *t = tcase_create("daemon_python");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, a_snapshot_shows_lines_of_python_and_no_interpreter);
	tcase_add_test(t, a_snapshot_shows_the_interpreter_where_it_is_asked_for);
	tcase_add_test(t, every_format_knows_the_function);
	tcase_add_test(t, an_ended_worker_s_lines_are_known);
	tcase_add_test(t, a_late_daemon_finds_every_definition);
	tcase_add_test(t, statistics_say_what_is_known_of_the_interpreter);
	tcase_add_test(t, statistics_count_frames_of_python);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
