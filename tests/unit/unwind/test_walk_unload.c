/* Libraries that come and go: what was learned of one must not be believed of the next at its
 * place. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "support/tap_main.h"
#include "unwind_judge.h"
#include "unwind_lib.h"

enum { ROUNDS = 300 };

static struct unwind_judgement last;
static unsigned judged[UNWIND_WRONG + 1];

static void set_up(void)
{
	walk_init();
}

static __attribute__((noinline)) void capture(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	unwind_judge(&regs, &last);
	judged[last.verdict]++;
}

/* Loads a library, calls through it; returns the pc to which the callback returned. */
static uint64_t call_through(const char *name)
{
	char path[4096];
	const char *folder = getenv("BUILDDIR");
	snprintf(path, sizeof(path), "%s/tests/programs/.libs/%s.so", folder ? folder : ".", name);
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(library, "%s", dlerror());
	int (*call)(void (*)(void)) = (int (*)(void (*)(void)))dlsym(library, "unwind_lib_call");
	ck_assert_ptr_nonnull(call);
	ck_assert_int_eq(call(capture), 1);
	walk_flush();
	ck_assert_int_eq(dlclose(library), 0);
	walk_flush();
	return last.frames[0];
}

START_TEST(libraries_that_alternate_at_one_address_are_walked_by_their_own_rules)
{
	uint64_t previous = 0;
	unsigned same_place = 0;
	uint32_t epoch = walk_epoch();
	for (int i = 0; i < ROUNDS; i++) {
		uint64_t pc = call_through(i % 2 ? "unwind_lib_small" : "unwind_lib_large");
		same_place += pc == previous;
		previous = pc;
		ck_assert_int_eq(last.verdict, UNWIND_SAME);
		ck_assert_int_eq(last.walk.stop, WIRE_STOP_END);
	}
	ck_assert_uint_eq(walk_epoch() - epoch, 2 * ROUNDS);
	/* Else nothing was shown: the loader is free to choose, but has no reason to. */
	ck_assert_uint_gt(same_place, ROUNDS / 2);
}
END_TEST

/* Keeps the cache busy with rules that stay right, whatever is flushed meanwhile. */
static _Atomic bool stop_walking;

static __attribute__((noinline)) void walk_once(struct unwind_judgement *judgement)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	unwind_judge(&regs, judgement);
	ck_assert_int_eq(judgement->verdict, UNWIND_SAME);
	ck_assert_int_eq(judgement->walk.stop, WIRE_STOP_END);
}

static void *walk_until_stopped(void *argument)
{
	static __thread struct unwind_judgement judgement;
	/* relaxed: only to end */
	while (!atomic_load_explicit(&stop_walking, memory_order_relaxed))
		walk_once(&judgement);
	return argument;
}

START_TEST(walks_go_on_while_other_threads_unload)
{
	pthread_t walkers[2];
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&walkers[i], NULL, walk_until_stopped, NULL), 0);
	for (int i = 0; i < ROUNDS; i++) {
		call_through(i % 2 ? "unwind_lib_small" : "unwind_lib_large");
		ck_assert_int_eq(last.verdict, UNWIND_SAME);
	}
	atomic_store_explicit(&stop_walking, true, memory_order_relaxed);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(walkers[i], NULL), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("walk_unload");
	TCase *unload = tcase_create("unload");
	tcase_add_checked_fixture(unload, set_up, NULL);
	tcase_set_timeout(unload, 60);
	tcase_add_test(
		unload, libraries_that_alternate_at_one_address_are_walked_by_their_own_rules);
	tcase_add_test(unload, walks_go_on_while_other_threads_unload);
	suite_add_tcase(suite, unload);
	return suite;
}

TAP_MAIN(make_suite)
