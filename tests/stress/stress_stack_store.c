/*
 * The stack store under threads: overlapping sets of stacks are brought, shared, read, released and
 * taken by references that went stale, in a store that is too small for all of them, while signal
 * handlers do the same in the middle of it. Whatever is read must be a stack that some thread
 * brought, whole; at the end the store must be empty.
 *
 * TAP. SPPROF_STRESS scales the work. Instrumented builds see every access.
 */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "private_memory.h"
#include "spprof/wire/record.h"
#include "stack_store.h"
#include "support/random.h"

enum { THREADS = 4, STACKS = 96, HELD = 16, ENTRIES = 64, OPERATIONS = 1000000 };

static struct stack_store store;
static _Atomic uint32_t last_reference[STACKS]; /* published without a count: may be stale */
static _Atomic uint64_t wrong, refused, shared, stale_taken, stale_gone, in_handlers;
static long operations;

/* Stack `n` follows from n alone, and n from its first frame. */
static unsigned make_frames(unsigned n, uint64_t *frames)
{
	struct random random = {n};
	unsigned count = 1 + (unsigned)random_below(&random, n % 8 == 0 ? 60 : 12);

	frames[0] = 0x400000 + n;
	for (unsigned i = 1; i < count; i++)
		frames[i] = random_next(&random) >> (17 + random_below(&random, 40));
	return count;
}

static struct stack_view make_view(unsigned n, uint64_t *frames)
{
	unsigned count = make_frames(n, frames);

	return (struct stack_view){
		.frames = frames,
		.frame_count = (uint16_t)count,
		.stop = (uint8_t)(n % WIRE_STOP_KINDS),
		.guessed = (uint8_t)n,
		.module_epoch = n * 7,
	};
}

/* The stack that a reference which we hold means; STACKS if it is none. */
static unsigned read_checked(uint32_t reference)
{
	uint64_t frames[WIRE_MAX_FRAMES], expected[64];
	struct stack_view view;

	if (stack_store_read(&store, reference, frames, &view) != 0 || view.frame_count == 0)
		return STACKS;
	uint64_t n = frames[0] - 0x400000;
	if (n >= STACKS)
		return STACKS;
	struct stack_view wanted = make_view((unsigned)n, expected);
	bool same = view.frame_count == wanted.frame_count && view.stop == wanted.stop &&
		    view.guessed == wanted.guessed && view.module_epoch == wanted.module_epoch;
	for (unsigned i = 0; same && i < wanted.frame_count; i++)
		same = frames[i] == expected[i];
	return same ? (unsigned)n : STACKS;
}

static void count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint32_t bring(unsigned n)
{
	uint8_t scratch[STACK_STORE_SCRATCH];
	uint64_t frames[64];
	struct stack_view view = make_view(n, frames);
	uint32_t reference = stack_store_intern(&store, &view, scratch);

	if (reference == 0) {
		count(&refused);
		return 0;
	}
	if (read_checked(reference) != n)
		count(&wrong);
	uint32_t last =
		atomic_exchange_explicit(&last_reference[n], reference, memory_order_relaxed);
	if (last == reference)
		count(&shared);
	return reference;
}

/* As a walker does that copied a slot whose sample may have died. */
static void take_stale(unsigned n)
{
	uint32_t reference = atomic_load_explicit(&last_reference[n], memory_order_relaxed);

	if (!stack_store_acquire(&store, reference)) {
		count(&stale_gone);
		return;
	}
	count(&stale_taken);
	if (read_checked(reference) == STACKS)
		count(&wrong);
	stack_store_release(&store, reference);
}

static _Thread_local struct random handler_random;

static void on_signal(int number)
{
	(void)number;
	unsigned n = (unsigned)random_below(&handler_random, STACKS);

	stack_store_release(&store, bring(n));
	take_stale((n + 1) % STACKS);
	count(&in_handlers);
}

