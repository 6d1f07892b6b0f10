#include "config.h"
#include "common/api_client.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "support/tap_main.h"
#include "unit/clients/fake_server.h"

#define PATIENT_MS 20000

static char *dir;
static struct api_client *client;
static char taken[256];
static unsigned pieces_taken;

static void connect_to(fake_server_answer *answer)
{
	fake_server_start(fake_server_new(dir, answer, NULL));
	ck_assert_int_eq(api_client_new(&client, dir), 0);
}

static int take(const Spprof__V1__Response *response, void *data)
{
	int *result = data;
	const Spprof__V1__SnapshotResponse *piece = response->snapshot;
	if (piece->data.len > 0)
		strncat(taken, (const char *)piece->data.data, piece->data.len);
	pieces_taken++;
	return result ? *result : 0;
}

static int call(int silence_ms, int *take_result)
{
	Spprof__V1__SnapshotRequest snapshot = SPPROF__V1__SNAPSHOT_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	snapshot.pid = 42;
	request.kind_case = SPPROF__V1__REQUEST__KIND_SNAPSHOT;
	request.snapshot = &snapshot;
	taken[0] = '\0';
	pieces_taken = 0;
	return api_client_call(client, &request, silence_ms, take, take_result);
}

static void setup(void)
{
	dir = fake_server_make_dir();
}

static void teardown(void)
{
	client = api_client_free(client);
	char path[256];
	snprintf(path, sizeof(path), "%s/api.sock", dir);
	unlink(path);
	rmdir(dir);
	free(dir);
}

static int send_three_pieces(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)data;
	return request->snapshot->pid == 42 ? fake_server_send_snapshot(fd, "one two three", 3)
					    : -1;
}

START_TEST(an_answer_in_pieces_is_handed_over_in_order)
{
	connect_to(send_three_pieces);
	ck_assert_int_eq(call(PATIENT_MS, NULL), 0);
	ck_assert_str_eq(taken, "one two three");
	ck_assert_uint_eq(pieces_taken, 3);
}
END_TEST

START_TEST(a_connection_carries_several_requests)
{
	connect_to(send_three_pieces);
	for (unsigned i = 0; i < 3; i++)
		ck_assert_int_eq(call(PATIENT_MS, NULL), 0);
}
END_TEST

START_TEST(the_peer_s_uid_comes_from_the_kernel)
{
	connect_to(send_three_pieces);
	ck_assert_uint_eq(api_client_peer_uid(client), geteuid());
}
END_TEST

static int trickle(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)request, (void)data;
	/* Response { snapshot: { data: "x" } } */
	static const char bytes[] = "\x05\0\0\0\1\0\0\0\x22\x03\x0a\x01x";
	for (size_t i = 0; i < sizeof(bytes) - 1; i++)
		fake_server_send_bytes(fd, bytes + i, 1);
	return 0;
}

START_TEST(a_message_may_arrive_byte_by_byte)
{
	connect_to(trickle);
	ck_assert_int_eq(call(PATIENT_MS, NULL), 0);
	ck_assert_str_eq(taken, "x");
}
END_TEST

static int refuse(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)request, (void)data;
	return fake_server_send_error(
		fd, SPPROF__V1__ERROR__CODE__NOT_ATTACHED, "process 42 has no agent");
}

START_TEST(a_refusal_comes_with_its_code_and_words)
{
	connect_to(refuse);
	ck_assert_str_eq(api_client_error(client), "");
	ck_assert_int_eq(call(PATIENT_MS, NULL), SPPROF__V1__ERROR__CODE__NOT_ATTACHED);
	ck_assert_str_eq(api_client_error(client), "process 42 has no agent");
	ck_assert_uint_eq(pieces_taken, 0);
}
END_TEST

static int refuse_strangely(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)request, (void)data;
	return fake_server_send_error(fd, (Spprof__V1__Error__Code)77, "from the future");
}

START_TEST(a_refusal_of_an_unknown_kind_counts_as_internal)
{
	connect_to(refuse_strangely);
	ck_assert_int_eq(call(PATIENT_MS, NULL), SPPROF__V1__ERROR__CODE__INTERNAL);
}
END_TEST

static int refuse_midway(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)request, (void)data;
	Spprof__V1__SnapshotResponse piece = SPPROF__V1__SNAPSHOT_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	response.more = true;
	response.kind_case = SPPROF__V1__RESPONSE__KIND_SNAPSHOT;
	response.snapshot = &piece;
	fake_server_send(fd, &response);
	return fake_server_send_error(fd, SPPROF__V1__ERROR__CODE__INTERNAL, "broke off");
}

START_TEST(a_refusal_between_pieces_ends_the_answer)
{
	connect_to(refuse_midway);
	ck_assert_int_eq(call(PATIENT_MS, NULL), SPPROF__V1__ERROR__CODE__INTERNAL);
	ck_assert_uint_eq(pieces_taken, 1);
}
END_TEST

