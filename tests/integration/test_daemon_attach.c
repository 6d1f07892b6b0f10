/* A real spprofd and fake workers: how a worker comes in, how it leaves, and what is known of it
 * then. */
#include "config.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "support/daemon_fixture.h"
#include "support/tap_main.h"

#define ATTACHED SPPROF__V1__PROCESS__STATE__ATTACHED
#define EXITED	 SPPROF__V1__PROCESS__STATE__EXITED
#define LOST	 SPPROF__V1__PROCESS__STATE__LOST
#define TEXT	 SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__TEXT

static struct fixture_daemon spprofd;
static struct fixture_worker worker;

static void setup(void)
{
	fixture_start(&spprofd, NULL);
	fixture_worker_start(&worker, &spprofd, NULL);
}

static void teardown(void)
{
	fixture_worker_end(&worker);
	fixture_clean(&spprofd);
}

static void assert_live(pid_t pid, uint64_t samples)
{
	Spprof__V1__Response *stats = fixture_stats(&spprofd, pid);
	ck_assert_msg(stats->error == NULL, "%s", stats->error ? stats->error->message : "");
	ck_assert_uint_eq(stats->stats->live_bytes->samples, samples);
	fixture_free(stats);
}

static void assert_error(pid_t pid, Spprof__V1__Error__Code code, const char *words)
{
	Spprof__V1__Response *stats = fixture_stats(&spprofd, pid);
	ck_assert_ptr_nonnull(stats->error);
	ck_assert_msg(strstr(stats->error->message, words) != NULL, "'%s' lacks '%s'",
		stats->error->message, words);
	ck_assert_int_eq(stats->error->code, code);
	ck_assert_ptr_null(strchr(stats->error->message, '\n'));
	fixture_free(stats);
}

static void assert_begins(const char *text, const char *words)
{
	ck_assert_msg(strncmp(text, words, strlen(words)) == 0, "'%s' does not begin with '%s'",
		text, words);
}

START_TEST(a_handshake_attaches_with_all_that_was_written_before)
{
	fixture_worker_tell(&worker, "births 1 50 600000");
	fixture_worker_tell(&worker, "death 7");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	fixture_worker_tell(&worker, "births 100 10 600000");
	assert_live(worker.pid, 59);

	Spprof__V1__Response *list = fixture_list(&spprofd, false);
	const Spprof__V1__Process *process = fixture_process(list, worker.pid);
	ck_assert_uint_eq(process->uid, geteuid());
	ck_assert_str_eq(process->comm, "fake_worker");
	ck_assert(strstr(process->exe, "/fake_worker") != NULL);
	ck_assert_msg(!process->unconfirmed, "%s", process->note);
	ck_assert_double_eq(process->interval_bytes, 512 << 10);
	/* 59 blocks of 600,000 bytes, each seen with probability 1 - exp(-600000/524288) */
	ck_assert_double_eq_tol(process->live_bytes->value, 59 * 600000 / 0.6816, 60000);
	ck_assert(process->live_bytes->low < process->live_bytes->value);
	ck_assert(process->live_bytes->high > process->live_bytes->value);
	fixture_free(list);
}
END_TEST

