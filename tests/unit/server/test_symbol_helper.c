/* symbol_helper: one run of the program, its queue and its end. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <uv.h>
#include "server/symbol_helper.h"
#include "support/tap_main.h"

#define OFFSETS SPPROF__V1__SYMBOLIZER_BOUND__LOOKUP_OFFSETS

static uv_loop_t loop;
static struct symbol_helper *helper;
static unsigned replies, opened, ends;
static unsigned free_after; /* replies; 0: never */

static void on_reply(void *data, const Spprof__V1__SymbolizerReply *reply)
{
	ck_assert_ptr_eq(data, &loop);
	replies++;
	opened += reply->kind_case == SPPROF__V1__SYMBOLIZER_REPLY__KIND_OPENED;
	if (free_after && replies == free_after)
		helper = symbol_helper_free(helper);
}

static void on_end(void *data)
{
	ck_assert_ptr_eq(data, &loop);
	ends++;
	helper = symbol_helper_free(helper);
}

static const struct symbol_helper_handlers handlers = {.reply = on_reply, .end = on_end};

static void setup(void)
{
	char path[4096];
	const char *build = getenv("BUILDDIR");
	replies = opened = ends = free_after = 0;
	snprintf(path, sizeof(path), "%s/tests/unit/server/fake_symbolizer", build ? build : ".");
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(
		symbol_helper_new(&helper, &loop, path, SYMBOL_HELPER_NAMES, &handlers, &loop), 0);
}

static void teardown(void)
{
	helper = symbol_helper_free(helper);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void await_replies(unsigned wanted)
{
	while (replies < wanted && !ends)
		uv_run(&loop, UV_RUN_ONCE);
}

static int make_file(const char *word)
{
	int fd = memfd_create("word", MFD_CLOEXEC);
	ck_assert_int_eq(write(fd, word, strlen(word)), (ssize_t)strlen(word));
	return fd;
}

static void send_open(uint32_t key, int fd)
{
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerOpen body = SPPROF__V1__SYMBOLIZER_OPEN__INIT;
	request.file = key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_OPEN;
	request.open = &body;
	ck_assert_int_eq(symbol_helper_send(helper, &request, fd), 0);
}

static void send_lookup(uint32_t key)
{
	static uint64_t offsets[OFFSETS];
	Spprof__V1__SymbolizerRequest request = SPPROF__V1__SYMBOLIZER_REQUEST__INIT;
	Spprof__V1__SymbolizerLookup body = SPPROF__V1__SYMBOLIZER_LOOKUP__INIT;
	body.offsets = offsets;
	body.n_offsets = OFFSETS;
	for (size_t i = 0; i < OFFSETS; i++)
		offsets[i] = UINT64_MAX - i;
	request.file = key;
	request.kind_case = SPPROF__V1__SYMBOLIZER_REQUEST__KIND_LOOKUP;
	request.lookup = &body;
	ck_assert_int_eq(symbol_helper_send(helper, &request, -1), 0);
}

START_TEST(what_the_socket_has_no_room_for_is_sent_later_with_its_descriptor)
{
	enum { LOOKUPS = 1000, OPENS = 10 };
	int fd = make_file("answer");
	send_open(1, fd);
	await_replies(2); /* ready, opened */
	ck_assert_int_eq(kill(symbol_helper_pid(helper), SIGSTOP), 0);
	for (int i = 0; i < LOOKUPS; i++) /* 2.5 KiB each */
		send_lookup(1);
	for (uint32_t i = 0; i < OPENS; i++)
		send_open(2 + i, fd);
	close(fd); /* it was lent */
	ck_assert_int_eq(kill(symbol_helper_pid(helper), SIGCONT), 0);
	await_replies(2 + LOOKUPS + OPENS);
	ck_assert_uint_eq(replies, 2 + LOOKUPS + OPENS);
	ck_assert_uint_eq(opened, 1 + OPENS);
	ck_assert_uint_eq(ends, 0);
}
END_TEST

START_TEST(its_end_is_told_once_after_what_it_sent)
{
	int fd = make_file("half");
	send_open(1, fd);
	send_lookup(1);
	close(fd);
	while (!ends)
		uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(replies, 3); /* ready, opened, half of the answers */
	ck_assert_uint_eq(ends, 1);
}
END_TEST

START_TEST(it_may_be_freed_while_it_tells_something)
{
	int fd = make_file("answer");
	free_after = 2;
	send_open(1, fd);
	send_lookup(1);
	close(fd);
	while (helper)
		uv_run(&loop, UV_RUN_ONCE);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_uint_eq(replies, 2);
	ck_assert_uint_eq(ends, 0);
}
END_TEST

START_TEST(a_stopped_one_is_reaped_all_the_same)
{
	await_replies(1);
	pid_t pid = symbol_helper_pid(helper);
	ck_assert_int_eq(kill(pid, SIGSTOP), 0);
	helper = symbol_helper_free(helper);
	uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(kill(pid, 0), -1);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("symbol_helper");
	TCase *t = tcase_create("symbol_helper");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, what_the_socket_has_no_room_for_is_sent_later_with_its_descriptor);
	tcase_add_test(t, its_end_is_told_once_after_what_it_sent);
	tcase_add_test(t, it_may_be_freed_while_it_tells_something);
	tcase_add_test(t, a_stopped_one_is_reaped_all_the_same);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
