/*
 * Threads that allocate and end: many at once, and many one after the other. Nothing of them may
 * stay behind in the agent: no ring, no scratch buffer, no memory. Prints TAP.
 *
 *   many_threads [LIVES]     threads one after the other
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "support/agent_view.h"
#include "support/tap_print.h"

enum { MOST = 512, ROUNDS = 40960, LIVES = 5000, SLACK_KIB = 4096 };

static void *(*volatile do_malloc)(size_t) = malloc;
static void (*volatile do_free)(void *) = free;

static pthread_barrier_t together;
static unsigned rounds;
static _Atomic bool draining;

static void *allocate(void *unused)
{
	void *held[8] = {0};

	pthread_barrier_wait(&together);
	for (unsigned i = 0; i < rounds; i++) {
		do_free(held[i % 8]);
		held[i % 8] = do_malloc(100 + i % 1000);
	}
	for (int i = 0; i < 8; i++)
		do_free(held[i]);
	return unused;
}

static void *drain(void *unused)
{
	while (atomic_load(&draining))
		agent_view_drain();
	return unused;
}

static bool run_at_once(unsigned count)
{
	static pthread_t threads[MOST];
	pthread_attr_t attributes;
	unsigned made = 0;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, 64 << 10);
	pthread_barrier_init(&together, NULL, count);
	while (made < count && pthread_create(&threads[made], &attributes, allocate, NULL) == 0)
		made++;
	if (made < count)
		_exit(99); /* the others wait for ever */
	for (unsigned i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&together);
	pthread_attr_destroy(&attributes);
	return true;
}

static void test_at_once(unsigned count)
{
	pthread_t drainer;
	char text[80];

	rounds = 0;
	run_at_once(count); /* what libc keeps with a stack is there now */
	int64_t live = agent_view_live();
	rounds = ROUNDS / count;
	atomic_store(&draining, true);
	pthread_create(&drainer, NULL, drain, NULL);
	int64_t with_drainer = agent_view_live();
	run_at_once(count);
	bool same = agent_view_live() == with_drainer;
	atomic_store(&draining, false);
	pthread_join(drainer, NULL);
	if (!same)
		printf("# %lld live, then %lld\n", (long long)live, (long long)agent_view_live());
	snprintf(text, sizeof text, "%u threads at once leave no sample and no ring behind", count);
	tap_print(same && agent_view_leases() == 0, text);
}

static long resident_kib(void)
{
	FILE *status = fopen("/proc/self/statm", "r");
	long pages = 0;

	if (status && fscanf(status, "%*s %ld", &pages) != 1)
		pages = 0;
	if (status)
		fclose(status);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

static void live_once(unsigned i)
{
	pthread_t thread;

	rounds = 4 + i % 8;
	if (pthread_create(&thread, NULL, allocate, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
	agent_view_drain();
}

static void test_lives(unsigned lives)
{
	pthread_barrier_init(&together, NULL, 1);
	for (unsigned i = 0; i < lives / 10; i++)
		live_once(i);
	long before = resident_kib();
	int64_t live = agent_view_live();
	for (unsigned i = 0; i < lives; i++)
		live_once(i);
	long after = resident_kib();
	printf("# %u threads one after the other: %ld KiB, then %ld\n", lives, before, after);
	tap_print(after - before < SLACK_KIB, "threads that come and go leave no memory behind");
	tap_print(agent_view_live() == live && agent_view_leases() == 0,
		"and no sample, and no ring");
}

int main(int argc, char **argv)
{
	agent_view_open();
	test_at_once(1);
	test_at_once(10);
	test_at_once(64);
	test_at_once(MOST);
	test_lives(argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : LIVES);
	/* Of 512 threads that want to sample at once, some must pass. */
	tap_print(agent_view_sampled(100000), "allocations were sampled");
	return tap_print_end();
}
