/*
 * The memo changes what a walk costs, never what it finds: every walk here is taken twice, with the
 * memo that the last ones left and without.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "support/random.h"
#include "support/tap_main.h"
#include "unwind_judge.h"
#include "unwind_truth.h"
#include "unwind/memo.h"

enum { WALKS = 100000, MAX_NESTING = 14, JUDGED_ONE_IN = 50 };

static struct random random_state = {4711};
static struct unwind_judgement judgement;
static unsigned long walks, differ, wrong, longest, changes;

static void set_up(void)
{
	walk_init();
}

/* Into the memo of the judgement, for libgcc is asked of some. */
static void compare(const struct walk_regs *regs)
{
	static uint64_t frames[2][WIRE_MAX_FRAMES];
	struct walk_result with, without;
	if (walks % JUDGED_ONE_IN == 0) {
		unwind_judge(regs, &judgement);
		wrong += judgement.verdict == UNWIND_WRONG;
	}
	walk_with_memo(&judgement.memo, regs, frames[0], WIRE_MAX_FRAMES, &with);
	walk_stack(regs, frames[1], WIRE_MAX_FRAMES, &without);
	differ += with.frame_count != without.frame_count || with.stop != without.stop ||
		  memcmp(frames[0], frames[1], with.frame_count * sizeof(frames[0][0])) != 0;
	longest = with.frame_count > longest ? with.frame_count : longest;
	walks++;
}

static __attribute__((noinline)) void capture(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	compare(&regs);
}

static void capture_elsewhere(void)
{
	capture();
}

static unsigned nesting;

/* Calls and returns at random, by many call sites of many functions, and walks at each turn. */
static void wander(void)
{
	capture();
	if (nesting == MAX_NESTING)
		return;
	nesting++;
	for (uint64_t calls = random_below(&random_state, 3); calls; calls--) {
		unsigned first = (unsigned)random_below(&random_state, 1000);
		int depth = 1 + (int)random_below(
					&random_state, random_below(&random_state, 8) ? 5 : 40);
		unwind_truth_run(first, depth, wander);
		if (random_below(&random_state, 2))
			capture();
		else
			capture_elsewhere();
		changes++;
	}
	nesting--;
	if (random_below(&random_state, 2000) == 0)
		walk_flush();
}

static void assert_nothing_differs(void)
{
	ck_assert_uint_eq(differ, 0);
	ck_assert_uint_eq(wrong, 0);
}

START_TEST(random_calls_and_returns_are_walked_with_a_memo_as_without)
{
	while (walks < WALKS)
		wander();
	printf("# %lu walks, %lu of changed stacks, up to %lu frames\n", walks, changes, longest);
	assert_nothing_differs();
	ck_assert_uint_gt(longest, 2 * MEMO_FRAMES / 3);
}
END_TEST

/* Frames enough that the list is full and has to be moved, cut and found again. */
START_TEST(stacks_around_the_length_of_a_memo_are_walked_with_it_as_without)
{
	for (int i = 0; i < 2000; i++) {
		int depth = MEMO_FRAMES - 20 + (int)random_below(&random_state, 40);
		unwind_truth_run((unsigned)random_below(&random_state, 30), depth, capture);
		/* the end's mark, behind which there is nothing */
		ck_assert_uint_eq(judgement.memo.list[MEMO_FRAMES].sp, UINTPTR_MAX);
		ck_assert_uint_eq(judgement.memo.list[MEMO_FRAMES].word, 0);
	}
	assert_nothing_differs();
	ck_assert_uint_gt(longest, MEMO_FRAMES);
}
END_TEST

/* -- memos of other origin -- */

static void *wander_in_thread(void *argument)
{
	for (int i = 0; i < 20; i++)
		wander();
	return argument;
}

START_TEST(a_memo_that_another_thread_left_changes_nothing)
{
	for (int i = 0; i < 40; i++) {
		pthread_t thread;
		wander();
		ck_assert_int_eq(pthread_create(&thread, NULL, wander_in_thread, NULL), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
	}
	assert_nothing_differs();
}
END_TEST

/* Deep in a chain, and on with other calls. */
static void fork_and_wander(void)
{
	int status;
	capture();
	pid_t child = fork();
	if (child == 0) {
		capture();
		wander_in_thread(NULL);
		_exit(differ || wrong);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	wander();
}

START_TEST(a_memo_that_was_inherited_changes_nothing)
{
	for (unsigned i = 0; i < 10; i++)
		unwind_truth_run(i, 30, fork_and_wander);
	assert_nothing_differs();
}
END_TEST

/* As a handler or a thread that was killed may have left it, and worse: true words at wrong places,
 * and words that are none. */
static void spoil(struct memo *memo)
{
	for (size_t i = 0; i <= MEMO_FRAMES; i++) {
		struct memo_entry *entry = &memo->list[i],
				  other = memo->list[random_below(&random_state, MEMO_FRAMES + 1)];
		switch (random_below(&random_state, 5)) {
		case 0:
			entry->word = other.word;
			break;
		case 1:
			entry->sp = other.sp;
			break;
		case 2:
			entry->sp += 8 * random_below(&random_state, 100) - 400;
			break;
		case 3:
			entry->word = random_next(&random_state);
			break;
		}
	}
	memo->count = random_below(&random_state, 8) ? random_below(&random_state, MEMO_FRAMES + 1)
						     : random_next(&random_state);
}

static void capture_spoilt(void)
{
	for (int i = 0; i < 10; i++) {
		capture();
		spoil(&judgement.memo);
	}
}

START_TEST(a_memo_that_is_no_memo_changes_nothing)
{
	for (unsigned i = 0; i < 1000; i++)
		unwind_truth_run(i, 1 + (int)i % 60, capture_spoilt);
	assert_nothing_differs();
}
END_TEST

/* A corrupted return address: what a word has no room for must not be cut off. */
START_TEST(a_key_with_too_many_bits_is_not_taken_for_another)
{
	uint64_t key = 0x123456, rule = 0x155;
	struct memo_entry entry = {.word = key << RULE_CACHE_BITS | rule};

	ck_assert_uint_eq(memo_find(&entry, key), rule);
	ck_assert_uint_eq(
		memo_find(&entry, key | UINT64_C(1) << (64 - RULE_CACHE_BITS)), RULE_CACHE_MISSING);
	ck_assert_uint_eq(memo_find(&entry, key | UINT64_C(1) << 63), RULE_CACHE_MISSING);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("walk_memo");
	TCase *memo = tcase_create("memo");
	tcase_add_checked_fixture(memo, set_up, NULL);
	tcase_set_timeout(memo, 120);
	tcase_add_test(memo, random_calls_and_returns_are_walked_with_a_memo_as_without);
	tcase_add_test(memo, stacks_around_the_length_of_a_memo_are_walked_with_it_as_without);
	tcase_add_test(memo, a_memo_that_another_thread_left_changes_nothing);
	tcase_add_test(memo, a_memo_that_was_inherited_changes_nothing);
	tcase_add_test(memo, a_memo_that_is_no_memo_changes_nothing);
	tcase_add_test(memo, a_key_with_too_many_bits_is_not_taken_for_another);
	suite_add_tcase(suite, memo);
	return suite;
}

TAP_MAIN(make_suite)
