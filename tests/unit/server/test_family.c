#include "config.h"
#include "family_fixture.h"
#include <signal.h>
#include <sys/wait.h>
#include <uv.h>
#include "server/api_call.h"
#include "server/drain_scheduler.h"
#include "server/family.h"
#include "server/session.h"
#include "server/session_table.h"
#include "support/adopt.h"

static const struct family_member root = {1000001, 1000, 1, NULL},
				  child = {1000002, 1000, 100, &root},
				  grandchild = {1000003, 1000, 150, &child},
				  unrelated = {1000004, 1000, 1, NULL},
				  stranger = {1000005, 2000, 100, &root};
static const struct api_peer anybody = {.uid = 1000}, administrator = {.sees_all = true};

static uv_loop_t loop;
static struct drain_scheduler *scheduler;
static struct session_table *table;
static struct options_limits limits;
static const struct session_means means;
static struct family family;

static void setup(void)
{
	limits = options_default_limits;
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(drain_scheduler_new(&scheduler, &loop), 0);
	ck_assert_int_eq(session_table_new(&table, &loop, scheduler, &means, &limits), 0);
}

static void teardown(void)
{
	family_deinit(&family);
	session_table_free(table);
	drain_scheduler_free(scheduler);
	while (uv_run(&loop, UV_RUN_ONCE))
		;
	ck_assert_int_eq(uv_loop_close(&loop), 0);
}

static void attach(const struct family_member *member)
{
	struct session_claim claim = family_fixture_claim(member);
	ck_assert_int_eq(session_table_adopt(table, &claim), 0);
}

static void find(const struct family_member *of, const struct api_peer *peer)
{
	struct session *session = session_table_find(table, of->pid);
	ck_assert_ptr_nonnull(session);
	family_init(&family, table, session, peer);
}

static int32_t pid_of(uint32_t member)
{
	return session_facts(family.members[member])->pid;
}

START_TEST(descendants_come_after_their_ancestors_and_nobody_else_does)
{
	attach(&grandchild);
	attach(&unrelated);
	attach(&child);
	attach(&root);
	find(&root, &anybody);
	ck_assert_uint_eq(family.count, 3);
	ck_assert_int_eq(pid_of(0), root.pid);
	ck_assert_int_eq(pid_of(1), child.pid);
	ck_assert_int_eq(pid_of(2), grandchild.pid);
	ck_assert(family_has_heirs(&family, 0) && family_has_heirs(&family, 1));
	ck_assert(!family_has_heirs(&family, 2));
	ck_assert_uint_eq(family.left_out, 0);
}
END_TEST

START_TEST(one_in_the_middle_has_its_own_descendants_alone)
{
	static const struct family_member sibling = {1000006, 1000, 100, &root};
	attach(&root);
	attach(&child);
	attach(&sibling);
	attach(&grandchild);
	find(&child, &anybody);
	ck_assert_uint_eq(family.count, 2);
	ck_assert_int_eq(pid_of(1), grandchild.pid);
}
END_TEST

START_TEST(those_belong_whose_parent_has_ended)
{
	attach(&root);
	attach(&grandchild);
	find(&root, &anybody);
	ck_assert_uint_eq(family.count, 2);
	ck_assert_int_eq(pid_of(1), grandchild.pid);
}
END_TEST

#define LINE 12

/* Each forked the next one. */
static void make_line(struct family_member line[LINE])
{
	for (int32_t i = 0; i < LINE; i++)
		line[i] = (struct family_member){
			3000000 + i, 1000, 1 + 10u * (uint64_t)i, i > 0 ? &line[i - 1] : NULL};
}

START_TEST(a_line_may_be_longer_than_what_a_segment_tells_of_it)
{
	struct family_member line[LINE];
	make_line(line);
	for (unsigned i = LINE; i-- > 0;)
		attach(&line[i]);
	find(&line[0], &anybody);
	ck_assert_uint_eq(family.count, LINE);
	for (uint32_t i = 0; i < LINE; i++) {
		ck_assert_int_eq(pid_of(i), line[i].pid);
		ck_assert(family_has_heirs(&family, i) == (i + 1 < LINE));
	}
}
END_TEST

