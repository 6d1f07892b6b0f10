/* The server on a loop of the test's own, with a handler that the test chooses and clients that it
 * plays itself. */
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <uv.h>
#include "base/buffer.h"
#include "server/api_answer.h"
#include "server/api_call.h"
#include "server/api_server.h"
#include "support/tap_main.h"

#define MAX_HELD ((size_t)12 << 20)

static uv_loop_t loop;
static struct api_server *server;
static struct sockaddr_un address;
static struct api_call *pending; /* left unanswered by the handler */
static uint32_t file_size;

static void answer_file(struct api_call *call)
{
	struct api_answer *answer = api_answer_new();
	struct buffer body = BUFFER_INIT;
	Spprof__V1__Process process = SPPROF__V1__PROCESS__INIT;
	process.pid = 42;
	memset(buffer_reserve(&body, file_size), 'x', file_size);
	body.size = file_size;
	api_answer_add_file(answer, &body, &process);
	ck_assert_uint_eq(body.size, 0);
	api_call_answer(call, answer);
}

/* "r…": refused, "w…": waits, "f…": a file, anything else: told its own size. */
static void handle(struct api_call *call, const uint8_t *message, uint32_t size, void *data)
{
	ck_assert_ptr_eq(data, &loop);
	ck_assert(api_call_peer(call)->sees_all);
	ck_assert_uint_eq(api_call_peer(call)->uid, geteuid());
	if (size > 0 && message[0] == 'w') {
		ck_assert_ptr_null(pending);
		pending = call;
	} else if (size > 0 && message[0] == 'f') {
		answer_file(call);
	} else {
		api_call_refuse(call, SPPROF__V1__ERROR__CODE__INTERNAL, "%u", size);
	}
}

static void start(uint32_t max_connections, uint32_t stall_ms)
{
	struct api_server_options options = {.group = (gid_t)-1,
		.max_connections = max_connections,
		.max_held_bytes = MAX_HELD,
		.stall_ms = stall_ms,
		.handle = handle,
		.data = &loop};
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	address = (struct sockaddr_un){.sun_family = AF_UNIX};
	/* Abstract: nothing to clean up. */
	snprintf(
		address.sun_path + 1, sizeof address.sun_path - 1, "spprof-test-%d", (int)getpid());
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
	ck_assert_int_eq(api_server_new(&server, &loop, fd, &options), 0);
}

static void stop(void)
{
	api_server_free(server);
	while (uv_run(&loop, UV_RUN_ONCE))
		;
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static int connect_client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&address, sizeof address), 0);
	fcntl(fd, F_SETFL, O_NONBLOCK);
	return fd;
}

static void say(int fd, const char *message)
{
	uint8_t bytes[64] = {(uint8_t)strlen(message), 0, 0, 0, 1};
	memcpy(bytes + 8, message, strlen(message));
	ck_assert_int_eq(
		send(fd, bytes, 8 + strlen(message), MSG_NOSIGNAL), 8 + (ssize_t)strlen(message));
}

/* Lets the server work until `size` bytes have come. False: the connection was closed. */
static bool hear(int fd, uint8_t *bytes, size_t size)
{
	while (size > 0) {
		ssize_t got = recv(fd, bytes, size, 0);
		if (got == 0 || (got < 0 && errno == ECONNRESET))
			return false;
		if (got < 0) {
			ck_assert_int_eq(errno, EAGAIN);
			uv_run(&loop, UV_RUN_ONCE);
			continue;
		}
		bytes += got;
		size -= (size_t)got;
	}
	return true;
}

static Spprof__V1__Response *hear_response(int fd)
{
	uint8_t preamble[8];
	if (!hear(fd, preamble, sizeof preamble))
		return NULL;
	uint32_t size =
		(uint32_t)preamble[0] | (uint32_t)preamble[1] << 8 | (uint32_t)preamble[2] << 16;
	ck_assert_uint_eq(preamble[3], 0);
	ck_assert_uint_le(size, 1u << 20);
	uint8_t *message = calloc(1, size + 1);
	ck_assert(hear(fd, message, size));
	Spprof__V1__Response *response = spprof__v1__response__unpack(NULL, size, message);
	free(message);
	ck_assert_ptr_nonnull(response);
	return response;
}

