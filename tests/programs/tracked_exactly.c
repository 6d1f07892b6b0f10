/*
 * Whatever a program does with a block, the agent holds it as live exactly as long as the program
 * may use it: each step states by how many sampled blocks the live set has changed. Meant for
 * SPPROF_RATE=1, which samples every block of 64 bytes and more. Prints TAP; without the agent
 * nothing is counted and the steps only must not crash.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "programs/tracked_new.h"
#include "support/agent_view.h"
#include "support/tap_print.h"

static volatile size_t too_much = (size_t)PTRDIFF_MAX + 1;

static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_reallocarray)(void *, size_t, size_t) = reallocarray;
static void (*volatile do_free)(void *) = free;

static bool has_mimalloc;
static int64_t mark;
static bool right;

static void expect_begin(void)
{
	right = true;
	mark = agent_view_live();
}

/* `blocks` more are live than when it began. */
static void expect(int64_t blocks)
{
	int64_t found = agent_view_live() - mark;

	if (agent_view_header && found != blocks) {
		printf("# %lld live, expected %lld\n", (long long)found, (long long)blocks);
		right = false;
	}
}

static void *take_posix(size_t size)
{
	void *block = NULL;

	return posix_memalign(&block, 256, size) == 0 ? block : NULL;
}

static void *take_aligned(size_t size)
{
	return aligned_alloc(64, size);
}

static void *take_memalign(size_t size)
{
	return memalign(128, size);
}

static void *take_calloc(size_t size)
{
	return do_calloc(size / 64, 64);
}

static void *take_realloc(size_t size)
{
	return do_realloc(NULL, size);
}

static void *take_reallocarray(size_t size)
{
	return do_reallocarray(NULL, size / 64, 64);
}

static void test_takes(void)
{
	static void *(*const takes[])(size_t) = {malloc, take_calloc, take_realloc,
		take_reallocarray, take_posix, take_aligned, take_memalign, valloc};
	static const size_t sizes[] = {64, 4096, 131072, 5 << 20};
	bool all = true;

	for (size_t i = 0; i < sizeof takes / sizeof takes[0]; i++)
		for (size_t s = 0; s < sizeof sizes / sizeof sizes[0]; s++) {
			expect_begin();
			void *block = takes[i](sizes[s]);
			expect(1);
			right &= block && malloc_usable_size(block) >= sizes[s];
			expect(1);
			do_free(block);
			expect(0);
			all &= right;
			if (!right)
				printf("# form %zu, size %zu\n", i, sizes[s]);
		}
	tap_print(all, "every form of allocation is live until it is freed");
}

static void test_failures(void)
{
	void *block = NULL;

	expect_begin();
	right &= do_malloc(too_much) == NULL && do_malloc(SIZE_MAX) == NULL;
	right &= do_malloc(PTRDIFF_MAX) == NULL;
	right &= do_calloc(SIZE_MAX / 2, 3) == NULL && do_calloc(too_much / 64, 64) == NULL;
	right &= do_realloc(NULL, too_much) == NULL;
	right &= do_reallocarray(NULL, SIZE_MAX / 2, 3) == NULL;
	right &= posix_memalign(&block, 64, too_much) == ENOMEM && block == NULL;
	right &= aligned_alloc(64, too_much) == NULL && memalign(64, too_much) == NULL;
	right &= valloc(too_much) == NULL;
	expect(0);
	tap_print(right, "what failed is not live");

	expect_begin();
	unsigned char *kept = do_malloc(1000);
	memset(kept, 0xa5, 1000);
	right &= do_realloc(kept, too_much) == NULL && do_realloc(kept, PTRDIFF_MAX) == NULL;
	right &= do_reallocarray(kept, SIZE_MAX / 2, 3) == NULL;
	expect(1);
	for (int i = 0; i < 1000; i++)
		right &= kept[i] == 0xa5;
	do_free(kept);
	expect(0);
	tap_print(right, "a realloc that failed leaves the block as it was, and live");
}

static void test_reallocs(void)
{
	static const size_t sizes[] = {100, 200, 100000, 64, 3 << 20, 1 << 20, 500};

	expect_begin();
	void *block = do_malloc(64);
	for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
		block = do_realloc(block, sizes[i]);
		expect(1);
	}
	block = do_realloc(block, 0); /* frees it, or makes it empty */
	expect(0);
	do_free(block);
	expect(0);
	tap_print(right, "a block that is resized is one block, and none at size 0");
}

static void test_nothing(void)
{
	expect_begin();
	void *empty[] = {do_malloc(0), do_calloc(0, 5), do_calloc(5, 0), do_realloc(NULL, 0),
		take_posix(0), memalign(64, 0)};
	expect(0);
	for (size_t i = 0; i < sizeof empty / sizeof empty[0]; i++)
		do_free(empty[i]);
	do_free(NULL);
	expect(0);
	tap_print(right, "blocks of no size are no samples");
}

