/*
 * A program that knows what it holds: 64 allocation sites in functions of their own, sizes from 1
 * byte to 8 MiB, four worker threads and 2,000 threads that allocate once, recursion, every entry
 * point of C, frees in other threads. It prints the truth per site as JSON, with the sampling
 * variance that the rule of docs/sampling.md gives for interval T, and then waits for a line on
 * stdin while the test takes its snapshot.
 *
 * usage: ground_truth T [SEED]       T as given to the agent in SPPROF_RATE, in bytes
 *
 * With a fixed SPPROF_SEED the samples are the same in every run: the threads' first allocations
 * come in a fixed order, and after that each thread's samples depend on its own allocations alone.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifdef __clang__
#define NOINLINE __attribute__((noinline))
#else
#define NOINLINE __attribute__((noinline, noclone, noipa))
#endif
#define SITES	     64
#define WORKERS	     4
#define ONCE_THREADS 2000
#define ONCE_SIZE    1500
#define PACE_BYTES   (UINT64_C(1) << 20)
#define PACE_NS	     10000000

enum call { MALLOC, CALLOC, REALLOC, REALLOCARRAY, POSIX_MEMALIGN, ALIGNED_ALLOC, MEMALIGN, CALLS };

/* The optimizer may neither see through nor drop a frame whose function ends with this. */
static void *keep(void *block)
{
	__asm__ volatile("" : "+r"(block) : : "memory");
	return block;
}

static inline __attribute__((always_inline)) void *allocate(enum call call, size_t size)
{
	void *block = NULL;

	switch (call) {
	case CALLOC:
		return calloc(1, size);
	case REALLOC:
		return realloc(NULL, size);
	case REALLOCARRAY:
		return reallocarray(NULL, size, 1);
	case POSIX_MEMALIGN:
		return posix_memalign(&block, 64, size) == 0 ? block : NULL;
	case ALIGNED_ALLOC:
		return aligned_alloc(16, size);
	case MEMALIGN:
		return memalign(32, size);
	default:
		return malloc(size);
	}
}