static int answer_another_question(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)request, (void)data;
	return fake_server_send_ping(fd);
}

START_TEST(an_answer_to_another_question_is_a_broken_protocol)
{
	connect_to(answer_another_question);
	ck_assert_int_eq(call(PATIENT_MS, NULL), -EPROTO);
}
END_TEST

static const struct {
	const char *bytes;
	size_t size;
} nonsense[] = {
	{"\1\0\x10\0\1\0\0\0", 8},	 /* one byte above 1 MiB */
	{"\xff\xff\xff\xff\1\0\0\0", 8}, /* 4 GiB */
	{"\0\0\0\0\2\0\0\0", 8},	 /* another version */
	{"\0\0\0\0\1\0\1\0", 8},	 /* flags */
	{"\1\0\0\0\1\0\0\0\xff", 9},	 /* no protobuf */
	{"\0\0\0\0\1\0\0\0", 8},	 /* neither an answer nor an error */
};

static unsigned nonsense_index;

static int send_nonsense(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)request, (void)data;
	return fake_server_send_bytes(
		fd, nonsense[nonsense_index].bytes, nonsense[nonsense_index].size);
}

START_TEST(nonsense_is_a_broken_protocol)
{
	nonsense_index = (unsigned)_i;
	connect_to(send_nonsense);
	ck_assert_int_eq(call(PATIENT_MS, NULL), -EPROTO);
	ck_assert_uint_eq(pieces_taken, 0);
}
END_TEST

static int hang_up(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)request, (void)data;
	fake_server_send_bytes(fd, "\x05\0\0\0\1\0\0\0\x22", 9);
	return -1;
}

START_TEST(a_daemon_that_ends_amid_a_message_is_noticed)
{
	connect_to(hang_up);
	ck_assert_int_eq(call(PATIENT_MS, NULL), -ECONNRESET);
}
END_TEST

static int say_nothing(int fd, const Spprof__V1__Request *request, void *data)
{
	(void)fd, (void)request, (void)data;
	return 0;
}

START_TEST(silence_ends_the_call)
{
	connect_to(say_nothing);
	ck_assert_int_eq(call(10, NULL), -ETIMEDOUT);
}
END_TEST

START_TEST(a_readable_descriptor_interrupts_the_wait)
{
	int ends[2];
	ck_assert_int_eq(pipe(ends), 0);
	connect_to(say_nothing);
	api_client_set_interrupt(client, ends[0]);
	ck_assert_int_eq(write(ends[1], "x", 1), 1);
	ck_assert_int_eq(call(PATIENT_MS, NULL), -EINTR);
	close(ends[0]);
	close(ends[1]);
}
END_TEST

START_TEST(the_taker_can_end_the_call)
{
	int no_space = -ENOSPC;
	connect_to(send_three_pieces);
	ck_assert_int_eq(call(PATIENT_MS, &no_space), -ENOSPC);
	ck_assert_uint_eq(pieces_taken, 1);
}
END_TEST

START_TEST(where_nobody_listens_nobody_answers)
{
	ck_assert_int_eq(api_client_new(&client, dir), -ENOENT);
	ck_assert_int_eq(api_client_new(&client, "/dev/null"), -ENOTDIR);
	/* What a killed daemon leaves: a socket without a listener. */
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/api.sock", dir);
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	close(fd);
	ck_assert_int_eq(api_client_new(&client, dir), -ECONNREFUSED);
}
END_TEST

START_TEST(a_path_that_no_address_can_hold_is_refused)
{
	char path[200];
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	ck_assert_int_eq(api_client_new(&client, path), -ENAMETOOLONG);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("clients/common/api_client");
	TCase *tcase = tcase_create("api_client");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, an_answer_in_pieces_is_handed_over_in_order);
	tcase_add_test(tcase, a_connection_carries_several_requests);
	tcase_add_test(tcase, the_peer_s_uid_comes_from_the_kernel);
	tcase_add_test(tcase, a_message_may_arrive_byte_by_byte);
	tcase_add_test(tcase, a_refusal_comes_with_its_code_and_words);
	tcase_add_test(tcase, a_refusal_of_an_unknown_kind_counts_as_internal);
	tcase_add_test(tcase, a_refusal_between_pieces_ends_the_answer);
	tcase_add_test(tcase, an_answer_to_another_question_is_a_broken_protocol);
	tcase_add_loop_test(
		tcase, nonsense_is_a_broken_protocol, 0, sizeof(nonsense) / sizeof(nonsense[0]));
	tcase_add_test(tcase, a_daemon_that_ends_amid_a_message_is_noticed);
	tcase_add_test(tcase, silence_ends_the_call);
	tcase_add_test(tcase, a_readable_descriptor_interrupts_the_wait);
	tcase_add_test(tcase, the_taker_can_end_the_call);
	tcase_add_test(tcase, where_nobody_listens_nobody_answers);
	tcase_add_test(tcase, a_path_that_no_address_can_hold_is_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(suite)
