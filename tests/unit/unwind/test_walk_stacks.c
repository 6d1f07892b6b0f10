/* Walks on stacks that are not the thread's own, and on memory that is no stack at all. */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>
#include "support/tap_main.h"
#include "unwind/stack_bounds.h"
#include "unwind_truth.h"
#include "walk_capture.h"

enum { PAGE = 4096, STACK_PAGES = 64, THREAD_PAGES = 512, RANDOM_WALKS = 150000 };

/* A stack between two pages that nobody may touch. */
static uint8_t *map_stack(void)
{
	size_t size = (STACK_PAGES + 2) * PAGE;
	uint8_t *memory =
		mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(mprotect(memory, PAGE, PROT_NONE), 0);
	ck_assert_int_eq(mprotect(memory + (STACK_PAGES + 1) * PAGE, PAGE, PROT_NONE), 0);
	return memory + PAGE;
}

static void unmap_stack(uint8_t *stack)
{
	ck_assert_int_eq(munmap(stack - PAGE, (STACK_PAGES + 2) * PAGE), 0);
}

/* -- alternate signal stacks -- */

static void on_signal(int number)
{
	(void)number;
	capture();
}

static void raise_signal(void)
{
	raise(SIGUSR1);
}

static void *raise_on_alternate_stack(void *stack)
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
	stack_t alternate = {.ss_sp = stack, .ss_size = STACK_PAGES * PAGE};
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	ck_assert_int_eq(sigaltstack(&alternate, NULL), 0);
	for (unsigned first = 0; first < unwind_truth_functions(); first++)
		unwind_truth_run(first, 1 + (int)first % 30, raise_signal);
	return NULL;
}

static void assert_all_whole(unsigned count)
{
	ck_assert_uint_eq(judged[UNWIND_SAME], count);
	ck_assert_uint_eq(stopped[WIRE_STOP_END], count);
}

START_TEST(a_handler_on_an_alternate_stack_is_walked_back_to_the_main_stack)
{
	raise_on_alternate_stack(map_stack());
	assert_all_whole(unwind_truth_functions());
}
END_TEST

