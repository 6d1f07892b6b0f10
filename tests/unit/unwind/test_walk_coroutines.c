/*
 * Coroutines as libraries make them: a switch of a few instructions that saves registers on the one
 * stack and takes them from the other (Boost's), with stacks of their own, carved out of another
 * stack, or all at one place, where a coroutine's part of the stack is copied away while it does
 * not run (greenlet's).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "support/tap_main.h"
#include "unwind/arch.h"
#include "unwind_truth.h"
#include "walk_capture.h"

#if defined(__x86_64__)

enum { PAGE = 4096, STACK_BYTES = 256 << 10, COROUTINES = 3, TURNS = 300 };

/* coroutine_switch(&old_sp, new_sp): like any call for those who come back from it. Without CFI,
 * like the originals; coroutine_entry is what a new stack returns into, rbx(argument) with a null
 * return address above it. */
void coroutine_switch(uintptr_t *old_sp, uintptr_t new_sp);
void coroutine_entry(void);
__asm__(".text\n"
	".type coroutine_switch, @function\n"
	"coroutine_switch:\n"
	"	push %rbp\n	push %rbx\n	push %r12\n	push %r13\n	push %r14\n	"
	"push %r15\n"
	"	mov %rsp, (%rdi)\n"
	"	mov %rsi, %rsp\n"
	"	pop %r15\n	pop %r14\n	pop %r13\n	pop %r12\n	pop %rbx\n	"
	"pop %rbp\n"
	"	ret\n"
	".size coroutine_switch, . - coroutine_switch\n"
	".type coroutine_entry, @function\n"
	"coroutine_entry:\n"
	"	.cfi_startproc\n	.cfi_undefined rip\n"
	"	mov %r12, %rdi\n	call *%rbx\n	ud2\n"
	"	.cfi_endproc\n"
	".size coroutine_entry, . - coroutine_entry\n");

struct coroutine {
	uintptr_t sp;
	uintptr_t top;
	unsigned number;
	uint8_t *kept; /* its part of a shared stack while it does not run */
};

static uintptr_t main_sp;
static struct coroutine coroutines[COROUTINES], *running;

static void yield(void)
{
	coroutine_switch(&running->sp, main_sp);
}

static void capture_twice(void)
{
	capture();
	yield();
	capture();
}

static void live(struct coroutine *self)
{
	for (unsigned turn = self->number;; turn++)
		unwind_truth_run(turn, 3 + (int)(turn * 7 % 23), capture_twice);
}

static void start(struct coroutine *coroutine, unsigned number, uintptr_t top)
{
	uintptr_t *sp = (uintptr_t *)(top & ~(uintptr_t)63);
	*coroutine = (struct coroutine){.top = top, .number = number};
	*--sp = 0; /* entry's call finds the stack aligned */
	*--sp = 0;
	*--sp = (uintptr_t)coroutine_entry;
	*--sp = 0;		      /* rbp */
	*--sp = (uintptr_t)live;      /* rbx */
	*--sp = (uintptr_t)coroutine; /* r12 */
	sp -= 3;
	memset(sp, 0, 3 * sizeof(*sp));
	coroutine->sp = (uintptr_t)sp;
}

static void resume(struct coroutine *coroutine)
{
	running = coroutine;
	coroutine_switch(&main_sp, coroutine->sp);
}

/* Every other walk is one of this stack. */
static void take_turns(void (*turn)(struct coroutine *))
{
	for (unsigned i = 0; i < TURNS; i++) {
		turn(&coroutines[i * 5 % 7 % COROUTINES]);
		capture();
	}
	ck_assert_uint_eq(judged[UNWIND_SAME], 3 * TURNS - COROUTINES);
	ck_assert_uint_eq(stopped[WIRE_STOP_END], 3 * TURNS - COROUTINES);
}

static uint8_t *map_stack(void)
{
	uint8_t *stack = mmap(NULL, PAGE + STACK_BYTES, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(stack, MAP_FAILED);
	ck_assert_int_eq(mprotect(stack, PAGE, PROT_NONE), 0);
	return stack + PAGE;
}

START_TEST(coroutines_on_stacks_of_their_own_are_walked_to_their_entry)
{
	for (unsigned i = 0; i < COROUTINES; i++)
		start(&coroutines[i], i, (uintptr_t)map_stack() + STACK_BYTES);
	take_turns(resume);
}
END_TEST

static void *run_on_carved_stacks(void *argument)
{
	uint8_t carved[COROUTINES][STACK_BYTES];
	for (unsigned i = 0; i < COROUTINES; i++)
		start(&coroutines[i], i, (uintptr_t)carved[i] + STACK_BYTES);
	take_turns(resume);
	return argument;
}

START_TEST(coroutines_on_parts_of_a_stack_are_walked_to_their_entry)
{
	pthread_t thread;
	run_on_carved_stacks(NULL);
	memset(judged, 0, sizeof(judged));
	memset(stopped, 0, sizeof(stopped));
	ck_assert_int_eq(pthread_create(&thread, NULL, run_on_carved_stacks, NULL), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
}
END_TEST

static void resume_in_place(struct coroutine *coroutine)
{
	uintptr_t used = coroutine->top - coroutine->sp;
	memcpy((void *)coroutine->sp, coroutine->kept, used);
	resume(coroutine);
	used = coroutine->top - coroutine->sp;
	memcpy(coroutine->kept, (void *)coroutine->sp, used);
	memset((uint8_t *)coroutine->top - STACK_BYTES, 0x5a, STACK_BYTES);
}

START_TEST(coroutines_that_take_turns_at_one_place_are_walked_each_by_its_own_frames)
{
	if (getenv("SPPROF_SANITIZED")) {
		printf("# not run: a sanitizer remembers where variables were\n");
		return;
	}
	uintptr_t top = (uintptr_t)map_stack() + STACK_BYTES;
	for (unsigned i = 0; i < COROUTINES; i++) {
		start(&coroutines[i], i, top);
		coroutines[i].kept = malloc(STACK_BYTES);
		memcpy(coroutines[i].kept, (void *)coroutines[i].sp, top - coroutines[i].sp);
	}
	take_turns(resume_in_place);
}
END_TEST

#endif

static Suite *make_suite(void)
{
	Suite *suite = suite_create("walk_coroutines");
	TCase *coroutines_case = tcase_create("coroutines");
#if defined(__x86_64__)
	tcase_add_checked_fixture(coroutines_case, set_up, NULL);
	tcase_set_timeout(coroutines_case, 60);
	tcase_add_test(
		coroutines_case, coroutines_on_stacks_of_their_own_are_walked_to_their_entry);
	tcase_add_test(coroutines_case, coroutines_on_parts_of_a_stack_are_walked_to_their_entry);
	tcase_add_test(coroutines_case,
		coroutines_that_take_turns_at_one_place_are_walked_each_by_its_own_frames);
#endif
	suite_add_tcase(suite, coroutines_case);
	return suite;
}

TAP_MAIN(make_suite)
