/* A real spprofd among clients and agents that mean it well, badly, or nothing at all. */
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "support/daemon_fixture.h"
#include "support/random.h"
#include "support/tap_main.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

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
	fixture_worker_tell(&worker, "births 1 50 600000");
	fixture_worker_handshake(&worker, &spprofd);
	fixture_await_state(&spprofd, worker.pid, ATTACHED);
}

static void setup_empty(void)
{
	fixture_start(&spprofd, NULL);
}

static void teardown(void)
{
	fixture_worker_end(&worker);
	fixture_clean(&spprofd);
}

static void assert_serving(void)
{
	Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
	ck_assert_msg(
		stats->error == NULL, "%s", stats->error != NULL ? stats->error->message : "");
	ck_assert_uint_ge(stats->stats->live_bytes->samples, 50);
	fixture_free(stats);
}

static void send_ping(int fd)
{
	Spprof__V1__PingRequest ping = SPPROF__V1__PING_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	request.kind_case = SPPROF__V1__REQUEST__KIND_PING;
	request.ping = &ping;
	fixture_send_request(fd, &request);
}

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

static void assert_ping(int fd)
{
	Spprof__V1__Response *response = fixture_receive(fd);
	ck_assert_ptr_nonnull(response);
	ck_assert_int_eq(response->kind_case, SPPROF__V1__RESPONSE__KIND_PING);
	ck_assert_int_eq(response->ping->pid, spprofd.pid);
	ck_assert_str_eq(response->ping->version, PACKAGE_VERSION);
	fixture_free(response);
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

START_TEST(garbage_to_the_api_is_answered_by_an_error_and_the_end)
{
	struct random random = {.state = 42};
	for (int i = 0; i < 200; i++) {
		uint8_t bytes[512];
		size_t size = 8 + random_below(&random, sizeof bytes - 8);
		for (size_t j = 0; j < size; j++)
			bytes[j] = (uint8_t)random_next(&random);
		bytes[5] |= 2; /* no version of ours, by any chance */
		int fd = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
		fixture_send(fd, bytes, size);
		Spprof__V1__Response *response = fixture_receive(fd);
		ck_assert_ptr_nonnull(response);
		ck_assert_ptr_nonnull(response->error);
		ck_assert_int_eq(response->error->code, SPPROF__V1__ERROR__CODE__INVALID_REQUEST);
		fixture_free(response);
		ck_assert(fixture_closed(fd));
		close(fd);
	}
	assert_serving();
}
END_TEST

START_TEST(garbage_in_a_frame_is_an_invalid_request_and_no_end)
{
	struct random random = {.state = 43};
	int fd = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
	for (int i = 0; i < 200; i++) {
		uint8_t bytes[8 + 255] = {0, 0, 0, 0, 1};
		size_t size = random_below(&random, 255);
		bytes[0] = (uint8_t)size;
		for (size_t j = 0; j < size; j++)
			bytes[8 + j] =
				(uint8_t)(random_next(&random) | 0xc0); /* no field of ours */
		fixture_send(fd, bytes, 8 + size);
		Spprof__V1__Response *response = fixture_receive(fd);
		ck_assert_ptr_nonnull(response);
		ck_assert_ptr_nonnull(response->error);
		ck_assert_int_eq(response->error->code, SPPROF__V1__ERROR__CODE__INVALID_REQUEST);
		fixture_free(response);
	}
	send_ping(fd);
	assert_ping(fd);
	close(fd);
}
END_TEST

START_TEST(garbage_to_the_agents_socket_attaches_nothing)
{
	struct random random = {.state = 44};
	for (int i = 0; i < 200; i++) {
		uint8_t bytes[64];
		for (size_t j = 0; j < sizeof bytes; j++)
			bytes[j] = (uint8_t)random_next(&random);
		int fd = fixture_connect(&spprofd, "agent.sock", SOCK_SEQPACKET);
		ck_assert_int_gt(
			send(fd, bytes, 1 + random_below(&random, sizeof bytes - 1), MSG_NOSIGNAL),
			0);
		ck_assert(fixture_closed(fd));
		close(fd);
	}
	Spprof__V1__Response *stats = fixture_stats(&spprofd, 0);
	ck_assert_double_eq(fixture_counter(stats, "agent_handshakes_malformed"), 200);
	ck_assert_double_eq(fixture_counter(stats, "processes_attached"), 1);
	fixture_free(stats);
}
END_TEST

START_TEST(agents_that_say_nothing_are_pushed_out)
{
	int fds[100];
	for (int i = 0; i < 100; i++)
		fds[i] = fixture_connect(&spprofd, "agent.sock", SOCK_SEQPACKET);
	ck_assert(fixture_closed(fds[0]));
	struct fixture_worker other;
	fixture_worker_start(&other, &spprofd, NULL);
	fixture_worker_handshake(&other, &spprofd);
	fixture_await_state(&spprofd, other.pid, ATTACHED);
	ck_assert(fixture_closed(fds[99]));
	for (int i = 0; i < 100; i++)
		close(fds[i]);
	fixture_worker_end(&other);
}
END_TEST

START_TEST(files_that_are_no_segments_attach_nothing)
{
	static const char *const files[] = {"/dev/null", "/dev/zero", "/proc/self/mem"};
	for (size_t i = 0; i < sizeof files / sizeof files[0]; i++)
		ck_assert_int_eq(
			fixture_worker_tell(&worker, "send %s %s", files[i], spprofd.dir), 0);
	Spprof__V1__Response *stats;
	bool refused;
	do {
		stats = fixture_stats(&spprofd, 0);
		refused = fixture_counter(stats, "agent_handshakes_refused") == 3;
		fixture_free(stats);
	} while (!refused && poll(NULL, 0, 5) == 0);
	assert_serving();
}
END_TEST

/* One end of a TCP connection with bytes that the other end, *peer, never takes: closing the last
 * descriptor of it takes a thousand seconds. */
static int lingering_socket(int *peer)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
	socklen_t size = sizeof address;
	struct linger linger = {.l_onoff = 1, .l_linger = 1000};
	static const char bytes[65536];
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(listening, (struct sockaddr *)&address, size), 0);
	ck_assert_int_eq(listen(listening, 1), 0);
	ck_assert_int_eq(getsockname(listening, (struct sockaddr *)&address, &size), 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, size), 0);
	*peer = accept(listening, NULL, NULL);
	ck_assert_int_ge(*peer, 0);
	while (send(fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
		;
	ck_assert_int_eq(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
	close(listening);
	return fd;
}

/* False: the kernel does not let descriptors through. */
static bool send_descriptors(int client, int fd, unsigned count)
{
	uint64_t word = 0;
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(16 * sizeof fd)];
	} control = {.header = {.cmsg_len = CMSG_LEN(count * sizeof fd),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec piece = {&word, sizeof word};
	struct msghdr message = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = CMSG_SPACE(count * sizeof fd)};
	for (unsigned i = 0; i < count; i++)
		memcpy(CMSG_DATA(&control.header) + i * sizeof fd, &fd, sizeof fd);
	return sendmsg(client, &message, MSG_NOSIGNAL) > 0;
}

/* The last reference is the daemon's: it is stopped until ours is gone. */
static void leave_a_lingering_socket(unsigned empty_messages, unsigned count)
{
	int peer, fd = lingering_socket(&peer);
	int client = fixture_connect(&spprofd, "agent.sock", SOCK_SEQPACKET);
	kill(spprofd.pid, SIGSTOP);
	for (unsigned i = 0; i < empty_messages; i++)
		ck_assert_int_eq(send(client, "", 0, MSG_NOSIGNAL), 0);
	ck_assert(send_descriptors(client, fd, count));
	close(fd);
	close(client);
	kill(spprofd.pid, SIGCONT);
	assert_serving();
	close(peer);
}

START_TEST(descriptors_that_take_long_to_close_stop_nobody)
{
	/* In the first message, too many for it, and in one that nobody reads any more. */
	leave_a_lingering_socket(0, 1);
	leave_a_lingering_socket(0, 16);
	leave_a_lingering_socket(3, 1);
}
END_TEST

START_TEST(descriptors_to_the_api_are_not_let_through)
{
	int allowed, fd = fixture_connect(&spprofd, "api.sock", SOCK_STREAM);
	socklen_t size = sizeof allowed;
	bool refusable = getsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &allowed, &size) == 0;
	ck_assert_int_eq(send_descriptors(fd, fd, 1), !refusable);
	close(fd);
	assert_serving();
}
END_TEST

