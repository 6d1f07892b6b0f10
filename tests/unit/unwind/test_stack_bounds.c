/* What may be read, and what it costs to know: system calls are counted by the module and, where
 * none may happen, forbidden by the kernel. */
#define _GNU_SOURCE
#include <alloca.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include "support/tap_main.h"
#include "unwind/stack_bounds.h"

enum { PAGE = 4096, THREAD_PAGES = 512 /* sanitizers need much */ };

static void set_up(void)
{
	stack_bounds_init();
}

/* From now on the process dies of a probe. */
static void forbid_probes(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_rt_sigprocmask, 0, 3),
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0xffffffff, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = {sizeof(filter) / sizeof(filter[0]), filter};
	ck_assert_int_eq(prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
	ck_assert_int_eq(prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program), 0);
}

static uintptr_t here(void)
{
	return (uintptr_t)__builtin_frame_address(0) & ~(uintptr_t)7;
}

static uintptr_t map(size_t pages, int protection)
{
	void *memory = mmap(NULL, pages * PAGE, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	return (uintptr_t)memory;
}

static void protect(uintptr_t address, size_t pages, int protection)
{
	ck_assert_int_eq(mprotect((void *)address, pages * PAGE, protection), 0);
}

/* Begins a walk at this depth; returns how many pages it asked for. */
static __attribute__((noinline)) uint64_t probes_at(size_t depth_bytes, struct stack_bounds *bounds)
{
	volatile char *deep = alloca(depth_bytes);
	deep[0] = 1;
	uint64_t before = stack_bounds_probes();
	stack_bounds_begin(bounds, here() - depth_bytes);
	return stack_bounds_probes() - before;
}

/* -- the thread's own stack -- */

static void run_thread(void *(*function)(void *), void *argument, void *stack, size_t size)
{
	pthread_t thread;
	pthread_attr_t attributes;
	pthread_attr_init(&attributes);
	if (stack)
		ck_assert_int_eq(pthread_attr_setstack(&attributes, stack, size), 0);
	ck_assert_int_eq(pthread_create(&thread, &attributes, function, argument), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	pthread_attr_destroy(&attributes);
}

START_TEST(the_main_stack_is_known_without_asking)
{
	struct stack_bounds bounds;
	forbid_probes();
	ck_assert_uint_eq(probes_at(500 * PAGE, &bounds), 0);
	ck_assert(bounds.is_own);
	ck_assert(stack_bounds_contain(&bounds, here() - 400 * PAGE, here() + 64));
}
END_TEST

START_TEST(beyond_its_limit_the_main_thread_asks)
{
	struct rlimit limit;
	struct stack_bounds bounds;
	ck_assert_int_eq(getrlimit(RLIMIT_STACK, &limit), 0);
	rlim_t usual = limit.rlim_cur;
	limit.rlim_cur = 100 * PAGE;
	ck_assert_int_eq(setrlimit(RLIMIT_STACK, &limit), 0);
	stack_bounds_init();
	limit.rlim_cur = usual;
	ck_assert_int_eq(setrlimit(RLIMIT_STACK, &limit), 0);
	ck_assert_uint_gt(probes_at(300 * PAGE, &bounds), 190);
	ck_assert(bounds.is_own);
	ck_assert_uint_eq(probes_at(300 * PAGE, &bounds), 0);
}
END_TEST

static void *count_probes(void *argument)
{
	struct stack_bounds bounds;
	probes_at(64, &bounds);
	ck_assert(bounds.is_own);
	uint64_t probes = probes_at(50 * PAGE, &bounds);
	ck_assert_uint_ge(probes, 49);
	ck_assert_uint_le(probes, 51);
	ck_assert_uint_eq(probes_at(50 * PAGE, &bounds), 0);
	ck_assert_uint_eq(probes_at(20 * PAGE, &bounds), 0);
	ck_assert(bounds.is_own);
	probes = probes_at(60 * PAGE, &bounds);
	ck_assert_uint_ge(probes, 9);
	ck_assert_uint_le(probes, 11);
	return argument;
}

START_TEST(each_page_of_a_threads_stack_is_asked_for_once)
{
	run_thread(count_probes, NULL, NULL, 0);
}
END_TEST

static void *walk_at_known_depth(void *argument)
{
	struct stack_bounds bounds;
	probes_at(50 * PAGE, &bounds);
	forbid_probes();
	for (int i = 0; i < 1000; i++)
		probes_at((size_t)(i % 50) * PAGE + 64, &bounds);
	ck_assert(stack_bounds_contain(&bounds, here(), here() + 64));
	return argument;
}

START_TEST(a_known_depth_makes_no_system_call)
{
	run_thread(walk_at_known_depth, NULL, NULL, 0);
}
END_TEST

START_TEST(the_filter_of_these_tests_does_kill_a_probe)
{
	struct stack_bounds bounds;
	uintptr_t stack = map(1, PROT_READ);
	forbid_probes();
	stack_bounds_begin(&bounds, stack);
	stack_bounds_admit(&bounds, stack, stack + 8);
}
END_TEST

START_TEST(the_main_stack_ends_where_the_program_began)
{
	extern char **environ;
	struct stack_bounds bounds;
	stack_bounds_begin(&bounds, here());
	ck_assert(bounds.is_own);
	ck_assert(stack_bounds_admit(&bounds, here(), bounds.limit));
	ck_assert(!stack_bounds_admit(&bounds, here(), bounds.limit + 1));
	ck_assert(!stack_bounds_admit(&bounds, bounds.low - 1, bounds.low + 8));
	/* The kernel puts environ's array right above. */
	ck_assert_uint_le(bounds.limit, (uintptr_t)environ);
	ck_assert_uint_gt(bounds.limit + 16 * PAGE, (uintptr_t)environ);
}
END_TEST

static void *check_thread(void *argument)
{
	struct stack_bounds bounds;
	int local;
	stack_bounds_begin(&bounds, here());
	ck_assert(bounds.is_own);
	ck_assert_uint_eq(bounds.limit, (uintptr_t)pthread_self());
	ck_assert_uint_gt(bounds.limit, (uintptr_t)&local);
	ck_assert_uint_eq(probes_at(30 * PAGE, &bounds) > 0, 1);
	ck_assert_uint_eq(probes_at(30 * PAGE, &bounds), 0);
	return argument;
}

START_TEST(a_threads_stack_ends_at_its_control_block)
{
	run_thread(check_thread, NULL, NULL, 0);
}
END_TEST

START_TEST(a_stack_that_the_program_made_for_a_thread_is_its_own)
{
	run_thread(check_thread, NULL, (void *)map(THREAD_PAGES, PROT_READ | PROT_WRITE),
		THREAD_PAGES * PAGE);
}
END_TEST

/* -- other stacks -- */

START_TEST(a_foreign_stack_is_asked_for_anew_in_each_walk)
{
	struct stack_bounds bounds;
	uintptr_t stack = map(8, PROT_READ | PROT_WRITE), sp = stack + 5 * PAGE + 64;
	protect(stack + 7 * PAGE, 1, PROT_NONE);
	for (int i = 0; i < 3; i++) {
		stack_bounds_begin(&bounds, sp);
		uint64_t before = stack_bounds_probes();
		ck_assert(stack_bounds_admit(&bounds, sp, sp + 8));
		ck_assert(stack_bounds_admit(&bounds, sp + 8, sp + 16));
		ck_assert_uint_eq(stack_bounds_probes() - before, 1);
		ck_assert(stack_bounds_admit(&bounds, sp, stack + 7 * PAGE));
		ck_assert_uint_eq(stack_bounds_probes() - before, 2);
		ck_assert(!stack_bounds_admit(&bounds, sp, stack + 7 * PAGE + 1));
		ck_assert(!stack_bounds_admit(&bounds, sp - 8, sp));
	}
	munmap((void *)stack, 8 * PAGE);
	stack_bounds_begin(&bounds, sp);
	ck_assert(!stack_bounds_admit(&bounds, sp, sp + 8));
}
END_TEST

START_TEST(a_gap_is_not_stepped_over)
{
	struct stack_bounds bounds;
	uintptr_t stack = map(8, PROT_READ | PROT_WRITE);
	munmap((void *)(stack + 3 * PAGE), PAGE);
	stack_bounds_begin(&bounds, stack + PAGE);
	ck_assert(stack_bounds_admit(&bounds, stack + PAGE, stack + 3 * PAGE));
	ck_assert(!stack_bounds_admit(&bounds, stack + 5 * PAGE, stack + 5 * PAGE + 8));
}
END_TEST

START_TEST(a_walk_asks_for_a_bounded_number_of_foreign_pages)
{
	struct stack_bounds bounds;
	uintptr_t stack = map(4 * STACK_BOUNDS_PROBES_UP, PROT_READ);
	uintptr_t last = stack + STACK_BOUNDS_PROBES_UP * PAGE;
	stack_bounds_begin(&bounds, stack);
	ck_assert(stack_bounds_admit(&bounds, last - 8, last));
	ck_assert(!stack_bounds_admit(&bounds, last, last + 8));
}
END_TEST

struct below {
	uintptr_t low;	/* a stack below the thread's, in the same mapping */
	uintptr_t hole; /* the first byte that cannot be read */
};

static void *walk_below(void *argument)
{
	struct below *below = argument;
	struct stack_bounds bounds;
	for (int i = 0; i < 3; i++) {
		stack_bounds_begin(&bounds, below->low);
		ck_assert(!bounds.is_own);
		ck_assert(stack_bounds_admit(&bounds, below->low, below->hole));
		ck_assert(!stack_bounds_admit(&bounds, below->low, below->hole + 8));
		ck_assert(!stack_bounds_admit(&bounds, here(), here() + 8));
	}
	/* The bottom is known by now, and not asked for again. */
	uint64_t before = stack_bounds_probes();
	stack_bounds_begin(&bounds, below->low);
	ck_assert_uint_eq(stack_bounds_probes(), before);
	stack_bounds_begin(&bounds, here());
	ck_assert(bounds.is_own);
	return NULL;
}

START_TEST(a_stack_below_the_threads_control_block_is_not_its_own)
{
	uintptr_t memory = map(32 + THREAD_PAGES, PROT_READ | PROT_WRITE);
	struct below below = {memory + 2 * PAGE, memory + 10 * PAGE};
	if (_i)
		protect(below.hole, 1, PROT_NONE);
	else
		munmap((void *)below.hole, PAGE);
	run_thread(walk_below, &below, (void *)(memory + 32 * PAGE), THREAD_PAGES * PAGE);
}
END_TEST

START_TEST(a_resumed_walk_may_read_what_a_leaf_keeps_below_its_stack_pointer)
{
	struct stack_bounds bounds;
	uintptr_t stack = map(4, PROT_READ | PROT_WRITE);
	stack_bounds_begin(&bounds, stack + PAGE);
	/* the same stack, farther up than is known */
	stack_bounds_resume(&bounds, stack + 3 * PAGE + 8);
	ck_assert(stack_bounds_admit(&bounds, stack + 3 * PAGE + 8 - 128, stack + 3 * PAGE + 64));
	/* the thread's own */
	stack_bounds_resume(&bounds, here() + 256);
	ck_assert(bounds.is_own);
	ck_assert(stack_bounds_admit(&bounds, here() + 128, here() + 256));
	/* one that begins right at the stack pointer */
	protect(stack + PAGE, 1, PROT_NONE);
	stack_bounds_resume(&bounds, stack + 2 * PAGE + 64);
	ck_assert(stack_bounds_admit(&bounds, stack + 2 * PAGE + 64, stack + 2 * PAGE + 72));
	ck_assert(!stack_bounds_admit(&bounds, stack + 2 * PAGE - 8, stack + 2 * PAGE));
}
END_TEST

START_TEST(addresses_that_no_stack_has_are_refused)
{
	static const uintptr_t odd[] = {0, 8, 64, 4088, 4096, (uintptr_t)1 << 47,
		(uintptr_t)1 << 63, UINTPTR_MAX - 4095, UINTPTR_MAX - 7};
	for (unsigned i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct stack_bounds bounds;
		stack_bounds_begin(&bounds, odd[i]);
		ck_assert(!stack_bounds_admit(&bounds, odd[i], odd[i] + 8));
		ck_assert(!stack_bounds_admit(&bounds, odd[i] - 120, odd[i] + 8));
		ck_assert(!stack_bounds_admit(&bounds, odd[i], UINTPTR_MAX));
		stack_bounds_begin(&bounds, here());
		stack_bounds_resume(&bounds, odd[i]);
		ck_assert(!stack_bounds_admit(&bounds, odd[i], odd[i] + 8));
	}
}
END_TEST

START_TEST(asking_changes_neither_errno_nor_the_signal_mask)
{
	struct stack_bounds bounds;
	sigset_t before, after;
	uintptr_t stack = map(4, PROT_READ | PROT_WRITE);
	memset((void *)stack, 0xff, 4 * PAGE);
	sigemptyset(&before);
	sigaddset(&before, SIGUSR1);
	ck_assert_int_eq(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	errno = 4711;
	stack_bounds_begin(&bounds, stack);
	ck_assert(stack_bounds_admit(&bounds, stack, stack + 4 * PAGE));
	ck_assert_int_eq(errno, 4711);
	ck_assert_int_eq(sigprocmask(SIG_SETMASK, NULL, &after), 0);
	for (int number = 1; number < 32; number++)
		ck_assert_int_eq(sigismember(&after, number), number == SIGUSR1);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("stack_bounds");
	TCase *own = tcase_create("own");
	TCase *foreign = tcase_create("foreign");
	tcase_add_checked_fixture(own, set_up, NULL);
	tcase_add_checked_fixture(foreign, set_up, NULL);
	tcase_add_test(own, the_main_stack_is_known_without_asking);
	tcase_add_test(own, beyond_its_limit_the_main_thread_asks);
	tcase_add_test(own, each_page_of_a_threads_stack_is_asked_for_once);
	tcase_add_test(own, a_known_depth_makes_no_system_call);
	tcase_add_test_raise_signal(own, the_filter_of_these_tests_does_kill_a_probe, SIGSYS);
	tcase_add_test(own, the_main_stack_ends_where_the_program_began);
	tcase_add_test(own, a_threads_stack_ends_at_its_control_block);
	tcase_add_test(own, a_stack_that_the_program_made_for_a_thread_is_its_own);
	tcase_add_test(foreign, a_foreign_stack_is_asked_for_anew_in_each_walk);
	tcase_add_test(foreign, a_gap_is_not_stepped_over);
	tcase_add_test(foreign, a_walk_asks_for_a_bounded_number_of_foreign_pages);
	tcase_add_loop_test(foreign, a_stack_below_the_threads_control_block_is_not_its_own, 0, 2);
	tcase_add_test(foreign, a_resumed_walk_may_read_what_a_leaf_keeps_below_its_stack_pointer);
	tcase_add_test(foreign, addresses_that_no_stack_has_are_refused);
	tcase_add_test(foreign, asking_changes_neither_errno_nor_the_signal_mask);
	suite_add_tcase(suite, own);
	suite_add_tcase(suite, foreign);
	return suite;
}

TAP_MAIN(make_suite)
