/* packet: bytes and descriptors over a socket pair. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "base/packet.h"
#include "support/tap_main.h"

static int ends[2];

static void setup(void)
{
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
}

START_TEST(a_packet_arrives_whole_with_its_descriptor)
{
	char bytes[16];
	int passed, pipe_ends[2];
	ck_assert_int_eq(pipe(pipe_ends), 0);
	ck_assert_int_eq(packet_send(ends[0], "hello", 5, pipe_ends[1], 0), 0);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), &passed, 0), 5);
	ck_assert_int_eq(memcmp(bytes, "hello", 5), 0);
	ck_assert_int_eq(write(passed, "x", 1), 1);
	ck_assert_int_eq(read(pipe_ends[0], bytes, 1), 1);
	ck_assert(fcntl(passed, F_GETFD) & FD_CLOEXEC);
}
END_TEST

START_TEST(without_a_descriptor_there_is_none)
{
	char bytes[16];
	int passed = 5;
	ck_assert_int_eq(packet_send(ends[0], "hello", 5, -1, 0), 0);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), &passed, 0), 5);
	ck_assert_int_eq(passed, -1);
}
END_TEST

START_TEST(a_packet_that_is_too_large_is_refused_and_gone)
{
	char bytes[16];
	int passed;
	ck_assert_int_eq(packet_send(ends[0], "0123456789abcdefg", 17, ends[0], 0), 0);
	ck_assert_int_eq(packet_send(ends[0], "next", 4, -1, 0), 0);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), &passed, 0), -EMSGSIZE);
	ck_assert_int_eq(passed, -1);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), &passed, 0), 4);
}
END_TEST

START_TEST(more_than_one_descriptor_is_refused_and_none_is_left_open)
{
	enum { COUNT = 5 };
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(COUNT * sizeof(int))];
	} control = {0};
	char bytes[16];
	int passed, fds[COUNT] = {0, 0, 0, 0, 0};
	struct iovec part = {.iov_base = bytes, .iov_len = 1};
	struct msghdr message = {.msg_iov = &part,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control)};
	struct cmsghdr *header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(fds));
	memcpy(CMSG_DATA(header), fds, sizeof(fds));
	bytes[0] = 'x';
	int next = dup(0);
	close(next);
	ck_assert_int_eq(sendmsg(ends[0], &message, 0), 1);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), &passed, 0), -EMSGSIZE);
	ck_assert_int_eq(passed, -1);
	ck_assert_int_eq(dup(0), next);
}
END_TEST

START_TEST(a_descriptor_that_is_not_wanted_is_refused_and_not_opened)
{
	char bytes[16];
	int next = dup(0);
	close(next);
	ck_assert_int_eq(packet_send(ends[0], "x", 1, ends[0], 0), 0);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), NULL, 0), -EMSGSIZE);
	ck_assert_int_eq(dup(0), next);
	ck_assert_int_eq(packet_send(ends[0], "y", 1, -1, 0), 0);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), NULL, 0), 1);
}
END_TEST

START_TEST(the_end_is_told_without_a_signal)
{
	char bytes[16];
	int passed;
	close(ends[0]);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), &passed, 0), 0);
	ck_assert_int_eq(packet_send(ends[1], "x", 1, -1, 0), -EPIPE);
}
END_TEST

START_TEST(what_a_peer_sent_before_it_died_is_read_although_it_left_packets_unread)
{
	char bytes[16];
	int passed;
	ck_assert_int_eq(packet_send(ends[1], "to the dead", 11, -1, 0), 0);
	ck_assert_int_eq(packet_send(ends[0], "last", 4, -1, 0), 0);
	close(ends[0]);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), &passed, 0), 4);
	ck_assert_int_eq(packet_receive(ends[1], bytes, sizeof(bytes), &passed, 0), 0);
}
END_TEST

START_TEST(nothing_there_is_again)
{
	char bytes[16];
	int passed;
	ck_assert_int_eq(
		packet_receive(ends[1], bytes, sizeof(bytes), &passed, MSG_DONTWAIT), -EAGAIN);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("packet");
	TCase *t = tcase_create("packet");
	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_packet_arrives_whole_with_its_descriptor);
	tcase_add_test(t, without_a_descriptor_there_is_none);
	tcase_add_test(t, a_packet_that_is_too_large_is_refused_and_gone);
	tcase_add_test(t, more_than_one_descriptor_is_refused_and_none_is_left_open);
	tcase_add_test(t, a_descriptor_that_is_not_wanted_is_refused_and_not_opened);
	tcase_add_test(t, the_end_is_told_without_a_signal);
	tcase_add_test(t, what_a_peer_sent_before_it_died_is_read_although_it_left_packets_unread);
	tcase_add_test(t, nothing_there_is_again);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
