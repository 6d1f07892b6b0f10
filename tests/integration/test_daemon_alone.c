/* When a real spprofd does not start, what it keeps within its bounds, and when it ends. */
#include "config.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "clients_fixture.h"

START_TEST(a_second_daemon_is_told_who_is_serving)
{
	char text[256], expected[160];
	ck_assert_int_eq(
		fixture_run_spprofd((const char *const[]){"--socket-dir", spprofd.dir, NULL}, text,
			sizeof text),
		1);
	snprintf(expected, sizeof expected, "spprofd: another spprofd (pid %d) is serving %s\n",
		(int)spprofd.pid, spprofd.dir);
	ck_assert_str_eq(text, expected);
}
END_TEST

START_TEST(a_directory_that_cannot_be_used_is_explained)
{
	char text[256];
	ck_assert_int_eq(
		fixture_run_spprofd((const char *const[]){"--socket-dir", "/proc/nothing", NULL},
			text, sizeof text),
		1);
	ck_assert_msg(strstr(text, "/proc/nothing: cannot make the directory") != NULL, "%s", text);
	ck_assert_int_eq(
		fixture_run_spprofd(
			(const char *const[]){"--group", "no-such-group", NULL}, text, sizeof text),
		1);
	ck_assert_msg(strstr(text, "there is no group 'no-such-group'") != NULL, "%s", text);
}
END_TEST

START_TEST(bounds_fold_and_say_so)
{
	static const char *const tight[] = {"--max-live", "20", "--max-stacks", "2", NULL};
	fixture_start(&spprofd, tight);
	fixture_worker_start(&worker, &spprofd, NULL);
	fixture_worker_tell(&worker, "births 1 50 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
	ck_assert_double_eq(fixture_counter(stats, "model_live_samples"), 20);
	ck_assert_double_eq(fixture_counter(stats, "folded_samples"), 30);
	ck_assert_double_gt(fixture_counter(stats, "folded_bytes"), 30 * 600000.0);
	fixture_free(stats);
	char *text = fixture_snapshot(&spprofd, worker.pid, TEXT, NULL);
	ck_assert_msg(strstr(text, "30 samples standing for 25.2 MiB") != NULL, "%s", text);
	free(text);
}
END_TEST

START_TEST(ended_workers_are_kept_up_to_their_number)
{
	static const char *const few[] = {"--keep-exited", "3", NULL};
	fixture_start(&spprofd, few);
	pid_t pids[6];
	for (int i = 0; i < 6; i++) {
		fixture_worker_start(&worker, &spprofd, NULL);
		fixture_worker_handshake(&worker, &spprofd);
		pids[i] = worker.pid;
		fixture_worker_end(&worker);
		fixture_await_state(&spprofd, pids[i], EXITED);
	}
	Spprof__V1__Response *list = fixture_list(&spprofd, true);
	for (int i = 0; i < 6; i++)
		ck_assert_int_eq(fixture_process(list, pids[i]) != NULL, i >= 3);
	fixture_free(list);
}
END_TEST

START_TEST(workers_over_the_bound_are_not_attached)
{
	static const char *const one[] = {"--max-workers", "1", NULL};
	struct fixture_worker second;
	fixture_start(&spprofd, one);
	fixture_worker_start(&worker, &spprofd, NULL);
	fixture_worker_start(&second, &spprofd, NULL);
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	Spprof__V1__Response *stats = fixture_stats(&spprofd, second.pid);
	ck_assert_ptr_nonnull(stats->error);
	ck_assert_msg(strstr(stats->error->message, "--max-workers") != NULL, "%s",
		stats->error->message);
	fixture_free(stats);
	fixture_worker_end(&second);
}
END_TEST

START_TEST(a_daemon_ends_with_its_parent)
{
	int end[2];
	ck_assert_int_eq(pipe(end), 0);
	pid_t parent = fork();
	if (parent == 0) {
		struct fixture_daemon child = {0};
		fixture_start(&child, NULL);
		/* The daemon holds no end of this pipe, the child's directory goes through it. */
		if (write(end[1], &child, sizeof child) != sizeof child)
			_exit(1);
		_exit(0);
	}
	struct fixture_daemon orphan;
	ck_assert_int_eq(read(end[0], &orphan, sizeof orphan), sizeof orphan);
	waitpid(parent, NULL, 0);
	for (int waited = 0; fixture_exists(&orphan, "spprofd.pid") && waited < FIXTURE_WAIT_MS;
		waited += 5)
		poll(NULL, 0, 5);
	ck_assert(!fixture_exists(&orphan, "spprofd.pid"));
	orphan.pid = 0;
	fixture_clean(&orphan);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("daemon_alone");
	TCase *t = tcase_create("with a worker");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_second_daemon_is_told_who_is_serving);
	suite_add_tcase(s, t);
	t = tcase_create("alone");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, a_directory_that_cannot_be_used_is_explained);
	tcase_add_test(t, bounds_fold_and_say_so);
	tcase_add_test(t, ended_workers_are_kept_up_to_their_number);
	tcase_add_test(t, workers_over_the_bound_are_not_attached);
	tcase_add_test(t, a_daemon_ends_with_its_parent);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
