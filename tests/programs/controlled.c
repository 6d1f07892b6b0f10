/*
 * A program that controls its profiler. Prints TAP. With the word "alone" it expects no agent,
 * otherwise one that samples every 1 KiB without a ceiling.
 */
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include "spprof/spprof.h"

#define BLOCKS	   1000
#define BLOCK_SIZE 4000

static int tests, failed;

static void check(int ok, const char *what)
{
	printf("%s %d - %s\n", ok ? "ok" : "not ok", ++tests, what);
	failed += !ok;
}

static void *blocks[BLOCKS];

static void allocate(void)
{
	for (int i = 0; i < BLOCKS; i++)
		blocks[i] = malloc(BLOCK_SIZE);
}

static void release(void)
{
	for (int i = 0; i < BLOCKS; i++)
		free(blocks[i]);
}

static struct spprof_stats stats(void)
{
	struct spprof_stats now;

	spprof_stats(&now);
	return now;
}

static void without_an_agent(void)
{
	struct spprof_stats zeroed;

	memset(&zeroed, 0xff, sizeof zeroed);
	errno = 42;
	check(spprof_start() == SPPROF_ERROR_NOT_LOADED, "start says that there is no agent");
	check(spprof_stop() == SPPROF_ERROR_NOT_LOADED, "so does stop");
	check(spprof_shutdown() == SPPROF_ERROR_NOT_LOADED, "so does shutdown");
	check(spprof_set_interval(1) == SPPROF_ERROR_NOT_LOADED, "so does set_interval");
	check(spprof_stats(&zeroed) == SPPROF_ERROR_NOT_LOADED, "so does stats");
	check(spprof_mark(NULL) == 0 && spprof_mark("name") == 0, "and mark has no id to tell");
	check(zeroed.samples == 0 && zeroed.state == SPPROF_STATE_INERT, "and zeroes its result");
	check(errno == 42, "errno is left alone");
}

static void stop_and_start(void)
{
	allocate();
	struct spprof_stats before = stats();
	check(before.state == SPPROF_STATE_SAMPLING, "the agent samples");
	check(before.samples > BLOCKS / 2, "what was allocated was sampled");
	check(before.live_samples > BLOCKS / 2, "and lives");
	check(before.unique_stacks > 0 && before.map_slots > 0,
		"stacks are kept, the map has slots");

	check(spprof_stop() == SPPROF_OK && stats().state == SPPROF_STATE_STOPPED, "it stops");
	struct spprof_stats stopped = stats();
	void *unseen[BLOCKS];
	for (int i = 0; i < BLOCKS; i++)
		unseen[i] = malloc(BLOCK_SIZE);
	check(stats().samples == stopped.samples, "no new samples after stop");
	release();
	check(stats().live_samples < before.live_samples - BLOCKS / 2,
		"frees are tracked on: nothing leaks falsely");
	for (int i = 0; i < BLOCKS; i++)
		free(unseen[i]);

	check(spprof_start() == SPPROF_OK && spprof_start() == SPPROF_OK,
		"it starts again, twice is fine");
	allocate();
	check(stats().samples > stopped.samples + BLOCKS / 2, "and samples again");
	release();
}

static void mark_the_row(void)
{
	uint64_t before = spprof_mark(NULL), samples = stats().samples;

	check(before == samples + 1, "a mark is the id of the next sample");
	allocate();
	uint64_t after = spprof_mark("after");
	check(after - before == stats().samples - samples,
		"each sample between two marks has an id");
	release();
	check(spprof_mark("") == 0, "a mark's name is not empty");
	check(spprof_mark("forty bytes, which is one more than fits") == 0, "nor too long");
	check(spprof_mark("thirty-nine bytes, which is what it may") >= after,
		"but as long as it may be");
}

/* Comes into being before the interval changes and allocates little afterwards. */
static pthread_barrier_t changed;
static uint64_t samples_of_late_thread;