static void expect_error(int fd, const char *text)
{
	Spprof__V1__Response *response = hear_response(fd);
	ck_assert_ptr_nonnull(response);
	ck_assert_ptr_nonnull(response->error);
	ck_assert_str_eq(response->error->message, text);
	spprof__v1__response__free_unpacked(response, NULL);
}

static struct api_server_stats stats_of_server(void)
{
	struct api_server_stats stats;
	api_server_stats(server, &stats);
	return stats;
}

START_TEST(requests_are_answered_one_after_the_other)
{
	start(8, 30000);
	int fd = connect_client();
	say(fd, "one");
	say(fd, "wait");
	say(fd, "three");
	expect_error(fd, "3");
	while (pending == NULL)
		uv_run(&loop, UV_RUN_ONCE);
	/* The third is not looked at before the second is answered. */
	uv_run(&loop, UV_RUN_NOWAIT);
	ck_assert_uint_eq(stats_of_server().requests, 2);
	api_call_refuse(pending, SPPROF__V1__ERROR__CODE__INTERNAL, "late");
	expect_error(fd, "late");
	expect_error(fd, "5");
	close(fd);
	stop();
}
END_TEST

START_TEST(a_file_comes_in_pieces_of_at_most_one_mebibyte)
{
	static const uint32_t sizes[] = {0, 1, (1u << 20) - 1, 1u << 20, 3500000};
	start(8, 30000);
	int fd = connect_client();
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		uint64_t sum = 0;
		unsigned pieces = 0;
		bool more;
		file_size = sizes[i];
		say(fd, "file");
		do {
			Spprof__V1__Response *response = hear_response(fd);
			ck_assert_int_eq(response->kind_case, SPPROF__V1__RESPONSE__KIND_SNAPSHOT);
			ck_assert_int_eq(response->snapshot->process != NULL, pieces == 0);
			sum += response->snapshot->data.len;
			more = response->more;
			pieces++;
			spprof__v1__response__free_unpacked(response, NULL);
		} while (more);
		ck_assert_uint_eq(sum, sizes[i]);
	}
	while (stats_of_server().held_bytes > 0)
		uv_run(&loop, UV_RUN_ONCE);
	close(fd);
	stop();
}
END_TEST