static void assert_refused(const char *option, const char *words)
{
	struct fixture_worker bad;
	fixture_worker_start(&bad, &spprofd, (const char *const[]){option, NULL});
	fixture_worker_handshake(&bad, &spprofd);
	Spprof__V1__Response *stats = fixture_stats(&spprofd, bad.pid);
	ck_assert_ptr_nonnull(stats->error);
	ck_assert_int_eq(stats->error->code, SPPROF__V1__ERROR__CODE__NOT_ATTACHED);
	ck_assert_msg(strstr(stats->error->message, words) != NULL, "%s", stats->error->message);
	fixture_free(stats);
	fixture_worker_end(&bad);
}

START_TEST(damaged_segments_are_refused_with_a_reason)
{
	assert_refused("--unsealed", "is refused");
	assert_refused("--short", "is refused");
	assert_refused("--version=9", "is refused");
	assert_serving();
}
END_TEST

START_TEST(damaged_rings_cost_their_records_only)
{
	fixture_worker_tell(&worker, "garbage 1");
	fixture_worker_tell(&worker, "runaway 2");
	fixture_worker_tell(&worker, "births 1000 5 600000");
	Spprof__V1__Response *stats;
	bool seen;
	do {
		stats = fixture_stats(&spprofd, worker.pid);
		seen = fixture_counter(stats, "ring_corrupt_records") >= 1 &&
		       fixture_counter(stats, "ring_corrupt_rings") >= 1;
		if (seen)
			ck_assert(stats->stats->process->unconfirmed);
		fixture_free(stats);
	} while (!seen && poll(NULL, 0, 5) == 0);
	assert_serving();
}
END_TEST

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

