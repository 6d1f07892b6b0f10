#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "server/process_handle.h"
#include "server/process_image.h"
#include "server/process_info.h"
#include "support/read_texts.h"
#include "support/tap_main.h"

START_TEST(stat_fields_are_counted_after_the_last_parenthesis)
{
	struct process_image image;
	static const char text[] =
		"42 (a) b (c d) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1000 200 "
		"18446744073709551615 11 12 13 0 0 0";
	ck_assert_int_eq(process_image_parse(text, &image), 0);
	ck_assert_uint_eq(image.start_ticks, 777);
	ck_assert_uint_eq(image.stack_start, 13);
	ck_assert_int_eq(process_image_parse("42 (a", &image), -EBADMSG);
	ck_assert_int_eq(process_image_parse("42 (a) S 1 2 3", &image), -EBADMSG);
	ck_assert_int_eq(process_image_parse("", &image), -EBADMSG);
}
END_TEST

START_TEST(an_image_that_is_not_known_is_no_certain_one)
{
	const struct process_image image = {777, 13, 8, 99}, other = {777, 14, 8, 99};
	struct process_image hidden = image;
	ck_assert(process_image_identical(&image, &image));
	ck_assert(!process_image_identical(&image, &other));
	hidden.stack_start = 0;
	ck_assert(process_image_same(&image, &hidden));
	ck_assert(!process_image_identical(&image, &hidden));
	ck_assert(!process_image_identical(&hidden, &image));
	hidden = image;
	hidden.exe_device = hidden.exe_inode = 0;
	ck_assert(!process_image_identical(&image, &hidden));
	hidden = (struct process_image){0};
	ck_assert(!process_image_identical(&hidden, &hidden));
}
END_TEST

START_TEST(status_gives_the_uids_and_the_innermost_pid)
{
	struct process_info info;
	ck_assert_int_eq(
		process_info_parse_status(
			"Name:\tx\nPPid:\t17\nUid:\t1000\t0\t0\t0\nNSpid:\t4711\t12\t3\nNSpgid:\t9\n", &info),
		0);
	ck_assert_uint_eq(info.uid, 0);
	ck_assert(!info.single_uid);
	ck_assert_int_eq(info.inner_pid, 3);
	ck_assert_int_eq(info.parent_pid, 17);
	ck_assert_int_eq(process_info_parse_status("Uid:\t7\t7\t7\t7", &info), 0);
	ck_assert(info.single_uid);
	ck_assert_int_eq(info.inner_pid, 0);
	ck_assert_int_eq(info.parent_pid, 0);
	ck_assert_int_eq(process_info_parse_status("Name:\tUid:\t1\t1\t1\t1\n", &info), -EBADMSG);
	ck_assert_int_eq(process_info_parse_status("", &info), -EBADMSG);
}
END_TEST

START_TEST(text_from_a_process_cannot_move_the_cursor)
{
	char text[] = "a\x1b[2J\nb\x7f";
	process_info_sanitize(text);
	ck_assert_str_eq(text, "a?[2J?b?");
	char c1[] = "x\xc2\x9b"
		    "y";
	process_info_sanitize(c1);
	ck_assert_str_eq(c1, "x??y");
}
END_TEST

START_TEST(text_from_a_process_becomes_valid_utf8)
{
	char good[] = "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80";
	char copy[sizeof good];
	memcpy(copy, good, sizeof good);
	process_info_sanitize(copy);
	ck_assert_str_eq(copy, good);
	static const char *const bad[] = {"\x80", "\xc0\xaf", "\xe0\x80\xaf", "\xed\xa0\x80",
		"\xf4\x90\x80\x80", "\xf0\x80\x80\x80", "\xe2\x82", "\xff"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		char text[8];
		strcpy(text, bad[i]);
		process_info_sanitize(text);
		ck_assert_uint_eq(strspn(text, "?"), strlen(bad[i]));
	}
}
END_TEST