START_TEST(a_snapshot_names_the_functions)
{
	fixture_worker_tell(&worker, "births 1 20 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	Spprof__V1__Response *first;
	char *text = fixture_snapshot(&spprofd, worker.pid, TEXT, &first);
	ck_assert_ptr_null(first->error);
	ck_assert_int_eq(first->snapshot->process->pid, worker.pid);
	ck_assert_msg(strstr(text, "fake_worker_middle") != NULL, "%s", text);
	ck_assert_msg(strstr(text, "20 samples") != NULL, "%s", text);
	fixture_free(first);
	free(text);
}
END_TEST

START_TEST(every_format_is_answered)
{
	static const char *const begins[] = {"fake_worker", "{", "\x1f\x8b", "", "{"};
	fixture_worker_tell(&worker, "births 1 20 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	for (int format = 0; format < 5; format++) {
		char *text = fixture_snapshot(
			&spprofd, worker.pid, (Spprof__V1__SnapshotRequest__Format)format, NULL);
		ck_assert_msg(strncmp(text, begins[format], strlen(begins[format])) == 0,
			"format %d: %.20s", format, text);
		ck_assert_uint_gt(strlen(text), 2);
		free(text);
	}
	Spprof__V1__Response *first;
	free(fixture_snapshot(
		&spprofd, worker.pid, (Spprof__V1__SnapshotRequest__Format)99, &first));
	ck_assert_int_eq(first->error->code, SPPROF__V1__ERROR__CODE__INVALID_REQUEST);
	fixture_free(first);
}
END_TEST

START_TEST(a_worker_without_handshake_is_found_by_its_number)
{
	fixture_worker_tell(&worker, "births 1 30 600000");
	assert_live(worker.pid, 30);
	Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
	ck_assert_double_eq(fixture_counter(stats, "attached_by_scan"), 1);
	ck_assert_msg(!stats->stats->process->unconfirmed, "%s", stats->stats->process->note);
	fixture_free(stats);
}
END_TEST

START_TEST(a_worker_without_handshake_is_found_by_a_scan)
{
	fixture_worker_tell(&worker, "births 1 30 600000");
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	assert_live(worker.pid, 30);
}
END_TEST

START_TEST(a_scan_leaves_alone_what_is_meant_for_another_daemon)
{
	struct fixture_daemon other = {0};
	struct fixture_worker theirs;
	fixture_start(&other, NULL);
	fixture_worker_start(&theirs, &other, NULL);
	fixture_worker_tell(&theirs, "births 1 30 600000");
	fixture_await_state(&other, theirs.pid, ATTACHED);
	/* Asked for by its number, it would be taken if nobody had it. */
	assert_error(
		theirs.pid, SPPROF__V1__ERROR__CODE__NOT_ATTACHED, "served by another spprofd");
	fixture_worker_end(&theirs);
	fixture_clean(&other);
}
END_TEST

START_TEST(an_ended_worker_answers_with_its_last_state)
{
	fixture_worker_tell(&worker, "births 1 40 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_worker_tell(&worker, "death 1");
	fixture_worker_tell(&worker, "exit");
	fixture_await_state(&spprofd, worker.pid, EXITED);
	assert_live(worker.pid, 39);
	waitpid(worker.pid, NULL, 0);
	assert_live(worker.pid, 39);
	char *text = fixture_snapshot(&spprofd, worker.pid, TEXT, NULL);
	ck_assert_msg(strstr(text, "fake_worker_middle") != NULL, "%s", text);
	free(text);
	Spprof__V1__Response *list = fixture_list(&spprofd, false);
	ck_assert_ptr_null(fixture_process(list, worker.pid));
	fixture_free(list);
}
END_TEST

START_TEST(a_worker_that_is_gone_before_it_is_looked_at_is_kept)
{
	/* The daemon stands still while the worker hands over, ends and is reaped. */
	char exe[64];
	fixture_worker_tell(&worker, "births 1 25 600000");
	kill(spprofd.pid, SIGSTOP);
	fixture_worker_handshake(&worker, &spprofd);
	kill(worker.pid, SIGKILL);
	waitpid(worker.pid, NULL, 0);
	kill(spprofd.pid, SIGCONT);
	fixture_await_state(&spprofd, worker.pid, EXITED);
	assert_live(worker.pid, 25);
	Spprof__V1__Response *list = fixture_list(&spprofd, true);
	/* From what the segment has of /proc/self/maps. */
	snprintf(exe, sizeof exe, "%s", fixture_process(list, worker.pid)->comm);
	ck_assert_str_eq(exe, "fake_worker");
	fixture_free(list);
	char *text = fixture_snapshot(&spprofd, worker.pid, TEXT, NULL);
	ck_assert_msg(strstr(text, "fake_worker_middle") != NULL, "%s", text);
	free(text);
}
END_TEST

START_TEST(sixty_short_lives_are_all_kept)
{
	pid_t pids[60];
	for (int i = 0; i < 60; i++) {
		struct fixture_worker brief;
		fixture_worker_start(&brief, &spprofd, NULL);
		fixture_worker_tell(&brief, "births 1 3 600000");
		fixture_worker_handshake(&brief, &spprofd);
		pids[i] = brief.pid;
		fixture_worker_end(&brief);
	}
	for (int i = 0; i < 60; i++) {
		fixture_await_state(&spprofd, pids[i], EXITED);
		assert_live(pids[i], 3);
	}
}
END_TEST

START_TEST(an_exec_with_the_agent_supersedes)
{
	fixture_worker_tell(&worker, "births 1 40 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	fixture_worker_tell(&worker, "exec-self");
	fixture_worker_tell(&worker, "births 1 5 600000");
	fixture_worker_handshake(&worker, &spprofd);
	Spprof__V1__Response *stats;
	do {
		stats = fixture_stats(&spprofd, 0);
		double superseded = fixture_counter(stats, "sessions_superseded");
		fixture_free(stats);
		if (superseded == 1)
			break;
	} while (poll(NULL, 0, 5) == 0);
	assert_live(worker.pid, 5);
	fixture_await_state(&spprofd, worker.pid, EXITED); /* the old image */
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
}
END_TEST

START_TEST(an_exec_without_the_agent_ends_the_session)
{
	fixture_worker_tell(&worker, "births 1 40 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	fixture_worker_tell(&worker, "exec-other");
	fixture_await_state(&spprofd, worker.pid, EXITED);
	assert_live(worker.pid, 40);
}
END_TEST

START_TEST(an_exec_before_the_look_is_not_taken_for_the_new_program)
{
	/* The daemon stands still while the worker hands over and becomes another program. */
	fixture_worker_tell(&worker, "births 1 40 600000");
	kill(spprofd.pid, SIGSTOP);
	fixture_worker_handshake(&worker, &spprofd);
	fixture_worker_tell(&worker, "exec-other");
	kill(spprofd.pid, SIGCONT);
	fixture_await_state(&spprofd, worker.pid, EXITED);
	assert_live(worker.pid, 40);
	Spprof__V1__Response *list = fixture_list(&spprofd, true);
	ck_assert_str_eq(fixture_process(list, worker.pid)->comm, "fake_worker");
	fixture_free(list);
}
END_TEST

START_TEST(a_fork_is_told_apart_from_its_parent)
{
	fixture_worker_tell(&worker, "births 1 40 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	pid_t child = (pid_t)fixture_worker_tell(&worker, "fork");
	assert_error(
		child, SPPROF__V1__ERROR__CODE__NOT_ATTACHED, "forked from a profiled process");
	fixture_await_state(&spprofd, child, LOST);
	assert_live(worker.pid, 40);
}
END_TEST

START_TEST(a_worker_that_closed_its_descriptors_stays_attached)
{
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	fixture_worker_tell(&worker, "close");
	fixture_worker_tell(&worker, "births 1 40 600000");
	assert_live(worker.pid, 40);
}
END_TEST

START_TEST(a_restart_finds_the_workers_again)
{
	fixture_worker_tell(&worker, "births 1 10 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	assert_live(worker.pid, 10);
	fixture_stop(&spprofd, SIGKILL);
	ck_assert(fixture_exists(&spprofd, "api.sock"));
	fixture_worker_tell(&worker, "births 100 7 600000");

	fixture_start(&spprofd, NULL);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	assert_live(worker.pid, 7);
	Spprof__V1__Response *list = fixture_list(&spprofd, false);
	const Spprof__V1__Process *process = fixture_process(list, worker.pid);
	ck_assert(process->unconfirmed);
	ck_assert_msg(
		strstr(process->note, "read by an earlier spprofd") != NULL, "%s", process->note);
	fixture_free(list);
}
END_TEST

/* What is said of a snapshot since that mark; to be freed. */
static char *refusal_of_a_mark(const char *name)
{
	Spprof__V1__SnapshotRequest snapshot = SPPROF__V1__SNAPSHOT_REQUEST__INIT;
	Spprof__V1__Response *response;
	snapshot.pid = worker.pid;
	snapshot.since = (char *)name;
	free(fixture_take_snapshot(&spprofd, &snapshot, &response));
	ck_assert_ptr_nonnull(response->error);
	ck_assert_int_eq(response->error->code, SPPROF__V1__ERROR__CODE__INVALID_REQUEST);
	char *said = strdup(response->error->message);
	fixture_free(response);
	return said;
}

START_TEST(marks_that_end_with_a_daemon_are_said_to)
{
	static const char *const older[] = {"--minor=0", NULL};
	fixture_worker_end(&worker);
	fixture_worker_start(&worker, &spprofd, older);
	fixture_worker_tell(&worker, "births 1 10 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	ck_assert_uint_eq(fixture_mark(&spprofd, worker.pid, "load"), 11);
	char *before = refusal_of_a_mark("other");
	ck_assert_msg(strstr(before, "older release") == NULL, "%s", before);
	fixture_stop(&spprofd, SIGKILL);

	fixture_start(&spprofd, NULL);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	char *after = refusal_of_a_mark("load");
	ck_assert_msg(strstr(after, "has no mark 'load' (those that an earlier spprofd was given "
				    "ended with it") != NULL,
		"%s", after);
	free(before);
	free(after);
}
END_TEST

static char *site_of_the_snapshot(void)
{
	char *json = fixture_snapshot(
		&spprofd, worker.pid, SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__JSON, NULL);
	char *sites = strstr(json, "\"sites\"");
	ck_assert_ptr_nonnull(sites);
	sites = strdup(sites);
	free(json);
	return sites;
}

START_TEST(a_sleeping_worker_is_known_to_the_next_daemon)
{
	fixture_worker_tell(&worker, "map 1 200 600000");
	fixture_worker_tell(&worker, "births 1 200 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	char *before = site_of_the_snapshot();
	fixture_stop(&spprofd, SIGKILL);

	fixture_start(&spprofd, NULL);
	Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
	if (strstr(stats->stats->process->note, "does not let") != NULL && geteuid() != 0) {
		printf("# not tested: %s\n", stats->stats->process->note);
		fixture_free(stats);
		free(before);
		return;
	}
	ck_assert_uint_eq(stats->stats->live_bytes->samples, 200);
	ck_assert_msg(!stats->stats->process->unconfirmed, "%s", stats->stats->process->note);
	ck_assert_double_eq(fixture_counter(stats, "resync_verified"), 1);
	ck_assert_double_eq(fixture_counter(stats, "resync_readings"), 1);
	fixture_free(stats);
	char *after = site_of_the_snapshot();
	ck_assert_str_eq(after, before);
	free(before);
	free(after);
}
END_TEST

START_TEST(a_clean_end_leaves_nothing_behind)
{
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	int status = fixture_stop(&spprofd, SIGTERM);
	ck_assert(WIFEXITED(status));
	ck_assert_int_eq(WEXITSTATUS(status), 0);
	ck_assert(!fixture_exists(&spprofd, "api.sock"));
	ck_assert(!fixture_exists(&spprofd, "agent.sock"));
	ck_assert(!fixture_exists(&spprofd, "spprofd.pid"));
}
END_TEST

START_TEST(losses_make_a_session_unconfirmed_and_are_counted)
{
	fixture_worker_tell(&worker, "births 1 10 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	fixture_worker_tell(&worker, "lose 0 3 3145728");
	fixture_worker_tell(&worker, "lose 4 2 1000");
	Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
	ck_assert(stats->stats->process->unconfirmed);
	assert_begins(stats->stats->process->note,
		"3 samples of about 3.0 MiB were lost, 2 freed ones still count as live; ");
	ck_assert_double_eq(fixture_counter(stats, "lost_birth_ring_full"), 3);
	ck_assert_double_eq(fixture_counter(stats, "lost_birth_ring_full_bytes"), 3145728);
	ck_assert_double_eq(fixture_counter(stats, "lost_death_unwritten"), 2);
	fixture_free(stats);
}
END_TEST

START_TEST(a_copy_that_differs_without_a_loss_is_noticed)
{
	fixture_worker_tell(&worker, "births 1 10 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	fixture_worker_tell(&worker, "drift 1");
	for (bool noticed = false; !noticed; poll(NULL, 0, 20)) {
		Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
		noticed = stats->stats->process->unconfirmed;
		if (noticed)
			assert_begins(stats->stats->process->note,
				"the copy differs from the process's own count (10 live samples "
				"against 11); ");
		fixture_free(stats);
	}
}
END_TEST

START_TEST(processes_without_a_segment_are_explained)
{
	assert_error(getpid(), SPPROF__V1__ERROR__CODE__NOT_ATTACHED,
		"runs without the agent; start it with `spprofctl run");
	pid_t ended = fork();
	if (ended == 0)
		_exit(0);
	waitpid(ended, NULL, 0);
	assert_error(ended, SPPROF__V1__ERROR__CODE__NO_SUCH_PROCESS, "no such process");
	assert_error(-5, SPPROF__V1__ERROR__CODE__INVALID_REQUEST, "not a process id");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("daemon_attach");
	TCase *t = tcase_create("daemon_attach");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_handshake_attaches_with_all_that_was_written_before);
	tcase_add_test(t, a_snapshot_names_the_functions);
	tcase_add_test(t, every_format_is_answered);
	tcase_add_test(t, a_worker_without_handshake_is_found_by_its_number);
	tcase_add_test(t, a_worker_without_handshake_is_found_by_a_scan);
	tcase_add_test(t, a_scan_leaves_alone_what_is_meant_for_another_daemon);
	tcase_add_test(t, an_ended_worker_answers_with_its_last_state);
	tcase_add_test(t, a_worker_that_is_gone_before_it_is_looked_at_is_kept);
	tcase_add_test(t, sixty_short_lives_are_all_kept);
	tcase_add_test(t, an_exec_with_the_agent_supersedes);
	tcase_add_test(t, an_exec_without_the_agent_ends_the_session);
	tcase_add_test(t, an_exec_before_the_look_is_not_taken_for_the_new_program);
	tcase_add_test(t, a_fork_is_told_apart_from_its_parent);
	tcase_add_test(t, a_worker_that_closed_its_descriptors_stays_attached);
	tcase_add_test(t, a_restart_finds_the_workers_again);
	tcase_add_test(t, marks_that_end_with_a_daemon_are_said_to);
	tcase_add_test(t, a_sleeping_worker_is_known_to_the_next_daemon);
	tcase_add_test(t, a_clean_end_leaves_nothing_behind);
	tcase_add_test(t, losses_make_a_session_unconfirmed_and_are_counted);
	tcase_add_test(t, a_copy_that_differs_without_a_loss_is_noticed);
	tcase_add_test(t, processes_without_a_segment_are_explained);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