static void test_sized_frees(void)
{
	void (*free_sized)(void *, size_t) =
		(void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
	void (*free_aligned_sized)(void *, size_t, size_t) =
		(void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");

	if (!free_sized || !free_aligned_sized) {
		tap_print_skip("C23 frees", "this libc has none");
		return;
	}
	expect_begin();
	void *block = do_malloc(100), *aligned = aligned_alloc(64, 128);
	expect(2);
	free_sized(block, 100);
	expect(1);
	free_aligned_sized(aligned, 64, 128);
	expect(0);
	free_sized(NULL, 0);
	free_aligned_sized(NULL, 64, 0);
	tap_print(right, "C23 frees");
}

static void test_new(void)
{
	bool all = true;

	for (int form = 0; form < TRACKED_NEW_FORMS; form++) {
		expect_begin();
		void *block = tracked_new_make(form, 300);
		expect(1);
		tracked_new_drop(form, block, 300);
		expect(0);
		all &= right;
		if (!right)
			printf("# form %d\n", form);
	}
	tap_print(all, "every form of operator new and delete");
	if (has_mimalloc) {
		tap_print_skip("bad_alloc", "mimalloc aborts instead");
		return;
	}
	expect_begin();
	right &= tracked_new_throws(PTRDIFF_MAX);
	expect(0);
	tap_print(right, "what bad_alloc was thrown for is not live");
}

static void *in_handler;

static void allocate_in_handler(int number)
{
	(void)number;
	in_handler = do_malloc(700);
}

static void test_handler(void)
{
	expect_begin();
	signal(SIGUSR1, allocate_in_handler);
	raise(SIGUSR1);
	expect(1);
	do_free(in_handler);
	expect(0);
	tap_print(right, "a handler's block is live until it is freed elsewhere");
}

static pthread_key_t key;
static void *left_by_destructor;

static void destroy(void *value)
{
	do_free(value);
	left_by_destructor = do_malloc(800);
}

static void *end_with_destructors(void *unused)
{
	pthread_setspecific(key, do_malloc(600));
	tracked_new_thread_local();
	return unused;
}

static void run_thread(void *(*body)(void *))
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, body, NULL) == 0)
		pthread_join(thread, NULL);
}

static void *idle(void *unused)
{
	return unused;
}

static void test_thread_end(void)
{
	pthread_key_create(&key, destroy);
	run_thread(idle); /* what libc keeps for the next thread is there now */
	expect_begin();
	run_thread(end_with_destructors);
	expect(2);
	do_free(left_by_destructor);
	expect(1);
	do_free(tracked_new_left_by_destructor);
	expect(0);
	tap_print(right, "destructors of a thread allocate and free");
}

/* Blocks that one thread makes and another frees, or resizes, at once. */
enum { CHURNERS = 8 };
static void *_Atomic shared[512];

static pthread_barrier_t together;
static int rounds;

static void *churn(void *argument)
{
	uint64_t state = (uintptr_t)argument;

	pthread_barrier_wait(&together);
	for (int i = 0; i < rounds; i++) {
		state = state * UINT64_C(6364136223846793005) + 1442695040888963407;
		size_t size = 64 + (state >> 40) % 3000;
		void *block = atomic_exchange(&shared[(state >> 33) % 512], NULL);

		block = i % 3 ? do_realloc(block, size) : (do_free(block), do_malloc(size));
		do_free(atomic_exchange(&shared[(state >> 20) % 512], block));
	}
	return NULL;
}

static void churn_in_threads(int count)
{
	pthread_t threads[CHURNERS];
	pthread_attr_t attributes;

	rounds = count;
	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 256 << 10);
	for (uintptr_t i = 0; i < CHURNERS; i++)
		pthread_create(&threads[i], &attributes, churn, (void *)(i + 1));
	for (int i = 0; i < CHURNERS; i++)
		pthread_join(threads[i], NULL);
	pthread_attr_destroy(&attributes);
	for (int i = 0; i < 512; i++)
		do_free(atomic_exchange(&shared[i], NULL));
}

static void test_churn(void)
{
	pthread_barrier_init(&together, NULL, CHURNERS);
	churn_in_threads(0); /* what libc keeps with a stack is there now */
	expect_begin();
	churn_in_threads(20000);
	expect(0);
	tap_print(right, "eight threads free what others made, and nothing is left");
}

static int64_t before_main; /* without what the constructor made */
static void *from_constructor, *from_atexit;

__attribute__((constructor)) static void allocate_before_main(void)
{
	from_constructor = do_malloc(900);
}

/* After main: the last steps of a life. */
static void at_exit(void)
{
	expect_begin();
	do_free(from_constructor);
	expect(-1);
	from_atexit = do_malloc(950);
	expect(0);
	tap_print(right, "an exit handler frees what a constructor made, and allocates");
}

__attribute__((destructor)) static void after_exit(void)
{
	expect_begin();
	do_free(from_atexit);
	expect(-1);
	right &= agent_view_live() == before_main;
	tap_print(right, "a destructor frees what the exit handler made, and nothing is left");
	tap_print(agent_view_sampled(100000), "all of it was sampled");
	int status = tap_print_end();
	fflush(stdout);
	_exit(status);
}

int main(void)
{
	static char buffer[1 << 16];

	setvbuf(stdout, buffer, _IOFBF, sizeof buffer);
	agent_view_open();
	has_mimalloc = dlsym(RTLD_DEFAULT, "mi_new") != NULL;
	dlerror(); /* of a miss, a text is left behind, until it is asked for twice */
	dlerror();
	before_main = agent_view_live() - (agent_view_header != NULL);
	atexit(at_exit);
	test_takes();
	test_failures();
	test_reallocs();
	test_nothing();
	test_sized_frees();
	test_new();
	test_handler();
	int64_t before_threads = agent_view_live();
	test_thread_end();
	test_churn();
	before_main += agent_view_live() - before_threads; /* libc keeps a thread's stack */
	return 0;
}
