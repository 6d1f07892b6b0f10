/*
 * Hooks that are left in the middle: by siglongjmp, by cancellation, by a coroutine that is
 * switched away in a signal handler. Needs bump_allocator behind the agent, since no ordinary
 * allocator bears that. Prints TAP.
 *
 *   left_hooks jump | cancel | coroutine
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>
#include "support/agent_view.h"
#include "support/tap_print.h"

enum { FEW = 40, STORM = 10000, CANCELS = 150, COROUTINES = 8, BLOCKS = 8 };

static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void (*volatile do_free)(void *) = free;

static void *volatile blocks[BLOCKS];
static _Atomic unsigned seen;
static _Atomic bool done;
static sigjmp_buf away;
static volatile sig_atomic_t jumpable;

static void step(unsigned i)
{
	void *block = blocks[i % BLOCKS];

	blocks[i % BLOCKS] = NULL;
	if (i % 5 == 0) {
		block = do_realloc(block, 100 + i % 400);
	} else {
		do_free(block);
		block = do_malloc(100 + i % 400);
	}
	blocks[i % BLOCKS] = block;
	if (i % 64 == 0)
		agent_view_drain();
}

/* How many of 1000 allocations that are all due the calling thread has sampled. */
static uint64_t sampled_of_1000(void)
{
	uint64_t before = agent_view_samples();

	for (int i = 0; i < 1000; i++) {
		do_free(do_malloc(1000));
		agent_view_drain();
	}
	return agent_view_samples() - before;
}

/* Dead threads' leases are taken back once a second and when they are needed, so this may take one.
 */
static bool sampled_again(void)
{
	struct timespec start, now;
	uint64_t sampled;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		sampled = sampled_of_1000();
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (sampled < 1000 && now.tv_sec - start.tv_sec < 30);
	return sampled == 1000;
}

static void run_thread(void *(*body)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, NULL) == 0)
		pthread_join(thread, NULL);
}

static void handle(void (*handler)(int))
{
	struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};

	sigaction(SIGUSR1, &action, NULL);
}

/* Signals that arrive at any instruction of the thread's hooks. */

static unsigned signals_wanted;

static void *bombard(void *argument)
{
	pthread_t target = *(pthread_t *)argument;

	atomic_store(&seen, 0);
	for (unsigned i = 0; i < signals_wanted; i++) {
		pthread_kill(target, SIGUSR1);
		while (atomic_load(&seen) < i + 1)
			sched_yield();
		for (volatile unsigned wait = i * 7 % 300; wait; wait--)
			;
	}
	atomic_store(&done, true);
	return NULL;
}

static void *volatile held[BLOCKS];

static void on_signal_jump(int number)
{
	(void)number;
	do_free(do_malloc(300)); /* a hook inside a hook */
	atomic_fetch_add(&seen, 1);
	if (jumpable)
		siglongjmp(away, 1);
}

static void *suffer(void *unused)
{
	static pthread_t self;
	static volatile unsigned i;
	pthread_t sender;

	self = pthread_self();
	atomic_store(&done, false);
	pthread_create(&sender, NULL, bombard, &self);
	sigsetjmp(away, 1);
	jumpable = 1;
	while (!atomic_load(&done))
		step(i++);
	jumpable = 0;
	pthread_join(sender, NULL);
	return unused;
}

/* Fewer jumps than there are scratch buffers. */
static void *suffer_little(void *unused)
{
	signals_wanted = FEW;
	suffer(NULL);
	uint64_t sampled = sampled_of_1000();
	printf("# %llu of 1000 sampled, %u rings leased\n", (unsigned long long)sampled,
		agent_view_leases());
	tap_print(!agent_view_header || sampled == 1000,
		"a thread that left hooks by siglongjmp is sampled on");
	return unused;
}

static void test_jump(void)
{
	handle(on_signal_jump);
	run_thread(suffer_little);
	signals_wanted = STORM;
	run_thread(suffer);
	tap_print(true, "hooks may be left at any instruction");
}

/* Cancellation */

static _Atomic unsigned working;

static void *work_until_cancelled(void *asynchronous)
{
	pthread_setcanceltype(
		asynchronous ? PTHREAD_CANCEL_ASYNCHRONOUS : PTHREAD_CANCEL_DEFERRED, NULL);
	for (unsigned i = 0;; i++) {
		step(i);
		atomic_fetch_add(&working, 1);
		if (!asynchronous && i % 16 == 0)
			pthread_testcancel();
	}
	return NULL;
}

