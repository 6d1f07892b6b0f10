/* The dynamic loader: libraries come and go, and its lock may be held by anyone. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <link.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "support/tap_main.h"
#include "unwind_judge.h"
#include "unwind_lib.h"

enum { ROUNDS = 3000, BUSY_ROUNDS = 300, FORKS = 200, WALKERS = 2 };

/* -- unloading -- */

static struct unwind_judgement last;
static uintptr_t last_sp;

static void set_up(void)
{
	walk_init();
}

static __attribute__((noinline)) void capture(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	last_sp = regs.sp;
	unwind_judge(&regs, &last);
}

/* Loads a library, calls through it; returns the pc to which the callback returned. */
static uint64_t call_through(const char *name)
{
	char path[4096];
	const char *folder = getenv("BUILDDIR");
	snprintf(path, sizeof(path), "%s/tests/programs/.libs/%s.so", folder ? folder : ".", name);
	void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	ck_assert_msg(library, "%s", dlerror());
	walk_opened();
	int (*call)(void (*)(void)) = (int (*)(void (*)(void)))dlsym(library, "unwind_lib_call");
	ck_assert_ptr_nonnull(call);
	ck_assert_int_eq(call(capture), 1);
	walk_closing();
	ck_assert_int_eq(dlclose(library), 0);
	walk_closed();
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

/* As if the call that the callback returned to were under way, and the library gone. */
static struct walk_result walk_lost(uint64_t pc)
{
	struct walk_regs regs = {pc, last_sp, 0};
	walk_with_memo(&last.memo, &regs, last.frames, WIRE_MAX_FRAMES, &last.walk);
	return last.walk;
}

START_TEST(code_that_was_not_there_is_known_once_it_is_loaded)
{
	uint64_t pc = call_through("unwind_lib_large");
	unsigned same_place = 0;
	for (int i = 0; i < 10; i++) {
		struct walk_result result = walk_lost(pc);
		ck_assert_uint_eq(result.stop, WIRE_STOP_NO_INFO);
		ck_assert_uint_eq(result.frame_count, 1);
		same_place += call_through("unwind_lib_large") == pc;
		ck_assert_int_eq(last.verdict, UNWIND_SAME);
		ck_assert_int_eq(last.walk.stop, WIRE_STOP_END);
	}
	ck_assert_uint_gt(same_place, 5);
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
	for (int i = 0; i < BUSY_ROUNDS; i++) {
		call_through(i % 2 ? "unwind_lib_small" : "unwind_lib_large");
		ck_assert_int_eq(last.verdict, UNWIND_SAME);
	}
	atomic_store_explicit(&stop_walking, true, memory_order_relaxed);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_join(walkers[i], NULL), 0);
}
END_TEST

/* -- the loader's lock -- */

/* Walks with nothing cached; whether it got to the end. */
static __attribute__((noinline)) bool walk_cold(void)
{
	uint64_t frames[WIRE_MAX_FRAMES];
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	struct walk_result result;
	walk_flush();
	walk_stack(&regs, frames, WIRE_MAX_FRAMES, &result);
	return result.stop == WIRE_STOP_END;
}

static void *walk_cold_in_thread(void *argument)
{
	return walk_cold() ? argument : NULL;
}

static int walk_elsewhere(struct dl_phdr_info *info, size_t size, void *argument)
{
	(void)info, (void)size, (void)argument;
	pthread_t thread;
	int walked;
	void *result = NULL;
	ck_assert(walk_cold());
	ck_assert_int_eq(pthread_create(&thread, NULL, walk_cold_in_thread, &walked), 0);
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_eq(result, &walked);
	return 1;
}

START_TEST(a_walk_does_not_wait_for_the_loaders_lock)
{
	ck_assert_int_eq(dl_iterate_phdr(walk_elsewhere, NULL), 1);
}
END_TEST

static sem_t lock_is_held, lock_may_go;

static int hold_lock(struct dl_phdr_info *info, size_t size, void *argument)
{
	(void)info, (void)size, (void)argument;
	sem_post(&lock_is_held);
	sem_wait(&lock_may_go);
	return 1;
}