START_TEST(a_handler_on_an_alternate_stack_is_walked_back_to_a_threads_stack)
{
	pthread_t thread;
	ck_assert_int_eq(pthread_create(&thread, NULL, raise_on_alternate_stack, map_stack()), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	assert_all_whole(unwind_truth_functions());
}
END_TEST

/* -- coroutines -- */

static ucontext_t outer, inner;
static unsigned coroutine_steps;

static void capture_and_yield(void)
{
	capture();
	swapcontext(&inner, &outer);
	capture();
}

static void coroutine(void)
{
	for (unsigned first = 0;; first++) {
		unwind_truth_run(first, 10 + (int)first % 20, capture_and_yield);
		coroutine_steps++;
	}
}

static void start_coroutine(uint8_t *stack)
{
	ck_assert_int_eq(getcontext(&inner), 0);
	inner.uc_stack.ss_sp = stack;
	inner.uc_stack.ss_size = STACK_PAGES * PAGE;
	inner.uc_link = &outer;
	makecontext(&inner, coroutine, 0);
}

/* The frames agree with libgcc's down to glibc's entry, which has no END in its CFI. */
static void assert_walked_to_entry(unsigned count)
{
	ck_assert_uint_eq(judged[UNWIND_SAME], count);
	ck_assert_uint_eq(stopped[WIRE_STOP_NO_INFO] + stopped[WIRE_STOP_END], count);
}

START_TEST(coroutines_are_walked_to_their_entry_and_may_vanish)
{
	unsigned expected = 0;
	for (int round = 0; round < 5; round++) {
		uint8_t *stack = map_stack();
		start_coroutine(stack);
		for (int i = 0; i < 8; i++)
			swapcontext(&outer, &inner);
		expected += 2 * 8 - 1; /* the last one has not come back from its yield */
		unmap_stack(stack);
		capture();
		ck_assert_int_eq(last.walk.stop, WIRE_STOP_END);
		stopped[WIRE_STOP_END]--;
		judged[last.verdict]--;
	}
	ck_assert_uint_eq(coroutine_steps, 5 * 7);
	assert_walked_to_entry(expected);
}
END_TEST

/* As above, but the coroutine's stack lies below the control block of the thread, with a hole
 * between. */
static void *run_coroutine_below(void *stack)
{
	start_coroutine(stack);
	for (int i = 0; i < 8; i++) {
		swapcontext(&outer, &inner);
		capture();
		ck_assert_int_eq(last.walk.stop, WIRE_STOP_END);
	}
	stopped[WIRE_STOP_END] -= 8;
	judged[UNWIND_SAME] -= 8;
	return NULL;
}

START_TEST(a_coroutine_below_the_threads_stack_is_walked_without_crossing_the_gap)
{
	pthread_t thread;
	pthread_attr_t attributes;
	size_t hole = STACK_PAGES * PAGE, above = hole + PAGE;
	uint8_t *memory = mmap(NULL, above + THREAD_PAGES * PAGE, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(memory, MAP_FAILED);
	ck_assert_int_eq(munmap(memory + hole, PAGE), 0);
	pthread_attr_init(&attributes);
	ck_assert_int_eq(
		pthread_attr_setstack(&attributes, memory + above, THREAD_PAGES * PAGE), 0);
	ck_assert_int_eq(pthread_create(&thread, &attributes, run_coroutine_below, memory), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	assert_walked_to_entry(2 * 8 - 1);
}
END_TEST

/* -- the walk's own use of the stack -- */

enum { PAINT = 0xa5, ROOM = 8192 };

static uintptr_t deepest_touched;

/* Paints what lies below this frame, walks from it with a cold cache, and looks how far the paint
 * is gone. */
static __attribute__((noinline)) void measure_stack(void)
{
	static uint64_t frames[WIRE_MAX_FRAMES];
	static struct memo memo;
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	struct walk_result result;
	volatile uint8_t *here;
	__asm__ volatile("mov %%rsp, %0" : "=r"(here));
	for (int i = 1; i <= ROOM; i++)
		here[-i] = PAINT;
	walk_with_memo(&memo, &regs, frames, WIRE_MAX_FRAMES, &result);
	for (int i = ROOM; i > 0 && here[-i] == PAINT; i--)
		deepest_touched = (uintptr_t)i - 1;
	ck_assert_int_eq(result.stop, WIRE_STOP_END);
}

START_TEST(a_walk_takes_less_than_three_quarters_of_a_kilobyte_of_stack)
{
	uintptr_t most = 0;
	if (getenv("SPPROF_SANITIZED")) {
		printf("# not measured: a sanitizer's checks have frames of their own\n");
		return;
	}
	measure_stack(); /* the dynamic linker binds what is called for the first time */
	for (unsigned first = 0; first < unwind_truth_functions(); first++) {
		walk_flush();
		unwind_truth_run(first, 40, measure_stack);
		most = deepest_touched > most ? deepest_touched : most;
	}
	printf("# %lu bytes\n", (unsigned long)most);
	ck_assert_uint_gt(most, 100);
#ifdef __OPTIMIZE__
	ck_assert_uint_lt(most, 768);
#endif
}
END_TEST

/* -- memory that is no stack -- */

static uint64_t random_state = 88172645463325252u;

static uint64_t next_random(void)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return random_state;
}

/* Somewhere in libc's or our own code: such words are what leads a walk on. */
static uintptr_t random_pc(void)
{
	uintptr_t base = next_random() % 16 ? (uintptr_t)&qsort : (uintptr_t)&unwind_truth_run;
	return base + next_random() % 0x100000 - 0x20000;
}

static uintptr_t random_word(uint8_t *stack)
{
	switch (next_random() % 8) {
	case 0:
	case 1:
		return (uintptr_t)stack + next_random() % (STACK_PAGES * PAGE);
	case 2:
		return (uintptr_t)stack + next_random() % (STACK_PAGES * PAGE / 8) * 8;
	case 3:
		return next_random();
	case 4:
		return next_random() % 4096 - 2048;
	default:
		return random_pc();
	}
}

static void fill(uint8_t *stack)
{
	for (size_t i = 0; i < STACK_PAGES * PAGE / 8; i++)
		((uintptr_t *)stack)[i] = random_word(stack);
}

/* SPPROF_STRESS times as many. */
static unsigned long random_walks(void)
{
	const char *scale = getenv("SPPROF_STRESS");
	unsigned long times = scale ? strtoul(scale, NULL, 10) : 1;
	return RANDOM_WALKS * (times ? times : 1);
}

/* With a memo of whatever was walked last, and without: the same comes out. */
static struct walk_result walk_twice(const struct walk_regs *regs)
{
	static uint64_t frames[2][WIRE_MAX_FRAMES];
	static struct memo memo;
	struct walk_result result, again;
	walk_with_memo(&memo, regs, frames[0], WIRE_MAX_FRAMES, &result);
	walk_stack(regs, frames[1], WIRE_MAX_FRAMES, &again);
	/* libcheck writes down every assertion that holds. */
	if (result.frame_count < 1 || result.frame_count > WIRE_MAX_FRAMES ||
		result.stop >= WIRE_STOP_KINDS)
		ck_abort_msg("%u frames, stop %u", result.frame_count, result.stop);
	if (result.frame_count != again.frame_count || result.stop != again.stop ||
		result.guessed != again.guessed ||
		memcmp(frames[0], frames[1], result.frame_count * sizeof(frames[0][0])) != 0)
		ck_abort_msg("the memo makes a difference");
	return result;
}

START_TEST(random_stacks_and_registers_crash_no_walk)
{
	uint64_t found = 0, guessed = 0;
	uint8_t *stack = map_stack();
	for (unsigned long i = 0; i < random_walks(); i++) {
		if (i % 200 == 0)
			fill(stack);
		struct walk_regs regs = {random_pc(),
			(uintptr_t)stack + next_random() % (STACK_PAGES * PAGE / 8) * 8,
			random_word(stack)};
		if (i % 16 == 0)
			regs.sp = random_word(stack);
		if (i % 64 == 1)
			regs.sp = (uintptr_t)stack + STACK_PAGES * PAGE - 8 * (next_random() % 4);
		struct walk_result result = walk_twice(&regs);
		found += result.frame_count - 1;
		guessed += result.guessed;
		stopped[result.stop]++;
	}
	printf("# %lu frames, %lu guessed; end %u, max %u, no info %u, bounds %u, unsupported %u\n",
		(unsigned long)found, (unsigned long)guessed, stopped[0], stopped[1], stopped[2],
		stopped[3], stopped[4]);
	/* The walks do get somewhere: otherwise nothing was tried. */
	ck_assert_uint_gt(found, random_walks() / 4);
	ck_assert_uint_gt(stopped[WIRE_STOP_BOUNDS], random_walks() / 100);
}
END_TEST

START_TEST(random_words_on_the_own_stack_crash_no_walk)
{
	volatile uintptr_t words[4096];
	for (unsigned long i = 0; i < random_walks(); i++) {
		if (i % 200 == 0)
			for (int k = 0; k < 4096; k++)
				words[k] = random_word((uint8_t *)words);
		struct walk_regs regs = {random_pc(), (uintptr_t)&words[next_random() % 4096],
			random_word((uint8_t *)words)};
		walk_twice(&regs);
	}
}
END_TEST

/* Where the kernel lets handlers return to: mov $15,%rax (rt_sigreturn); syscall. */
static uintptr_t find_trampoline(void)
{
	static const uint8_t code[] = {0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05};
	struct sigaction action = {.sa_handler = on_signal};
	ck_assert_int_eq(sigaction(SIGUSR1, &action, NULL), 0);
	raise(SIGUSR1);
	for (uint32_t i = 0; i < last.walk.frame_count; i++)
		if (memcmp((void *)(uintptr_t)last.frames[i], code, sizeof(code)) == 0)
			return last.frames[i];
	ck_abort_msg("no trampoline");
}

/* A signal frame whose saved registers lead back to it. */
START_TEST(a_circle_of_signal_frames_ends_by_the_limit)
{
	uintptr_t trampoline = find_trampoline();
	uint8_t *stack = map_stack();
	uintptr_t *context = (uintptr_t *)(stack + PAGE);
	for (int i = 0; i < 64; i++)
		context[i] = i == 160 / 8 ? (uintptr_t)context : trampoline;
	uint64_t frames[WIRE_MAX_FRAMES];
	struct walk_result result;
	struct walk_regs regs = {trampoline, (uintptr_t)context, 0};
	uint64_t before = stack_bounds_probes();
	walk_stack(&regs, frames, WIRE_MAX_FRAMES, &result);
	ck_assert_uint_eq(result.frame_count, WIRE_MAX_FRAMES);
	ck_assert_int_eq(result.stop, WIRE_STOP_MAX);
	ck_assert_uint_le(stack_bounds_probes() - before, 8);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("walk_stacks");
	TCase *stacks = tcase_create("stacks");
	tcase_add_checked_fixture(stacks, set_up, NULL);
	tcase_set_timeout(stacks, 60);
	tcase_add_test(stacks, a_handler_on_an_alternate_stack_is_walked_back_to_the_main_stack);
	tcase_add_test(stacks, a_handler_on_an_alternate_stack_is_walked_back_to_a_threads_stack);
	tcase_add_test(stacks, coroutines_are_walked_to_their_entry_and_may_vanish);
	tcase_add_test(
		stacks, a_coroutine_below_the_threads_stack_is_walked_without_crossing_the_gap);
	tcase_add_test(stacks, a_walk_takes_less_than_three_quarters_of_a_kilobyte_of_stack);
	tcase_add_test(stacks, random_stacks_and_registers_crash_no_walk);
	tcase_add_test(stacks, random_words_on_the_own_stack_crash_no_walk);
	tcase_add_test(stacks, a_circle_of_signal_frames_ends_by_the_limit);
	suite_add_tcase(suite, stacks);
	return suite;
}

TAP_MAIN(make_suite)
