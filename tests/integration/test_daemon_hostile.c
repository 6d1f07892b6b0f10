/* A real spprofd among clients and agents that mean it badly: garbage, descriptors, damaged segments. */
#include "config.h"
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "clients_fixture.h"
#include "support/lingering_socket.h"
#include "support/random.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

static void setup_empty(void)
{
	fixture_start(&spprofd, NULL);
}

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

static Suite *suite(void)
{
	Suite *s = suite_create("daemon_hostile");
	TCase *t = tcase_create("with a worker");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, garbage_to_the_api_is_answered_by_an_error_and_the_end);
	tcase_add_test(t, garbage_in_a_frame_is_an_invalid_request_and_no_end);
	tcase_add_test(t, garbage_to_the_agents_socket_attaches_nothing);
	tcase_add_test(t, agents_that_say_nothing_are_pushed_out);
	tcase_add_test(t, files_that_are_no_segments_attach_nothing);
	tcase_add_test(t, descriptors_that_take_long_to_close_stop_nobody);
	tcase_add_test(t, descriptors_to_the_api_are_not_let_through);
	tcase_add_test(t, damaged_segments_are_refused_with_a_reason);
	tcase_add_test(t, damaged_rings_cost_their_records_only);
	suite_add_tcase(s, t);
	t = tcase_create("empty");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup_empty, teardown);
	tcase_add_test(t, descriptors_that_run_out_are_survived);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