static void *hold_lock_in_thread(void *argument)
{
	dl_iterate_phdr(hold_lock, NULL);
	return argument;
}

START_TEST(a_child_forked_while_the_lock_was_held_can_walk)
{
	pthread_t thread;
	int status;
	sem_init(&lock_is_held, 0, 0);
	sem_init(&lock_may_go, 0, 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, hold_lock_in_thread, NULL), 0);
	sem_wait(&lock_is_held);
	/* The bare system call: libc's fork would wait for locks of its own. */
	pid_t child = (pid_t)syscall(SYS_fork);
	if (!child) {
		alarm(20);
		_exit(walk_cold() ? 0 : 1);
	}
	ck_assert_int_gt(child, 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	sem_post(&lock_may_go);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

/* -- all at once -- */

static _Atomic unsigned long iterated, walked;

/* relaxed, here and below: only to end, and to know that something was done. */
static bool is_over(void)
{
	return atomic_load_explicit(&stop_walking, memory_order_relaxed);
}

static int allocate_and_walk(struct dl_phdr_info *info, size_t size, void *argument)
{
	(void)info, (void)size;
	free(malloc(4711));
	*(bool *)argument &= walk_cold();
	return 0;
}

static void *iterate_until_stopped(void *argument)
{
	bool sound = true;
	while (!is_over()) {
		dl_iterate_phdr(allocate_and_walk, &sound);
		atomic_fetch_add_explicit(&iterated, 1, memory_order_relaxed);
	}
	return sound ? argument : NULL;
}

static void *walk_cold_until_stopped(void *argument)
{
	bool sound = true;
	while (!is_over()) {
		sound &= walk_cold();
		atomic_fetch_add_explicit(&walked, 1, memory_order_relaxed);
	}
	return sound ? argument : NULL;
}

static bool child_walks(void)
{
	int status;
	pid_t child = fork();
	if (!child) {
		alarm(60); /* a child that hangs is killed by it */
		_exit(walk_cold() ? 0 : 1);
	}
	return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* SPPROF_STRESS times as many forks. */
START_TEST(children_forked_while_others_walk_and_iterate_can_walk)
{
	const char *scale = getenv("SPPROF_STRESS");
	unsigned long forks = FORKS * (scale && atoi(scale) > 0 ? strtoul(scale, NULL, 10) : 1);
	pthread_t threads[WALKERS + 1];
	int token;
	void *result;
	for (int i = 0; i <= WALKERS; i++)
		ck_assert_int_eq(
			pthread_create(&threads[i], NULL,
				i ? walk_cold_until_stopped : iterate_until_stopped, &token),
			0);
	for (unsigned long i = 0; i < forks; i++)
		ck_assert_msg(child_walks(), "child %lu", i);
	atomic_store_explicit(&stop_walking, true, memory_order_relaxed);
	for (int i = 0; i <= WALKERS; i++) {
		ck_assert_int_eq(pthread_join(threads[i], &result), 0);
		ck_assert_ptr_eq(result, &token);
	}
	printf("# %lu forks, %lu walks, %lu iterations\n", forks, walked, iterated);
	ck_assert_uint_gt(walked, 0);
	ck_assert_uint_gt(iterated, 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("walk_loader");
	TCase *unload = tcase_create("unload");
	TCase *lock = tcase_create("lock");
	tcase_add_checked_fixture(unload, set_up, NULL);
	tcase_set_timeout(unload, 60);
	tcase_add_test(
		unload, libraries_that_alternate_at_one_address_are_walked_by_their_own_rules);
	tcase_add_test(unload, code_that_was_not_there_is_known_once_it_is_loaded);
	tcase_add_test(unload, walks_go_on_while_other_threads_unload);
	tcase_add_checked_fixture(lock, set_up, NULL);
	tcase_set_timeout(lock, 120);
	tcase_add_test(lock, a_walk_does_not_wait_for_the_loaders_lock);
	tcase_add_test(lock, a_child_forked_while_the_lock_was_held_can_walk);
	tcase_add_test(lock, children_forked_while_others_walk_and_iterate_can_walk);
	suite_add_tcase(suite, unload);
	suite_add_tcase(suite, lock);
	return suite;
}

TAP_MAIN(make_suite)
