/* A real spprofd and its clients: many, slow, silent, gone, and of other users. */
#include "config.h"
#include <errno.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "clients_fixture.h"

static void send_snapshot(int fd, pid_t pid, Spprof__V1__SnapshotRequest__Format format)
{
	Spprof__V1__SnapshotRequest snapshot = SPPROF__V1__SNAPSHOT_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	snapshot.pid = pid;
	snapshot.format = format;
	request.kind_case = SPPROF__V1__REQUEST__KIND_SNAPSHOT;
	request.snapshot = &snapshot;
	fixture_send_request(fd, &request);
}

START_TEST(requests_sent_at_once_are_answered_in_order)
{
	int fd = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
	for (int i = 0; i < 20; i++) {
		send_ping(fd);
		send_snapshot(fd, worker.pid, TEXT);
	}
	for (int i = 0; i < 20; i++) {
		assert_ping(fd);
		Spprof__V1__Response *response = fixture_receive(fd);
		ck_assert_int_eq(response->kind_case, SPPROF__V1__RESPONSE__KIND_SNAPSHOT);
		fixture_free(response);
	}
	close(fd);
}
END_TEST

START_TEST(a_request_may_come_byte_by_byte)
{
	static const uint8_t ping[] = {2, 0, 0, 0, 1, 0, 0, 0, 0x22, 0};
	int fd = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
	for (size_t i = 0; i < sizeof ping; i++)
		fixture_send(fd, ping + i, 1);
	assert_ping(fd);
	close(fd);
}
END_TEST

START_TEST(a_client_that_closes_its_side_is_answered)
{
	int fd = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
	send_snapshot(fd, worker.pid, TEXT);
	shutdown(fd, SHUT_WR);
	Spprof__V1__Response *response = fixture_receive(fd);
	ck_assert_int_eq(response->kind_case, SPPROF__V1__RESPONSE__KIND_SNAPSHOT);
	fixture_free(response);
	ck_assert(fixture_closed(fd));
	close(fd);
}
END_TEST

START_TEST(a_hundred_clients_are_served_together)
{
	int fds[100];
	for (int i = 0; i < 100; i++)
		fds[i] = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
	for (int i = 0; i < 100; i++)
		send_snapshot(fds[i], worker.pid, i % 2 ? TEXT : JSON);
	for (int i = 99; i >= 0; i--) {
		Spprof__V1__Response *response = fixture_receive(fds[i]);
		ck_assert_ptr_nonnull(response);
		ck_assert_msg(response->error == NULL, "%s",
			response->error != NULL ? response->error->message : "");
		/* With all names: nobody is served in a hurry. */
		const ProtobufCBinaryData *data = &response->snapshot->data;
		ck_assert_ptr_nonnull(memmem(
			data->data, data->len, "fake_worker_middle", strlen("fake_worker_middle")));
		fixture_free(response);
		close(fds[i]);
	}
}
END_TEST

START_TEST(too_many_connections_push_out_the_silent_ones)
{
	int fds[300];
	for (int i = 0; i < 300; i++)
		fds[i] = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
	assert_serving();
	ck_assert(fixture_closed(fds[0]));
	send_ping(fds[299]);
	assert_ping(fds[299]);
	for (int i = 0; i < 300; i++)
		close(fds[i]);
}
END_TEST

START_TEST(a_client_that_never_reads_stops_nobody)
{
	/* As many answers as would fill any socket, asked for and not taken. */
	int fds[20];
	for (int i = 0; i < 20; i++) {
		fds[i] = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
		fcntl(fds[i], F_SETFL, O_NONBLOCK);
		uint8_t pings[1000][10];
		for (int j = 0; j < 1000; j++)
			memcpy(pings[j], (uint8_t[]){2, 0, 0, 0, 1, 0, 0, 0, 0x22, 0}, 10);
		while (send(fds[i], pings, sizeof pings, MSG_NOSIGNAL) > 0)
			;
		ck_assert_int_eq(errno, EAGAIN);
	}
	assert_serving();
	Spprof__V1__Response *stats = fixture_stats(&spprofd, 0);
	ck_assert_double_lt(fixture_counter(stats, "api_held_bytes"), 100000);
	fixture_free(stats);
	for (int i = 0; i < 20; i++)
		close(fds[i]);
}
END_TEST

