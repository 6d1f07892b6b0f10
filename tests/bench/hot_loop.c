/*
 * hot_loop [OPTION...] MODE OPERATIONS [DEPTH]: exactly that many operations per thread, so that
 * the difference of two runs divided by the difference of their operations is the cost of one.
 *
 *   empty    the loop alone        pair     malloc, touch, free
 *   calloc   calloc, touch, free   realloc  a rolling set of 64 blocks
 *   usable   malloc, malloc_usable_size, touch, free
 *   scatter  frees a random one of 300,000 blocks that no preload saw allocated, and makes another
 *
 *   -t THREADS    threads in the loop; the calling one alone by default
 *   -s MIN:MAX    sizes, 16:256 by default
 *   -l LIVE       scatter: blocks among the others that a preload did see, and that stay
 *   -p COUNT:US   a pause of US microseconds after each COUNT operations
 *   -w            waits for the end of standard input before it ends
 *
 * DEPTH: frames above the loop. Prints operations, and CPU and elapsed nanoseconds of the loop.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define SIZES	    4096
#define SCATTERED   300000
#define MAX_THREADS 256

static uint32_t sizes[SIZES];
static unsigned long operations, threads, depth, live;
static unsigned long pause_after, pause_us; /* 0: none */
static char nothing;
static void *scattered[SCATTERED];

/* glibc's own: what it allocates passes no preload by, and is freed through all of them. */
extern void *__libc_malloc(size_t size) __attribute__((weak));

static uint64_t xorshift64(uint64_t *x) /* Marsaglia 2003 */
{
	*x ^= *x << 13;
	*x ^= *x >> 7;
	return *x ^= *x << 17;
}

static __attribute__((noinline)) void touch(void *block)
{
	__asm__ volatile("" : : "r"(block) : "memory");
	*(volatile char *)block = 1;
}

static __attribute__((noinline)) void rest(void)
{
	usleep((useconds_t)pause_us);
}

static inline uint32_t next(unsigned long i)
{
	if (__builtin_expect(pause_after && i % pause_after == pause_after - 1, 0))
		rest();
	return sizes[i % SIZES];
}

static void run_empty(void)
{
	for (unsigned long i = 0; i < operations; i++) {
		__asm__ volatile("" : : "r"(next(i)));
		touch(&nothing);
	}
}

static void run_pair(void)
{
	for (unsigned long i = 0; i < operations; i++) {
		void *block = malloc(next(i));

		touch(block);
		free(block);
	}
}

static void run_calloc(void)
{
	for (unsigned long i = 0; i < operations; i++) {
		void *block = calloc(1, next(i));

		touch(block);
		free(block);
	}
}

static void run_usable(void)
{
	for (unsigned long i = 0; i < operations; i++) {
		char *block = malloc(next(i));

		touch(block + malloc_usable_size(block) - 1);
		free(block);
	}
}

static void run_realloc(void)
{
	void *blocks[64] = {0};

	for (unsigned long i = 0; i < operations; i++) {
		blocks[i % 64] = realloc(blocks[i % 64], next(i));
		touch(blocks[i % 64]);
	}
	for (unsigned i = 0; i < 64; i++)
		free(blocks[i]);
}

static void scatter(void)
{
	unsigned long every = live ? SCATTERED / live : SCATTERED + 1;

	for (unsigned long i = 0; i < SCATTERED; i++) {
		scattered[i] = __libc_malloc(sizes[i % SIZES]);
		if (i % every == every - 1)
			touch(malloc(sizes[i % SIZES]));
	}
}

static void run_scatter(void)
{
	uint64_t x = UINT64_C(88172645463325252);

	for (unsigned long i = 0; i < operations; i++) {
		void **block = &scattered[xorshift64(&x) % SCATTERED];

		free(*block);
		*block = __libc_malloc(next(i));
		touch(*block);
	}
}

static const struct mode {
	const char *name;
	void (*prepare)(void);
	void (*run)(void);
} modes[] = {
	{"empty", NULL, run_empty},
	{"pair", NULL, run_pair},
	{"calloc", NULL, run_calloc},
	{"realloc", NULL, run_realloc},
	{"usable", NULL, run_usable},
	{"scatter", scatter, run_scatter},
};

static __attribute__((noinline)) void descend(unsigned long left, void (*run)(void))
{
	if (left > 0)
		descend(left - 1, run);
	else
		run();
	__asm__ volatile(""); /* a frame each, not a jump */
}

static void *run_thread(void *mode)
{
	descend(depth, ((const struct mode *)mode)->run);
	return NULL;
}

static void run_threads(const struct mode *mode)
{
	pthread_t ids[MAX_THREADS];

	for (unsigned long i = 0; i < threads; i++)
		if (pthread_create(&ids[i], NULL, run_thread, (void *)mode) != 0)
			abort();
	for (unsigned long i = 0; i < threads; i++)
		pthread_join(ids[i], NULL);
}

static uint64_t now_ns(clockid_t clock)
{
	struct timespec now;

	clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

static void run(const struct mode *mode)
{
	if (mode->prepare)
		mode->prepare();
	uint64_t cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns(CLOCK_MONOTONIC);
	if (threads)
		run_threads(mode);
	else
		run_thread((void *)mode);
	cpu = now_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu, wall = now_ns(CLOCK_MONOTONIC) - wall;
	/* With an interval of one byte this block is sampled, and the agent adds up what it counts
	 * per thread. */
	free(malloc(4096));
	printf("%lu operations %lu cpu_ns %lu wall_ns\n", operations * (threads ? threads : 1),
		(unsigned long)cpu, (unsigned long)wall);
}

static void fill_sizes(unsigned long least, unsigned long most)
{
	uint64_t x = UINT64_C(88172645463325252);

	for (unsigned i = 0; i < SIZES; i++)
		sizes[i] = (uint32_t)(least + xorshift64(&x) % (most - least + 1));
}

static int usage(void)
{
	fputs("usage: hot_loop [-t THREADS] [-s MIN:MAX] [-l LIVE] [-p COUNT:US] [-w] MODE "
	      "OPERATIONS [DEPTH]\n",
		stderr);
	return 2;
}

/* Whether to wait at the end; -1: they cannot be understood. */
static int read_options(int argc, char **argv)
{
	unsigned long least = 16, most = 256;
	int wait = 0;

	for (int option; (option = getopt(argc, argv, "t:s:l:p:w")) != -1;) {
		if (option == 't')
			threads = strtoul(optarg, NULL, 10);
		else if (option == 's' && sscanf(optarg, "%lu:%lu", &least, &most) == 2)
			continue;
		else if (option == 'l')
			live = strtoul(optarg, NULL, 10);
		else if (option == 'p' && sscanf(optarg, "%lu:%lu", &pause_after, &pause_us) == 2)
			continue;
		else if (option == 'w')
			wait = 1;
		else
			return -1;
	}
	if (least == 0 || most < least || threads > MAX_THREADS || live > SCATTERED)
		return -1;
	fill_sizes(least, most);
	return wait;
}

int main(int argc, char **argv)
{
	int wait = read_options(argc, argv);

	if (wait < 0 || argc - optind < 2)
		return usage();
	operations = strtoul(argv[optind + 1], NULL, 10);
	depth = argc - optind > 2 ? strtoul(argv[optind + 2], NULL, 10) : 0;
	for (unsigned i = 0; i < sizeof modes / sizeof modes[0]; i++)
		if (strcmp(argv[optind], modes[i].name) == 0) {
			run(&modes[i]);
			fflush(stdout);
			while (wait && getchar() != EOF)
				;
			return 0;
		}
	return usage();
}