static void *late_thread(void *unused)
{
	(void)unused;
	free(malloc(1));
	pthread_barrier_wait(&changed);
	pthread_barrier_wait(&changed);
	uint64_t before = stats().samples;
	for (int i = 0; i < 3000; i++)
		free(malloc(BLOCK_SIZE)); /* 12 MB: a tick comes within 4 MiB */
	samples_of_late_thread = stats().samples - before;
	return NULL;
}

static void change_the_interval(void)
{
	pthread_t thread;

	check(spprof_set_interval(UINT64_C(1) << 41) == SPPROF_ERROR_INVALID,
		"an interval out of range is refused");
	check(spprof_set_interval(UINT64_C(1) << 40) == SPPROF_OK, "a large interval is taken");
	pthread_barrier_init(&changed, NULL, 2);
	pthread_create(&thread, NULL, late_thread, NULL);
	pthread_barrier_wait(&changed);
	uint64_t before = stats().samples;
	for (int i = 0; i < 100; i++)
		free(malloc(BLOCK_SIZE));
	check(stats().samples <= before + 1, "hardly anything is sampled under it");
	for (int i = 0; i < 2 * (4 << 20) / BLOCK_SIZE; i++)
		free(malloc(BLOCK_SIZE)); /* the next tick is up to 4 MiB away */
	check(spprof_set_interval(2048) == SPPROF_OK && stats().interval_bytes == 2048,
		"a small one is taken");
	before = stats().samples;
	for (int i = 0; i < 100; i++)
		free(malloc(BLOCK_SIZE));
	check(stats().samples > before + 50, "by this thread at once");
	spprof_stop();
	free(malloc(BLOCK_SIZE));
	spprof_start();
	before = stats().samples;
	for (int i = 0; i < 100; i++)
		free(malloc(BLOCK_SIZE));
	check(stats().samples > before + 50, "a start holds for this thread at once");
	pthread_barrier_wait(&changed);
	pthread_join(thread, NULL);
	check(samples_of_late_thread > 1000,
		"a thread that drew its point under the large one hears of it");
	check(spprof_set_interval(0) == SPPROF_OK && stats().interval_bytes == 1024,
		"0 is what the program was started with");
}

static void fork_and_shut_down(void)
{
	fflush(stdout);
	pid_t child = fork();

	if (child == 0) {
		int own = spprof_mark("the child's") != 0 && stats().state == SPPROF_STATE_SAMPLING;

		allocate();
		struct spprof_stats now = stats();
		int fine = now.state == SPPROF_STATE_SAMPLING && now.samples > BLOCKS / 2;

		spprof_shutdown();
		_exit(own && fine && stats().state == SPPROF_STATE_SHUT_DOWN ? 0 : 1);
	}
	int status = -1;
	waitpid(child, &status, 0);
	check(status == 0, "a forked child marks its own row, samples, and shuts itself down");
	check(stats().state == SPPROF_STATE_SAMPLING, "which its parent does not notice");

	allocate();
	uint64_t live = stats().live_samples;
	check(spprof_shutdown() == SPPROF_OK && stats().state == SPPROF_STATE_SHUT_DOWN,
		"it shuts down");
	uint64_t samples = stats().samples;
	check(spprof_start() == SPPROF_ERROR_SHUT_DOWN, "start after shutdown fails");
	check(spprof_stop() == SPPROF_ERROR_SHUT_DOWN, "and so does stop");
	check(spprof_shutdown() == SPPROF_OK, "shutdown may be repeated");
	release();
	allocate();
	check(stats().samples == samples, "no new samples");
	check(stats().live_samples < live - BLOCKS / 2, "frees are tracked on");
	release();
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "alone") == 0) {
		without_an_agent();
	} else {
		errno = 42;
		mark_the_row();
		stop_and_start();
		check(errno == 42, "errno is left alone");
		change_the_interval();
		fork_and_shut_down();
	}
	printf("1..%d\n", tests);
	return failed != 0;
}