static void cancel_many(bool asynchronous)
{
	for (unsigned i = 0; i < CANCELS; i++) {
		pthread_t thread;
		unsigned before = atomic_load(&working);

		if (pthread_create(&thread, NULL, work_until_cancelled,
			    (void *)(uintptr_t)asynchronous) != 0)
			abort();
		while (atomic_load(&working) < before + 1 + i % 5)
			sched_yield();
		for (volatile unsigned wait = i * 13 % 2000; wait; wait--)
			;
		pthread_cancel(thread);
		pthread_join(thread, NULL);
	}
}

/* A hook is no cancellation point: with one request pending, all of it is passed through. */
static void *allocate_while_cancelled(void *unused)
{
	static char reached[1];

	pthread_cancel(pthread_self());
	for (unsigned i = 0; i < 5000; i++)
		step(i);
	(void)unused;
	return reached;
}

static void test_cancel(void)
{
	pthread_t thread;
	void *result = PTHREAD_CANCELED;

	if (pthread_create(&thread, NULL, allocate_while_cancelled, NULL) == 0)
		pthread_join(thread, &result);
	tap_print(result != PTHREAD_CANCELED, "no hook is a cancellation point");
	cancel_many(false);
	tap_print(true, "threads are cancelled between hooks");
	cancel_many(true);
	tap_print(true, "threads are cancelled within hooks");
}

/* Coroutines */

static ucontext_t scheduler, coroutines[COROUTINES];
static unsigned current;
static bool finished[COROUTINES];

/* As a C++ program's own operator new might: another coroutine runs in the middle of it. */
static void *custom_new(size_t size)
{
	void *half = do_malloc(size / 2);

	swapcontext(&coroutines[current], &scheduler);
	do_free(half);
	return do_malloc(size);
}

static void coroutine(void)
{
	void *mine[10];

	for (unsigned i = 0; i < 200; i++) {
		mine[i % 10] = custom_new(100 + 8 * i);
		if (i % 10 == 9)
			for (int j = 0; j < 10; j++)
				do_free(mine[j]);
	}
	finished[current] = true;
}

static void make_coroutine(ucontext_t *context, void (*body)(void), ucontext_t *next)
{
	getcontext(context);
	context->uc_stack.ss_size = 32 << 10;
	context->uc_stack.ss_sp = mmap(NULL, context->uc_stack.ss_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	context->uc_link = next;
	makecontext(context, body, 0);
}

static void run_coroutines(void)
{
	unsigned left = COROUTINES;

	for (unsigned i = 0; i < COROUTINES; i++)
		make_coroutine(&coroutines[i], coroutine, &scheduler);
	for (unsigned i = 0; left; i++) {
		current = i % COROUTINES;
		if (finished[current])
			continue;
		swapcontext(&scheduler, &coroutines[current]);
		left -= finished[current];
		agent_view_drain();
	}
}

/* A handler puts the interrupted hook aside and lets a coroutine allocate. */
static ucontext_t interrupted, preemptor;

static void preempt(void)
{
	for (unsigned i = 0;; i++) {
		void *block = do_malloc(200 + i % 100);

		held[i % BLOCKS] = do_realloc(held[i % BLOCKS], 100 + i % 300);
		do_free(block);
		swapcontext(&preemptor, &interrupted);
	}
}

static void on_signal_switch(int number)
{
	(void)number;
	swapcontext(&interrupted, &preemptor);
	atomic_fetch_add(&seen, 1);
}

static void test_coroutine(void)
{
	int64_t live = agent_view_live();

	run_coroutines();
	tap_print(agent_view_live() == live, "coroutines switch within operator new");
	handle(on_signal_switch);
	make_coroutine(&preemptor, preempt, NULL);
	signals_wanted = STORM;
	run_thread(suffer);
	tap_print(true, "a handler may switch away from any instruction, and back");
}

static void *cancel_oneself(void *unused)
{
	pthread_cancel(pthread_self());
	pthread_testcancel();
	return unused;
}

/* There if bump_allocator is. */
extern void bump_allocator_recycle(void) __attribute__((weak));

int main(int argc, char **argv)
{
	static char buffer[4096];
	const char *mode = argc == 2 ? argv[1] : "";

	agent_view_open();
	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	run_thread(cancel_oneself); /* libc loads its unwinder for that, and keeps it */
	if (bump_allocator_recycle)
		bump_allocator_recycle();
	if (strcmp(mode, "jump") == 0)
		test_jump();
	else if (strcmp(mode, "cancel") == 0)
		test_cancel();
	else
		test_coroutine();
	tap_print(!agent_view_header || sampled_again(), "every allocation is sampled in the end");
	tap_print(agent_view_sampled(1000), "allocations were sampled");
	return tap_print_end();
}
