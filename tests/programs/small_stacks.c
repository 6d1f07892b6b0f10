/*
 * Hooks on little stack: how deep they write below their caller is measured by a pattern, on a
 * thread's smallest stack and on a signal handler's. Prints TAP; what was measured stands in
 * comments. Under the agent a hook may take DEEPEST bytes, with all that is behind it.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#include "support/agent_view.h"
#include "support/tap_print.h"

#define PATTERN		 0xa5
#define DEEPEST		 3072
#define DEEPEST_IN_CHILD 4096

static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void (*volatile do_free)(void *) = free;

struct stack {
	uint8_t *low;
	size_t size;
};

/* Guard pages on both sides: what overflows ends the program. */
static struct stack make_stack(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	size_t whole = (size + page - 1) & ~(page - 1);
	uint8_t *base = mmap(NULL, whole + 2 * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (base == MAP_FAILED || mprotect(base + page, whole, PROT_READ | PROT_WRITE) != 0)
		abort();
	memset(base + page, PATTERN, whole);
	return (struct stack){base + page, size};
}

/* From the lowest byte that was written up to `sp`. */
static size_t depth_below(const struct stack *stack, uintptr_t sp)
{
	const uint8_t *lowest = stack->low;

	while ((uintptr_t)lowest < sp && *lowest == PATTERN)
		lowest++;
	return sp - (uintptr_t)lowest;
}

/* What costs a hook most: nothing known of the stack's code, and a map to tell again. */
static void make_it_hard(void)
{
	static uint32_t epoch;

	dlclose(dlopen(NULL, RTLD_NOW));
	if (agent_view_header)
		atomic_store_explicit(
			&agent_view_header->control.resync, ++epoch, memory_order_release);
}

struct work {
	void (*step)(unsigned i);
	uintptr_t sp; /* where the hooks were called */
};

static void *volatile held[64];

static void step_malloc(unsigned i)
{
	do_free(held[i % 64]);
	held[i % 64] = do_malloc(50 + i % 2000);
}

static void step_realloc(unsigned i)
{
	held[i % 64] = do_realloc(held[i % 64], 50 + i % 4000);
}

static void step_calloc(unsigned i)
{
	do_free(held[i % 64]);
	held[i % 64] = do_calloc(10, 5 + i % 100);
}

static void step_free(unsigned i)
{
	do_free(do_malloc(i % 300));
}

static void (*const steps[])(unsigned) = {step_malloc, step_realloc, step_calloc, step_free};

static void __attribute__((noinline)) work(struct work *mine, unsigned count)
{
	mine->sp = (uintptr_t)__builtin_frame_address(0);
	for (unsigned i = 0; i < count; i++) {
		mine->step(i);
		if (i % 64 == 0)
			agent_view_drain();
	}
}

static void *thread_body(void *argument)
{
	work(argument, 2000);
	return NULL;
}

/* Dynamic linking first, once, where there is stack enough. */
static void warm_up(void)
{
	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++)
		work(&(struct work){.step = steps[i]}, 100);
}

static void test_threads(void)
{
	size_t deepest = 0;
	bool started = true;

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct stack stack = make_stack(PTHREAD_STACK_MIN);
		struct work mine = {.step = steps[i]};
		pthread_attr_t attributes;
		pthread_t thread;

		make_it_hard();
		pthread_attr_init(&attributes);
		started &= pthread_attr_setstack(&attributes, stack.low, stack.size) == 0 &&
			   pthread_create(&thread, &attributes, thread_body, &mine) == 0 &&
			   pthread_join(thread, NULL) == 0;
		size_t depth = depth_below(&stack, mine.sp);
		deepest = depth > deepest ? depth : deepest;
		printf("# step %zu: %zu bytes below its caller, %zu of %zu left\n", i, depth,
			(size_t)(mine.sp - (uintptr_t)stack.low) - depth, stack.size);
	}
	tap_print(started, "threads on the smallest stack allocate");
	tap_print(deepest <= DEEPEST, "hooks go no deeper than they may");
}

/* The first hook in a forked child makes a segment of the child's own. */
static void *fork_body(void *argument)
{
	struct stack *stack = argument;
	struct work mine = {.step = step_malloc};
	size_t *depth = mmap(
		NULL, sizeof *depth, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int status = -1;

	pid_t child = fork();
	if (child == 0) {
		memset(stack->low, PATTERN,
			(uintptr_t)__builtin_frame_address(0) - 512 - (uintptr_t)stack->low);
		work(&mine, 2000);
		*depth = depth_below(stack, mine.sp);
		_exit(0);
	}
	waitpid(child, &status, 0);
	printf("# a forked child's first hooks go %zu bytes deep\n", *depth);
	return status == 0 && *depth <= DEEPEST_IN_CHILD ? stack : NULL;
}

static void test_fork(void)
{
	struct stack stack = make_stack(PTHREAD_STACK_MIN);
	pthread_attr_t attributes;
	pthread_t thread;
	void *result = NULL;

	pthread_attr_init(&attributes);
	if (pthread_attr_setstack(&attributes, stack.low, stack.size) == 0 &&
		pthread_create(&thread, &attributes, fork_body, &stack) == 0)
		pthread_join(thread, &result);
	tap_print(result == &stack, "a child forked by such a thread allocates");
}

static struct work *in_handler;
static unsigned done;

static void on_signal(int number)
{
	(void)number;
	in_handler->sp = (uintptr_t)__builtin_frame_address(0);
	in_handler->step(done++);
}

static void test_handlers(const char *name, size_t size)
{
	size_t deepest = 0;

	for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
		struct stack stack = make_stack(size);
		stack_t alternate = {.ss_sp = stack.low, .ss_size = stack.size};
		struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_ONSTACK};
		struct work mine = {.step = steps[i]};

		make_it_hard();
		in_handler = &mine;
		if (sigaltstack(&alternate, NULL) != 0 || sigaction(SIGUSR1, &action, NULL) != 0)
			abort();
		for (unsigned n = 0; n < 1000; n++) {
			raise(SIGUSR1);
			agent_view_drain();
		}
		size_t depth = depth_below(&stack, mine.sp);
		deepest = depth > deepest ? depth : deepest;
		printf("# %s, step %zu: %zu bytes below the handler, %zu of %zu left\n", name, i,
			depth, (size_t)(mine.sp - (uintptr_t)stack.low) - depth, stack.size);
	}
	printf("# %s: a handler's hooks go %zu bytes deep\n", name, deepest);
	tap_print(deepest <= DEEPEST, name);
}

int main(void)
{
	size_t least = (size_t)sysconf(_SC_MINSIGSTKSZ);

	agent_view_open();
	warm_up();
	test_threads();
	test_fork();
	test_handlers(
		"handlers on the usual alternate stack allocate", (size_t)sysconf(_SC_SIGSTKSZ));
	test_handlers("handlers on the smallest alternate stack allocate", least + 2048);
	tap_print(agent_view_sampled(5000), "hooks were sampled");
	return tap_print_end();
}