static void *work(void *seed)
{
	struct random random = {(uintptr_t)seed};
	uint32_t held[HELD] = {0};

	handler_random = (struct random){(uintptr_t)seed + 100};
	for (long i = 0; i < operations; i++) {
		unsigned n = (unsigned)random_below(&random, STACKS);
		unsigned slot = (unsigned)random_below(&random, HELD);

		if (random_below(&random, 4) == 0) {
			take_stale(n);
		} else if (held[slot] != 0) {
			if (read_checked(held[slot]) == STACKS)
				count(&wrong);
			stack_store_release(&store, held[slot]);
			held[slot] = 0;
		} else {
			held[slot] = bring(n);
		}
	}
	for (unsigned slot = 0; slot < HELD; slot++)
		stack_store_release(&store, held[slot]);
	return NULL;
}

static _Atomic bool done;

static void *interrupt(void *threads)
{
	const pthread_t *thread = threads;

	for (unsigned i = 0; !atomic_load_explicit(&done, memory_order_relaxed); i++) {
		pthread_kill(thread[i % THREADS], SIGUSR1);
		usleep(50);
	}
	return NULL;
}

/* Threads stay until the interrupter has gone: a signal for one that ended is not defined. */
static pthread_barrier_t finished;

static void *work_and_wait(void *seed)
{
	work(seed);
	pthread_barrier_wait(&finished);
	pthread_barrier_wait(&finished);
	return NULL;
}

static void run_threads(void)
{
	pthread_t thread[THREADS], interrupter;

	if (pthread_barrier_init(&finished, NULL, THREADS + 1) != 0)
		abort();
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, work_and_wait, (void *)(i + 1)) != 0)
			abort();
	if (pthread_create(&interrupter, NULL, interrupt, thread) != 0)
		abort();
	pthread_barrier_wait(&finished);
	atomic_store_explicit(&done, true, memory_order_relaxed);
	pthread_join(interrupter, NULL);
	pthread_barrier_wait(&finished);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

static int tests;

static int check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
	return !ok;
}

/* All of the blocks can still be had: as many stacks of one block as there are entries, and one
 * large one of all that is left. */
static bool everything_came_back(void)
{
	uint8_t scratch[STACK_STORE_SCRATCH];
	uint64_t frames[WIRE_MAX_FRAMES];
	unsigned blocks = store.block_count - 1;
	uint32_t references[ENTRIES];
	unsigned n = 0;

	for (unsigned i = 0; i < WIRE_MAX_FRAMES; i++)
		frames[i] = i % 2 ? 0 : UINT64_C(1) << 26; /* 15 of 4 bytes fill a block */
	for (; blocks > 0 && n < ENTRIES; n++) {
		unsigned take = blocks < 34 ? blocks : 34;
		struct stack_view view = {
			.frames = frames, .frame_count = (uint16_t)(take * 15), .module_epoch = n};

		references[n] = stack_store_intern(&store, &view, scratch);
		if (references[n] == 0)
			return false;
		blocks -= take;
	}
	while (n > 0)
		stack_store_release(&store, references[--n]);
	return stack_store_stacks_in_use(&store) == 0 && stack_store_blocks_in_use(&store) == 0;
}

int main(void)
{
	const char *scale = getenv("SPPROF_STRESS");
	size_t size =
		(size_t)ENTRIES * (sizeof(struct wire_stack) + 3 * sizeof(struct wire_stack_block));
	struct sigaction action = {.sa_handler = on_signal};
	int failures = 0;

	operations = OPERATIONS * (scale ? atol(scale) : 1);
	if (stack_store_init(&store, private_memory_map(size), size) != 0 ||
		sigaction(SIGUSR1, &action, NULL) != 0)
		abort();
	run_threads();
	printf("# shared %llu, refused %llu, stale: taken %llu, gone %llu; %llu signals\n",
		(unsigned long long)shared, (unsigned long long)refused,
		(unsigned long long)stale_taken, (unsigned long long)stale_gone,
		(unsigned long long)in_handlers);
	failures += check(wrong == 0, "whatever was read was a whole stack that had been brought");
	failures += check(shared > 0 && refused > 0 && stale_taken > 0 && stale_gone > 0,
		"stacks were shared and refused, references went stale and lived on");
	failures += check(in_handlers > 0, "handlers interrupted it");
	failures += check(stack_store_stacks_in_use(&store) == 0, "no stack is left");
	failures += check(stack_store_blocks_in_use(&store) == 0, "no block is left");
	failures += check(everything_came_back(), "every block can be had again");
	printf("1..%d\n", tests);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