START_TEST(a_long_line_ends_where_too_many_in_a_row_have_ended)
{
	struct family_member line[LINE];
	make_line(line);
	attach(&line[0]);
	attach(&line[4]);
	attach(&line[8]);
	attach(&line[8 + WIRE_ANCESTORS - 1]);
	find(&line[0], &anybody);
	ck_assert_uint_eq(family.count, 4);
	family_deinit(&family);
	session_end(session_table_find(table, line[4].pid));
	find(&line[0], &anybody);
	ck_assert_uint_eq(family.count, 1);
}
END_TEST

START_TEST(a_claim_across_users_is_not_believed)
{
	attach(&root);
	attach(&stranger);
	find(&root, &administrator);
	ck_assert_uint_eq(family.count, 1);
	ck_assert_uint_eq(family.left_out, 0);
}
END_TEST

/* A child of ours that waits to be killed; the first of its line is us, under another user. */
static pid_t attach_real_child(const struct family_member *parent)
{
	struct fake_segment segment;
	pid_t pid = fork();
	if (pid == 0) {
		for (;;)
			pause();
	}
	struct family_member member = {pid, geteuid(), 100, parent};
	family_fixture_segment(&segment, &member);
	ck_assert_int_eq(adopt_process(table, pid, &segment), 0);
	fake_segment_deinit(&segment);
	return pid;
}

static void end_child(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

START_TEST(a_child_by_the_kernel_may_run_under_another_user)
{
	const struct family_member us = {getpid(), geteuid() + 1, 1, NULL};
	attach(&us);
	pid_t pid = attach_real_child(&us);
	find(&us, &administrator);
	ck_assert_uint_eq(family.count, 2);
	ck_assert_int_eq(pid_of(1), pid);
	end_child(pid);
}
END_TEST

START_TEST(what_the_peer_may_not_see_is_left_out_and_counted)
{
	const struct family_member us = {getpid(), geteuid() + 1, 1, NULL};
	const struct api_peer owner = {.uid = geteuid() + 1};
	attach(&us);
	pid_t pid = attach_real_child(&us);
	find(&us, &owner);
	ck_assert_uint_eq(family.count, 1);
	ck_assert_uint_eq(family.left_out, 1);
	end_child(pid);
}
END_TEST

START_TEST(past_the_bound_processes_are_left_out_and_counted)
{
	attach(&root);
	for (int32_t i = 0; i < (int32_t)FAMILY_MAX + 4; i++) {
		struct family_member member = {2000000 + i, 1000, 100, &root};
		attach(&member);
	}
	find(&root, &anybody);
	ck_assert_uint_eq(family.count, FAMILY_MAX);
	ck_assert_uint_eq(family.left_out, 5);
}
END_TEST

START_TEST(those_that_have_ended_are_left_out)
{
	attach(&root);
	attach(&child);
	struct session *ended = session_table_find(table, child.pid);
	session_end(ended);
	find(&root, &anybody);
	ck_assert_uint_eq(family.count, 1);
	ck_assert_uint_eq(family.left_out, 0);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("family");
	TCase *t = tcase_create("family");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 30);
	tcase_add_test(t, descendants_come_after_their_ancestors_and_nobody_else_does);
	tcase_add_test(t, one_in_the_middle_has_its_own_descendants_alone);
	tcase_add_test(t, those_belong_whose_parent_has_ended);
	tcase_add_test(t, a_line_may_be_longer_than_what_a_segment_tells_of_it);
	tcase_add_test(t, a_long_line_ends_where_too_many_in_a_row_have_ended);
	tcase_add_test(t, a_claim_across_users_is_not_believed);
	tcase_add_test(t, a_child_by_the_kernel_may_run_under_another_user);
	tcase_add_test(t, what_the_peer_may_not_see_is_left_out_and_counted);
	tcase_add_test(t, past_the_bound_processes_are_left_out_and_counted);
	tcase_add_test(t, those_that_have_ended_are_left_out);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