START_TEST(descriptors_that_run_out_are_survived)
{
	/* Four for a worker: the last ones find none. */
	struct fixture_worker workers[20];
	struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
	ck_assert_int_eq(prlimit(spprofd.pid, RLIMIT_NOFILE, &few, NULL), 0);
	for (int i = 0; i < 20; i++) {
		fixture_worker_start(&workers[i], &spprofd, NULL);
		fixture_worker_tell(&workers[i], "handshake %s", spprofd.dir);
	}
	for (int i = 0; i < 20; i++)
		fixture_worker_end(&workers[i]);
	fixture_worker_start(&worker, &spprofd, NULL);
	fixture_worker_tell(&worker, "births 1 50 600000");
	bool attached = false;
	while (!attached) {
		fixture_worker_tell(&worker, "handshake %s", spprofd.dir);
		Spprof__V1__Response *stats = fixture_stats(&spprofd, worker.pid);
		attached = stats->error == NULL;
		fixture_free(stats);
	}
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
	tcase_add_test(t, garbage_to_the_api_is_answered_by_an_error_and_the_end);
	tcase_add_test(t, garbage_in_a_frame_is_an_invalid_request_and_no_end);
	tcase_add_test(t, garbage_to_the_agents_socket_attaches_nothing);
	tcase_add_test(t, agents_that_say_nothing_are_pushed_out);
	tcase_add_test(t, files_that_are_no_segments_attach_nothing);
	tcase_add_test(t, descriptors_that_take_long_to_close_stop_nobody);
	tcase_add_test(t, descriptors_to_the_api_are_not_let_through);
	tcase_add_test(t, damaged_segments_are_refused_with_a_reason);
	tcase_add_test(t, damaged_rings_cost_their_records_only);
	tcase_add_test(t, a_second_daemon_is_told_who_is_serving);
	suite_add_tcase(s, t);

	t = tcase_create("alone");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, NULL, teardown);
	tcase_add_test(t, a_directory_that_cannot_be_used_is_explained);
	tcase_add_test(t, bounds_fold_and_say_so);
	tcase_add_test(t, ended_workers_are_kept_up_to_their_number);
	tcase_add_test(t, workers_over_the_bound_are_not_attached);
	tcase_add_test(t, a_user_sees_the_own_processes_and_a_group_sees_all);
	tcase_add_test(t, a_daemon_ends_with_its_parent);
	suite_add_tcase(s, t);

	t = tcase_create("empty");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup_empty, teardown);
	tcase_add_test(t, descriptors_that_run_out_are_survived);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