START_TEST(files_that_nobody_takes_are_bounded)
{
	int fd[3];
	start(8, 30000);
	file_size = 8000000;
	for (unsigned i = 0; i < 3; i++)
		fd[i] = connect_client();
	say(fd[0], "file");
	while (stats_of_server().held_bytes == 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert(!api_server_is_full(server));
	say(fd[1], "file");
	expect_error(fd[1], "clients have left too many answers untaken; try again later");
	ck_assert_uint_lt(stats_of_server().held_bytes, MAX_HELD);
	/* What is small is answered all the same. */
	say(fd[1], "12345");
	expect_error(fd[1], "5");
	close(fd[0]);
	while (stats_of_server().held_bytes > 0)
		uv_run(&loop, UV_RUN_ONCE);
	/* The only one may be of any size. */
	file_size = MAX_HELD + 1;
	say(fd[1], "file");
	while (stats_of_server().held_bytes == 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert(api_server_is_full(server));
	close(fd[1]);
	while (stats_of_server().held_bytes > 0)
		uv_run(&loop, UV_RUN_ONCE);
	close(fd[2]);
	stop();
}
END_TEST

START_TEST(an_answer_for_a_client_that_left_goes_nowhere)
{
	start(8, 30000);
	int fd = connect_client();
	say(fd, "wait");
	while (pending == NULL)
		uv_run(&loop, UV_RUN_ONCE);
	close(fd);
	/* Nothing is read while a request is under way: noticed when the answer is written. */
	file_size = 5000000;
	answer_file(pending);
	while (stats_of_server().open > 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(stats_of_server().held_bytes, 0);
	stop();
}
END_TEST

START_TEST(an_answer_after_the_server_goes_nowhere)
{
	start(8, 30000);
	int fd = connect_client();
	say(fd, "wait");
	while (pending == NULL)
		uv_run(&loop, UV_RUN_ONCE);
	stop();
	file_size = 5000;
	answer_file(pending);
	close(fd);
}
END_TEST

START_TEST(a_stalled_reader_is_closed_and_its_answer_forgotten)
{
	start(8, 40);
	int fd = connect_client();
	file_size = 8000000;
	say(fd, "file");
	while (stats_of_server().held_bytes == 0)
		uv_run(&loop, UV_RUN_ONCE);
	while (stats_of_server().open > 0)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(stats_of_server().stalled, 1);
	ck_assert_uint_eq(stats_of_server().held_bytes, 0);
	close(fd);
	stop();
}
END_TEST

START_TEST(a_request_that_does_not_end_is_closed)
{
	start(8, 40);
	int fd = connect_client(), idle = connect_client();
	ck_assert_int_eq(send(fd, "\x10", 1, MSG_NOSIGNAL), 1);
	uint8_t byte;
	ck_assert(!hear(fd, &byte, 1));
	/* Silence between requests is nobody's fault. */
	ck_assert_uint_eq(stats_of_server().open, 1);
	say(idle, "x");
	expect_error(idle, "1");
	close(fd);
	close(idle);
	stop();
}
END_TEST

START_TEST(one_connection_too_many_pushes_out_a_silent_one_only)
{
	start(2, 30000);
	int busy = connect_client(), idle = connect_client();
	say(busy, "wait");
	while (pending == NULL || stats_of_server().open < 2)
		uv_run(&loop, UV_RUN_ONCE);
	int third = connect_client();
	say(third, "abc");
	expect_error(third, "3");
	uint8_t byte;
	ck_assert(!hear(idle, &byte, 1));
	api_call_refuse(pending, SPPROF__V1__ERROR__CODE__INTERNAL, "kept");
	expect_error(busy, "kept");
	close(busy);
	close(idle);
	close(third);
	stop();
}
END_TEST

static void set_flag(void *flag)
{
	*(bool *)flag = true;
}

START_TEST(finishing_waits_for_what_is_under_way)
{
	bool finished = false;
	start(8, 30000);
	int fd = connect_client();
	say(fd, "wait");
	while (pending == NULL)
		uv_run(&loop, UV_RUN_ONCE);
	api_server_finish(server, 60000, set_flag, &finished);
	for (int i = 0; i < 5; i++)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert(!finished);
	api_call_refuse(pending, SPPROF__V1__ERROR__CODE__INTERNAL, "last");
	expect_error(fd, "last");
	while (!finished)
		uv_run(&loop, UV_RUN_ONCE);
	close(fd);
	stop();
}
END_TEST

START_TEST(finishing_does_not_wait_for_ever)
{
	bool finished = false;
	start(8, 30000);
	int fd = connect_client();
	say(fd, "wait");
	while (pending == NULL)
		uv_run(&loop, UV_RUN_ONCE);
	api_server_finish(server, 30, set_flag, &finished);
	while (!finished)
		uv_run(&loop, UV_RUN_ONCE);
	stop();
	api_call_refuse(pending, SPPROF__V1__ERROR__CODE__INTERNAL, "too late");
	close(fd);
}
END_TEST

static void forget(void)
{
	/* As event_loop_new does it. */
	signal(SIGPIPE, SIG_IGN);
	pending = NULL;
}

static Suite *suite(void)
{
	Suite *s = suite_create("api_server");
	TCase *t = tcase_create("api_server");
	tcase_set_timeout(t, 30);
	tcase_add_checked_fixture(t, forget, NULL);
	tcase_add_test(t, requests_are_answered_one_after_the_other);
	tcase_add_test(t, a_file_comes_in_pieces_of_at_most_one_mebibyte);
	tcase_add_test(t, files_that_nobody_takes_are_bounded);
	tcase_add_test(t, an_answer_for_a_client_that_left_goes_nowhere);
	tcase_add_test(t, an_answer_after_the_server_goes_nowhere);
	tcase_add_test(t, a_stalled_reader_is_closed_and_its_answer_forgotten);
	tcase_add_test(t, a_request_that_does_not_end_is_closed);
	tcase_add_test(t, one_connection_too_many_pushes_out_a_silent_one_only);
	tcase_add_test(t, finishing_waits_for_what_is_under_way);
	tcase_add_test(t, finishing_does_not_wait_for_ever);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