static int info_of(const struct process_handle *handle, struct process_info *info)
{
	struct process_texts *texts = read_texts(handle, process_info_files);
	int r = process_info_of(texts, info);
	process_texts_free(texts);
	return r;
}

static int image_of(const struct process_handle *handle, struct process_image *image)
{
	struct process_texts *texts = read_texts(handle, process_image_files);
	int r = process_image_of(texts, image);
	process_texts_free(texts);
	return r;
}

static pid_t start_child(void)
{
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_gt(child, 0);
	return child;
}

START_TEST(a_handle_outlives_its_process_without_meaning_another)
{
	pid_t child = start_child();
	struct process_handle handle;
	struct process_info info;
	struct process_image image;
	ck_assert_int_eq(process_handle_open(&handle, child, -1), 0);
	ck_assert(process_handle_alive(&handle));
	ck_assert_int_eq(info_of(&handle, &info), 0);
	ck_assert_int_eq(info.inner_pid, child);
	ck_assert_uint_eq(info.uid, geteuid());
	ck_assert_str_ne(info.exe, "");
	process_info_deinit(&info);
	ck_assert_int_eq(image_of(&handle, &image), 0);
	ck_assert_uint_ne(image.start_ticks, 0);
	ck_assert_uint_ne(image.exe_inode, 0);

	kill(child, SIGKILL);
	siginfo_t ended;
	ck_assert_int_eq(waitid(P_PID, (id_t)child, &ended, WEXITED | WNOWAIT), 0);
	ck_assert(!process_handle_alive(&handle));
	ck_assert_int_eq(info_of(&handle, &info), 0); /* a zombie still has its status */
	process_info_deinit(&info);
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	ck_assert_int_eq(info_of(&handle, &info), -ESRCH);
	process_handle_close(&handle);
	ck_assert_int_eq(process_handle_open(&handle, child, -1), -ESRCH);
}
END_TEST

START_TEST(an_exec_changes_the_image_of_the_same_program)
{
	/* A script that execs the same shell: pid, start time and executable stay. */
	int in[2], out[2];
	ck_assert_int_eq(pipe(in), 0);
	ck_assert_int_eq(pipe(out), 0);
	pid_t child = fork();
	if (child == 0) {
		dup2(in[0], 0);
		dup2(out[1], 1);
		close(in[1]);
		close(out[0]);
		execl("/bin/sh", "sh", "-c", "echo 1; read x; exec /bin/sh -c 'echo 2; read x'",
			(char *)NULL);
		_exit(127);
	}
	close(in[0]);
	close(out[1]);
	struct process_handle handle;
	struct process_image before, again, after;
	char text[2];
	ck_assert_int_eq(process_handle_open(&handle, child, -1), 0);
	ck_assert_int_eq(read(out[0], text, 2), 2);
	ck_assert_int_eq(image_of(&handle, &before), 0);
	ck_assert_int_eq(image_of(&handle, &again), 0);
	ck_assert(process_image_same(&before, &again));
	ck_assert_int_eq(write(in[1], "\n", 1), 1);
	ck_assert_int_eq(read(out[0], text, 2), 2);
	ck_assert_int_eq(image_of(&handle, &after), 0);
	ck_assert_uint_eq(before.start_ticks, after.start_ticks);
	if (before.stack_start != after.stack_start) /* equal where addresses are not randomised */
		ck_assert(!process_image_same(&before, &after));
	close(in[1]);
	waitpid(child, NULL, 0);
	process_handle_close(&handle);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("process");
	TCase *t = tcase_create("process");
	tcase_add_test(t, stat_fields_are_counted_after_the_last_parenthesis);
	tcase_add_test(t, an_image_that_is_not_known_is_no_certain_one);
	tcase_add_test(t, status_gives_the_uids_and_the_innermost_pid);
	tcase_add_test(t, text_from_a_process_cannot_move_the_cursor);
	tcase_add_test(t, text_from_a_process_becomes_valid_utf8);
	tcase_add_test(t, a_handle_outlives_its_process_without_meaning_another);
	tcase_add_test(t, an_exec_changes_the_image_of_the_same_program);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
