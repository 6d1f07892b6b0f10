#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ingest/segment_map.h"
#include "server/complaint.h"
#include "server/proc_walk.h"
#include "server/socket_dir.h"
#include "support/fake_segment.h"
#include "support/read_texts.h"
#include "support/tap_main.h"

static void look(struct proc_walk_find *find, struct process_texts **texts)
{
	struct process_handle self;
	ck_assert_int_eq(process_handle_open(&self, getpid(), -1), 0);
	*texts = read_texts(&self, PROC_FILE_BIT(PROC_FILE_SEGMENTS));
	process_handle_close(&self);
	proc_walk_find_init(find, *texts);
}

static char *directory_in(const char *environment, size_t size)
{
	return proc_walk_find_directory(environment, size);
}

START_TEST(the_directory_is_found_in_an_environment)
{
	static const char good[] = "A=1\0SPPROF_SOCKET=/run/x\0B=2";
	char *directory = directory_in(good, sizeof good);
	ck_assert_str_eq(directory, "/run/x");
	free(directory);
	/* Cut off at its end, as a long environment is. */
	directory = directory_in("SPPROF_SOCKET=/run/xyz", 18);
	ck_assert_str_eq(directory, "/run");
	free(directory);
	static const char none[] =
		"XSPPROF_SOCKET=/a\0SPPROF_SOCKE=/b\0SPPROF_SOCKET\0SPPROF_SOCKET=";
	ck_assert_ptr_null(directory_in(none, sizeof none));
	ck_assert_ptr_null(directory_in("", 0));
	ck_assert_ptr_null(directory_in("\0\0\0", 3));
}
END_TEST

START_TEST(a_process_is_meant_for_the_daemon_it_was_told_of)
{
	ck_assert(socket_dir_is_meant("/tmp", "/tmp", 0));
	ck_assert(socket_dir_is_meant("/tmp", "/tmp/", 0));
	ck_assert(!socket_dir_is_meant("/tmp", "/run", 0));
	ck_assert(!socket_dir_is_meant("/run/spprofd", "/tmp/mine", 1000));
	/* Told of none, it is meant for those where agents look by themselves. */
	ck_assert(socket_dir_is_meant("/run/spprofd", NULL, 1000));
	ck_assert(socket_dir_is_meant("/run/user/1000/spprofd", NULL, 1000));
	ck_assert(socket_dir_is_meant("/tmp/spprofd-1000", "", 1000));
	ck_assert(!socket_dir_is_meant("/tmp/spprofd-1000", NULL, 1001));
	ck_assert(!socket_dir_is_meant("/tmp/mine", NULL, 1000));
}
END_TEST

START_TEST(a_segment_is_found_among_descriptors_once)
{
	struct fake_segment segment;
	struct proc_walk_find find;
	struct process_texts *texts;
	fake_segment_init(&segment, 1, 64u << 10, 0);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	int again = fake_segment_dup(&segment);
	look(&find, &texts);
	ck_assert_uint_eq(texts->segment_count, 2);
	ck_assert_uint_eq(find.segment_count, 1);
	const struct segment_info *info = segment_map_info(find.segments[0]);
	ck_assert_uint_eq(info->pid_hint, (uint32_t)getpid());
	ck_assert(process_texts_holds(texts, info->device, info->inode));
	ck_assert(!process_texts_holds(texts, info->device, info->inode + 1));
	ck_assert(!process_texts_holds(NULL, info->device, info->inode));
	proc_walk_find_deinit(&find);
	process_texts_free(texts);
	close(again);
	fake_segment_deinit(&segment);
	look(&find, &texts);
	ck_assert_uint_eq(find.segment_count, 0);
	ck_assert_ptr_null(find.refused);
	proc_walk_find_deinit(&find);
	process_texts_free(texts);
}
END_TEST

START_TEST(what_is_only_called_a_segment_is_refused_with_a_reason)
{
	struct fake_segment segment;
	struct proc_walk_find find;
	struct process_texts *texts;
	fake_segment_init(&segment, 1, 64u << 10, 0); /* not sealed */
	look(&find, &texts);
	ck_assert_uint_eq(find.segment_count, 0);
	ck_assert_ptr_nonnull(find.refused);
	proc_walk_find_deinit(&find);
	process_texts_free(texts);
	fake_segment_deinit(&segment);
}
END_TEST

START_TEST(a_list_takes_over_how_often_each_was_looked_at)
{
	struct proc_walk_list first, second;
	pid_t child = fork();
	if (child == 0) {
		pause();
		_exit(0);
	}
	ck_assert_int_eq(proc_walk_processes(&(struct proc_walk_list){0}, true, &first), 0);
	bool found = false;
	for (size_t i = 0; i < first.count; i++) {
		ck_assert_int_ne(first.items[i].pid, getpid());
		ck_assert_uint_eq(first.items[i].uid, geteuid());
		ck_assert(i == 0 || first.items[i].pid > first.items[i - 1].pid);
		found |= first.items[i].pid == child;
		first.items[i].looks = 7;
	}
	ck_assert(found);
	ck_assert_int_eq(proc_walk_processes(&first, true, &second), 0);
	for (size_t i = 0; i < second.count; i++)
		if (second.items[i].pid == child)
			ck_assert_uint_eq(second.items[i].looks, 7);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	proc_walk_list_deinit(&first);
	proc_walk_list_deinit(&second);
}
END_TEST

START_TEST(complaints_come_a_few_at_once_and_then_one_a_second)
{
	struct complaint complaint = {0};
	uint64_t now = UINT64_C(5000000000);
	unsigned allowed = 0;
	for (int i = 0; i < 100; i++)
		allowed += complaint_allowed(&complaint, now);
	ck_assert_uint_eq(allowed, 10);
	ck_assert(!complaint_allowed(&complaint, now + 999999999));
	ck_assert(complaint_allowed(&complaint, now + 1000000000));
	ck_assert(!complaint_allowed(&complaint, now + 1000000000));
	allowed = 0;
	for (int i = 0; i < 100; i++)
		allowed += complaint_allowed(&complaint, now + UINT64_C(1000000000000));
	ck_assert_uint_eq(allowed, 10);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("proc_walk");
	TCase *t = tcase_create("proc_walk");
	tcase_add_test(t, the_directory_is_found_in_an_environment);
	tcase_add_test(t, a_process_is_meant_for_the_daemon_it_was_told_of);
	tcase_add_test(t, a_segment_is_found_among_descriptors_once);
	tcase_add_test(t, what_is_only_called_a_segment_is_refused_with_a_reason);
	tcase_add_test(t, a_list_takes_over_how_often_each_was_looked_at);
	tcase_add_test(t, complaints_come_a_few_at_once_and_then_one_a_second);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