/* site_NN calls itself `depth` times before it allocates. */
#define SITE(n)                                                                                    \
	NOINLINE void *site_##n(size_t size, unsigned depth);                                      \
	NOINLINE void *site_##n(size_t size, unsigned depth)                                       \
	{                                                                                          \
		if (depth > 0)                                                                     \
			return keep(site_##n(size, depth - 1));                                    \
		return keep(allocate(n % CALLS, size));                                            \
	}
#define SITES_OF_TEN(X, t)                                                                         \
	X(t##0) X(t##1) X(t##2) X(t##3) X(t##4) X(t##5) X(t##6) X(t##7) X(t##8) X(t##9)
#define ALL_SITES(X)                                                                               \
	SITES_OF_TEN(X, 1)                                                                         \
	SITES_OF_TEN(X, 2)                                                                         \
	SITES_OF_TEN(X, 3)                                                                         \
	SITES_OF_TEN(X, 4)                                                                         \
	SITES_OF_TEN(X, 5)                                                                         \
	SITES_OF_TEN(X, 6)                                                                         \
	X(70) X(71) X(72) X(73)
ALL_SITES(SITE)

typedef void *(*site_function)(size_t size, unsigned depth);
#define ENTRY(n) {site_##n, "site_" #n},
static const struct {
	site_function function;
	const char *name;
} sites[SITES] = {ALL_SITES(ENTRY)};

NOINLINE void *site_once(size_t size);
NOINLINE void *site_once(size_t size)
{
	return keep(malloc(size));
}

/* What a site allocates: sizes between the two, spread evenly on a logarithmic scale; half of it is
 * freed. */
struct plan {
	double low, high;
	double expected; /* samples among its live blocks, about */
	unsigned depth;
};

struct truth {
	uint64_t live_bytes, live_blocks, total_bytes, total_blocks;
	/* sums over blocks of p, of s^2 (1-p)/p and of (1-p)/p; [0] live, [1] cumulative */
	double expected[2], bytes_variance[2], blocks_variance[2];
};

struct block {
	struct block *next;
	void *memory;
};

struct worker {
	pthread_t thread;
	unsigned index;
	uint64_t random;
	uint64_t since_pause;
	struct block *to_free; /* freed by the next worker */
	struct truth truth[SITES];
};

static double interval;
static struct plan plans[SITES];
static struct worker workers[WORKERS];
static pthread_barrier_t started, begun, allocated, freed;
static struct truth once_truth;

static const double sizes[][2] = {{1, 1}, {1, 16}, {16, 64}, {32, 512}, {256, 4096}, {1024, 65536},
	{16384, 262144}, {65536, 8388608}};
static const double expected_samples[] = {1, 3, 10, 30, 45, 60, 90, 120};

static void make_plans(void)
{
	for (unsigned i = 0; i < SITES; i++) {
		struct plan *plan = &plans[i];
		unsigned size = i % 8;

		plan->low = sizes[size][0];
		plan->high = sizes[size][1];
		plan->expected = expected_samples[i / 8];
		/* One byte at a time a site is expensive to fill, and eight megabytes are enough
		 * once. */
		if (size == 0 && plan->expected > 3)
			plan->expected = 3;
		if (size == 7 && plan->expected > 10)
			plan->expected = 10;
		plan->depth = i % 5 == 4 ? 1 + i % 23 : 0;
	}
}

/* xorshift64* (Vigna 2016); the program's own, so that its sizes do not depend on libc's. */
static uint64_t next_random(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return *state * UINT64_C(0x2545f4914f6cdd1d);
}

static double uniform(uint64_t *state)
{
	return (double)(next_random(state) >> 11) * 0x1p-53;
}

static size_t draw_size(const struct plan *plan, uint64_t *state)
{
	return (size_t)(plan->low * pow(plan->high / plan->low, uniform(state)));
}

static double probability(double size)
{
	return -expm1(-size / interval);
}

static void add_block(struct truth *truth, size_t size, bool live)
{
	double p = probability((double)size), odds = (1 - p) / p;

	truth->total_bytes += size;
	truth->total_blocks++;
	for (int kind = live ? 0 : 1; kind < 2; kind++) {
		truth->expected[kind] += p;
		truth->bytes_variance[kind] += (double)size * (double)size * odds;
		truth->blocks_variance[kind] += odds;
	}
	if (live) {
		truth->live_bytes += size;
		truth->live_blocks++;
	}
}

static void merge(struct truth *into, const struct truth *from)
{
	into->live_bytes += from->live_bytes;
	into->live_blocks += from->live_blocks;
	into->total_bytes += from->total_bytes;
	into->total_blocks += from->total_blocks;
	for (int kind = 0; kind < 2; kind++) {
		into->expected[kind] += from->expected[kind];
		into->bytes_variance[kind] += from->bytes_variance[kind];
		into->blocks_variance[kind] += from->blocks_variance[kind];
	}
}

/* No faster than a daemon on a busy machine drains: a lost record would spoil the run, not test it.
 */
static void pace(struct worker *worker, size_t size)
{
	/* A large block is one sample at most. */
	worker->since_pause += size < interval ? size : (uint64_t)interval;
	if (worker->since_pause >= PACE_BYTES) {
		worker->since_pause = 0;
		nanosleep(&(struct timespec){.tv_nsec = PACE_NS}, NULL);
	}
}

/* The list of what another thread shall free lies in memory of its own, mapped by one large
 * allocation each. */
struct pool {
	struct block *blocks;
	size_t used, size;
};

static void hand_over(struct worker *worker, struct pool *pool, void *memory)
{
	if (pool->used == pool->size) {
		pool->size = 1 << 16;
		pool->used = 0;
		pool->blocks = calloc(pool->size, sizeof *pool->blocks);
		if (!pool->blocks)
			abort();
	}
	struct block *block = &pool->blocks[pool->used++];
	*block = (struct block){worker->to_free, memory};
	worker->to_free = block;
}

static void fill_site(struct worker *worker, unsigned site, struct pool *pool)
{
	const struct plan *plan = &plans[site];
	double expected = 0, share = plan->expected / WORKERS;
	bool live = (worker->index + site) % 2;

	/* Live and short-lived blocks by turns, until the live ones are expected to hold their
	 * samples. */
	while (expected < share) {
		size_t size = draw_size(plan, &worker->random);
		void *memory = sites[site].function(size, plan->depth);

		if (!memory)
			abort();
		*(volatile char *)memory = 1;
		add_block(&worker->truth[site], size, live);
		if (live)
			expected += probability((double)size);
		else
			hand_over(worker, pool, memory);
		pace(worker, size);
		live = !live;
	}
}

static void *work(void *argument)
{
	struct worker *worker = argument;
	struct pool pool = {0};

	for (unsigned site = 0; site < SITES; site++)
		fill_site(worker, (site + worker->index * (SITES / WORKERS)) % SITES, &pool);
	pthread_barrier_wait(&allocated);
	for (struct block *b = workers[(worker->index + 1) % WORKERS].to_free; b; b = b->next)
		free(b->memory);
	pthread_barrier_wait(&freed);
	return NULL;
}

/* Takes its place in the order of threads by a first allocation, and works once all have. */
static void *start(void *argument)
{
	struct worker *worker = argument;

	free(keep(malloc(1)));
	pthread_barrier_wait(&started);
	pthread_barrier_wait(&begun);
	return work(worker);
}

static void start_workers(uint64_t seed)
{
	pthread_barrier_init(&started, NULL, 2);
	pthread_barrier_init(&begun, NULL, WORKERS);
	pthread_barrier_init(&allocated, NULL, WORKERS);
	pthread_barrier_init(&freed, NULL, WORKERS);
	for (unsigned i = 0; i < WORKERS; i++) {
		workers[i].index = i;
		workers[i].random = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15) + i;
		if (pthread_create(&workers[i].thread, NULL, start, &workers[i]) != 0)
			abort();
		pthread_barrier_wait(&started);
	}
	for (unsigned i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
}

static void *allocate_once(void *argument)
{
	(void)argument;
	return site_once(ONCE_SIZE);
}

static void run_once_threads(void)
{
	for (unsigned i = 0; i < ONCE_THREADS; i++) {
		pthread_t thread;
		void *memory;

		if (pthread_create(&thread, NULL, allocate_once, NULL) != 0 ||
			pthread_join(thread, &memory) != 0)
			abort();
		add_block(&once_truth, ONCE_SIZE, true);
		if (i % 50 == 49)
			nanosleep(&(struct timespec){.tv_nsec = PACE_NS}, NULL);
	}
}

static void print_site(const char *name, const struct truth *truth, bool last)
{
	printf("  \"%s\": {\"live_bytes\": %llu, \"live_blocks\": %llu, \"total_bytes\": %llu, "
	       "\"total_blocks\": %llu,\n",
		name, (unsigned long long)truth->live_bytes, (unsigned long long)truth->live_blocks,
		(unsigned long long)truth->total_bytes, (unsigned long long)truth->total_blocks);
	for (int kind = 0; kind < 2; kind++) {
		const char *of = kind == 0 ? "live" : "total";

		printf("    \"%s_expected\": %.9g, \"%s_bytes_variance\": %.9g, "
		       "\"%s_blocks_variance\": %.9g%s\n",
			of, truth->expected[kind], of, truth->bytes_variance[kind], of,
			truth->blocks_variance[kind],
			kind == 0 ? ","
			: last	  ? "}"
				  : "},");
	}
}

static void print_truth(void)
{
	printf("{\"interval_bytes\": %.0f, \"sites\": {\n", interval);
	for (unsigned site = 0; site < SITES; site++) {
		struct truth sum = {0};

		for (unsigned i = 0; i < WORKERS; i++)
			merge(&sum, &workers[i].truth[site]);
		print_site(sites[site].name, &sum, false);
	}
	print_site("site_once", &once_truth, true);
	printf("}}\n");
	fflush(stdout);
}

int main(int argc, char **argv)
{
	if (argc < 2 || (interval = atof(argv[1])) < 1) {
		fprintf(stderr, "usage: %s T [SEED]\n", argv[0]);
		return 2;
	}
	make_plans();
	start_workers(argc > 2 ? strtoull(argv[2], NULL, 0) : 0);
	run_once_threads();
	print_truth();
	(void)!getchar();
	return 0;
}
