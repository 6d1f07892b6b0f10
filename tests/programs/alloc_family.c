/*
 * Every entry point that the agent interposes, used as programs use them, right and wrong. Prints
 * TAP; run bare and under the agent with every allocation sampled, both must say the same.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fenv.h>
#include <malloc.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int tests, failures;

static void check(int ok, const char *what)
{
	failures += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
}

/* Optimizers know malloc; through these they do not. */
static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_reallocarray)(void *, size_t, size_t) = reallocarray;
static void (*volatile do_free)(void *) = free;

static int aligned(const void *block, size_t alignment)
{
	return block && (uintptr_t)block % alignment == 0;
}

static void test_malloc(void)
{
	void *empty = do_malloc(0);
	char *block = do_malloc(100000);

	check(empty != NULL, "malloc(0) returns a block");
	check(aligned(block, 16), "malloc is aligned");
	memset(block, 1, 100000);
	check(malloc_usable_size(block) >= 100000, "the usable size covers what was asked for");
	check(malloc_usable_size(NULL) == 0, "the usable size of nothing is 0");
	do_free(block);
	do_free(empty);
	do_free(NULL);
	errno = 0;
	check(do_malloc(SIZE_MAX) == NULL && errno == ENOMEM, "malloc(SIZE_MAX) fails with ENOMEM");
	errno = 0;
	check(do_malloc((size_t)PTRDIFF_MAX + 1) == NULL && errno == ENOMEM,
		"malloc above PTRDIFF_MAX fails");
}

static void test_calloc(void)
{
	char *block = do_calloc(1000, 99);
	int zero = 1;

	for (int i = 0; i < 99000; i++)
		zero &= block[i] == 0;
	check(zero, "calloc is zero");
	do_free(block);
	check(do_calloc(SIZE_MAX / 2, 3) == NULL, "an overflowing calloc fails");
	do_free(do_calloc(0, 5));
	do_free(do_calloc(5, 0));
}

static void test_realloc(void)
{
	char *block = do_realloc(NULL, 100);

	memset(block, 7, 100);
	block = do_realloc(block, 500000);
	check(block[0] == 7 && block[99] == 7, "realloc keeps the bytes when it grows");
	block = do_realloc(block, 50);
	check(block[49] == 7, "realloc keeps the bytes when it shrinks");
	check(do_realloc(block, SIZE_MAX / 2 + 10) == NULL, "a realloc too large fails");
	check(block[49] == 7, "and leaves the block as it was");
	for (int i = 0; i < 10000; i++)
		block = do_realloc(block, 50 + i % 3000);
	check(block[49] == 7, "a block that is resized often survives");
	check(do_realloc(block, 0) == NULL, "realloc to 0 frees");
	errno = 0;
	check(do_reallocarray(NULL, SIZE_MAX / 2, 3) == NULL && errno == ENOMEM,
		"an overflowing reallocarray fails with ENOMEM");
	block = do_reallocarray(NULL, 10, 10);
	block[99] = 3;
	block = do_reallocarray(block, 10, 1000);
	check(block[99] == 3, "reallocarray keeps the bytes");
	do_free(block);
}

static void test_aligned(void)
{
	void *block = NULL;
	int right = 1;

	for (size_t alignment = 16; alignment <= 1 << 16; alignment *= 2) {
		right &= posix_memalign(&block, alignment, 3 * alignment) == 0 &&
			 aligned(block, alignment);
		free(block);
		block = aligned_alloc(alignment, 3 * alignment);
		right &= aligned(block, alignment);
		block = realloc(block, 5 * alignment);
		free(block);
		block = memalign(alignment, 100);
		right &= aligned(block, alignment);
		free(block);
	}
	check(right, "the aligned family aligns");
	block = (void *)1;
	check(posix_memalign(&block, 3, 100) == EINVAL && block == (void *)1,
		"posix_memalign refuses an alignment and leaves the pointer");
	check(posix_memalign(&block, 64, (size_t)PTRDIFF_MAX + 1) == ENOMEM,
		"posix_memalign runs out");
	block = valloc(100);
	check(aligned(block, 4096), "valloc aligns to pages");
	free(block);
	if (dlsym(RTLD_DEFAULT, "mallctl")) {
		printf("ok %d - pvalloc # SKIP jemalloc has none, and libc's block is not "
		       "jemalloc's to free\n",
			++tests);
		return;
	}
	block = pvalloc(100);
	check(aligned(block, 4096) && malloc_usable_size(block) >= 4096,
		"pvalloc rounds up to pages");
	free(block);
}