START_TEST(clients_that_leave_before_the_answer_stop_nobody)
{
	for (int i = 0; i < 50; i++) {
		int fd = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
		send_snapshot(fd, worker.pid, JSON);
		close(fd);
	}
	assert_serving();
}
END_TEST

/* Stopped meanwhile, so that all have gone before the first is looked at. */
START_TEST(snapshots_are_not_made_for_clients_that_have_gone)
{
	kill(spprofd.pid, SIGSTOP);
	for (int i = 0; i < 50; i++) {
		int fd = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
		send_snapshot(fd, worker.pid, JSON);
		close(fd);
	}
	kill(spprofd.pid, SIGCONT);
	double unwanted, built;
	do {
		Spprof__V1__Response *stats = fixture_stats(&spprofd, 0);
		unwanted = fixture_counter(stats, "snapshots_unwanted");
		built = fixture_counter(stats, "snapshots_built");
		fixture_free(stats);
	} while (unwanted + built < 50 && poll(NULL, 0, 5) == 0);
	ck_assert_double_eq(unwanted, 50);
	assert_serving();
}
END_TEST

/* Asks for statistics as another user: what the daemon says. */
static Spprof__V1__Error__Code ask_as(uid_t uid, gid_t gid, pid_t pid)
{
	pid_t child = fork();
	if (child == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(gid, gid, gid) < 0 ||
			setresuid(uid, uid, uid) < 0)
			_exit(100);
		struct stat st;
		char path[128];
		snprintf(path, sizeof path, "%s/api.sock", spprofd.dir);
		if (stat(path, &st) < 0 || access(path, W_OK) < 0)
			_exit(101);
		Spprof__V1__Response *stats = fixture_stats(&spprofd, pid);
		_exit(stats->error != NULL ? (int)stats->error->code : 0);
	}
	int status;
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert(WIFEXITED(status));
	return (Spprof__V1__Error__Code)WEXITSTATUS(status);
}

START_TEST(a_user_sees_the_own_processes_and_a_group_sees_all)
{
	if (geteuid() != 0)
		return; /* nobody else can become another user */
	static const char *const group[] = {"--group", "daemon", NULL};
	char path[128];
	gid_t gid = getgrnam("daemon")->gr_gid;
	fixture_start(&spprofd, group);
	ck_assert_int_eq(chmod(spprofd.dir, 0755), 0);
	fixture_worker_start(&worker, &spprofd, NULL);
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
	ck_assert_int_eq(ask_as(54321, 54321, worker.pid), 101);
	ck_assert_int_eq(ask_as(54321, gid, worker.pid), 0);
	/* An administrator may open the socket to everybody: each still sees only the own. */
	snprintf(path, sizeof path, "%s/api.sock", spprofd.dir);
	ck_assert_int_eq(chmod(path, 0666), 0);
	ck_assert_int_eq(
		ask_as(54321, 54321, worker.pid), SPPROF__V1__ERROR__CODE__PERMISSION_DENIED);
	ck_assert_int_eq(
		ask_as(54321, 54321, getpid()), SPPROF__V1__ERROR__CODE__PERMISSION_DENIED);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("daemon_clients");
	TCase *t = tcase_create("with a worker");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, requests_sent_at_once_are_answered_in_order);
	tcase_add_test(t, a_request_may_come_byte_by_byte);
	tcase_add_test(t, a_client_that_closes_its_side_is_answered);
	tcase_add_test(t, a_hundred_clients_are_served_together);
	tcase_add_test(t, too_many_connections_push_out_the_silent_ones);
	tcase_add_test(t, a_client_that_never_reads_stops_nobody);
	tcase_add_test(t, clients_that_leave_before_the_answer_stop_nobody);
	tcase_add_test(t, snapshots_are_not_made_for_clients_that_have_gone);
	suite_add_tcase(s, t);
	t = tcase_create("alone");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, a_user_sees_the_own_processes_and_a_group_sees_all);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