static void test_sized_frees(void)
{
	void (*free_sized)(void *, size_t) =
		(void (*)(void *, size_t))dlsym(RTLD_DEFAULT, "free_sized");
	void (*free_aligned_sized)(void *, size_t, size_t) =
		(void (*)(void *, size_t, size_t))dlsym(RTLD_DEFAULT, "free_aligned_sized");

	if (!free_sized || !free_aligned_sized) {
		printf("ok %d - C23 frees # SKIP this libc has none\n", ++tests);
		return;
	}
	for (int i = 1; i < 1000; i++) {
		free_sized(malloc(i), i);
		free_aligned_sized(aligned_alloc(64, 64 * i), 64, 64 * i);
	}
	check(1, "C23 frees");
}

static void test_errno_and_floating_point(void)
{
	char *blocks[100];

	errno = 4242;
	feclearexcept(FE_ALL_EXCEPT);
	for (int i = 0; i < 100; i++)
		blocks[i] = do_malloc(1000 + i);
	for (int i = 0; i < 100; i++)
		blocks[i] = do_realloc(blocks[i], 3000);
	for (int i = 0; i < 100; i++)
		do_free(blocks[i]);
	check(errno == 4242, "errno is untouched by calls that succeed");
	check(fetestexcept(FE_ALL_EXCEPT) == 0, "floating-point flags are untouched");
}

static void *allocate_once(void *unused)
{
	(void)unused;
	return do_malloc(777);
}

static void *churn(void *unused)
{
	void *blocks[64] = {0};

	(void)unused;
	for (int i = 0; i < 20000; i++) {
		do_free(blocks[i % 64]);
		blocks[i % 64] = do_malloc(i % 2000);
		if (i % 7 == 0)
			blocks[i % 64] = do_realloc(blocks[i % 64], i % 5000 + 1);
	}
	for (int i = 0; i < 64; i++)
		do_free(blocks[i]);
	return NULL;
}

static void test_threads(void)
{
	pthread_t threads[8];
	void *block;

	for (int i = 0; i < 500; i++) {
		pthread_create(&threads[0], NULL, allocate_once, NULL);
		pthread_join(threads[0], &block);
		do_free(block);
	}
	check(1, "threads that allocate once, freed by others");
	for (int i = 0; i < 8; i++)
		pthread_create(&threads[i], NULL, churn, NULL);
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i], NULL);
	check(1, "eight threads churn");
}

static volatile sig_atomic_t signals;
static sigjmp_buf jump;
static volatile sig_atomic_t jumps;

static void on_signal(int number)
{
	do_free(do_malloc(300));
	signals++;
	if (number == SIGVTALRM && jumps)
		siglongjmp(jump, 1);
}

/* Handlers that allocate interrupt hooks at arbitrary instructions. glibc's own malloc does not
 * bear that, so the interrupted code only takes paths of ours: frees of NULL and failing calls. */
static void test_signals(void)
{
	struct sigaction action = {.sa_handler = on_signal};

	sigaction(SIGUSR1, &action, NULL);
	for (int i = 0; i < 2000; i++)
		raise(SIGUSR1);
	check(signals == 2000, "handlers allocate");
	jumps = 1;
	sigaction(SIGVTALRM, &action, NULL);
	volatile int left = 0;
	for (volatile int i = 0; i < 500; i++)
		if (sigsetjmp(jump, 1) == 0)
			raise(SIGVTALRM);
		else
			left++;
	jumps = 0;
	check(left == 500, "siglongjmp out of a handler");
}

static void test_fork(void)
{
	char *inherited[500];
	int status = -1;

	for (int i = 0; i < 500; i++)
		inherited[i] = do_malloc(100 + i);
	pid_t child = fork();
	if (child == 0) {
		for (int i = 0; i < 500; i++)
			inherited[i] = do_realloc(inherited[i], 3000);
		for (int i = 0; i < 500; i++)
			do_free(inherited[i]);
		churn(NULL);
		_exit(42);
	}
	waitpid(child, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 42, "a forked child frees and allocates");
	child = vfork();
	if (child == 0)
		_exit(7);
	waitpid(child, &status, 0);
	check(WIFEXITED(status) && WEXITSTATUS(status) == 7, "vfork");
	for (int i = 0; i < 500; i++)
		do_free(inherited[i]);
}

static void test_dl(void)
{
	check(dlerror() == NULL, "dlerror is clear at start");
	for (int i = 0; i < 20; i++) {
		void *handle = dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL);

		if (handle)
			dlclose(handle);
	}
	check(1, "dlopen and dlclose");
}

int main(void)
{
	test_dl();
	test_malloc();
	test_calloc();
	test_realloc();
	test_aligned();
	test_sized_frees();
	test_errno_and_floating_point();
	test_threads();
	test_signals();
	test_fork();
	printf("1..%d\n", tests);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
