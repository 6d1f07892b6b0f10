/*
 * A program that does what it is told, line by line on its standard input, and says after each line how many bytes
 * of its own blocks are live:
 *
 *   keep COUNT SIZE    blocks that stay, made by keep_block()
 *   drop COUNT         frees the oldest of these
 *   churn COUNT SIZE   makes and frees blocks, by churn_block()
 *   resize COUNT SIZE  reallocates the oldest of the kept ones
 *   tree DEPTH         forks a child that keeps and drops a few, forks the next one, and so on; each says
 *                      "child PID BYTES" and waits until the standard input ends. SIGUSR1 has any of them allocate
 *                      a bit and free it: who sleeps tells nothing
 *   mark NAME          a border in the row of its samples (spprof.h)
 *   idle               never answers: sleeps for good
 *
 * With -t N all of this happens in N threads at once, each with blocks of its own. With -s FILE the bytes of each
 * thread's live blocks are in FILE, too, as 64-bit numbers, for whoever kills it in the middle.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <spprof/spprof.h>

#define MAX_BLOCKS  (1u << 20)
#define MAX_THREADS 64

struct heap {
	void **blocks; /* a queue: first … last - 1, modulo MAX_BLOCKS */
	size_t *sizes;
	unsigned first, last;
	volatile uint64_t *bytes;
};

static uint64_t own_bytes[MAX_THREADS];
static struct heap heaps[MAX_THREADS];
static unsigned threads = 1;
static char command[16], name[40];
static unsigned long count, size;
static pthread_barrier_t begin, end;

static __attribute__((noinline)) void *keep_block(size_t bytes)
{
	void *block = malloc(bytes);

	__asm__ volatile("" : : "r"(block) : "memory");
	return block;
}

static __attribute__((noinline)) void *churn_block(size_t bytes)
{
	void *block = malloc(bytes);

	__asm__ volatile("" : : "r"(block) : "memory");
	return block;
}

static void keep(struct heap *heap, unsigned long blocks, size_t bytes)
{
	for (; blocks > 0 && heap->last - heap->first < MAX_BLOCKS; blocks--) {
		unsigned at = heap->last++ % MAX_BLOCKS;

		heap->blocks[at] = keep_block(bytes);
		heap->sizes[at] = bytes;
		*heap->bytes += bytes;
	}
}

static void drop(struct heap *heap, unsigned long blocks)
{
	for (; blocks > 0 && heap->first != heap->last; blocks--) {
		unsigned at = heap->first++ % MAX_BLOCKS;

		free(heap->blocks[at]);
		*heap->bytes -= heap->sizes[at];
	}
}

static void resize(struct heap *heap, unsigned long blocks, size_t bytes)
{
	for (unsigned i = heap->first; blocks > 0 && i != heap->last; i++, blocks--) {
		unsigned at = i % MAX_BLOCKS;

		heap->blocks[at] = realloc(heap->blocks[at], bytes);
		*heap->bytes += bytes - heap->sizes[at];
		heap->sizes[at] = bytes;
	}
}

static void obey(struct heap *heap)
{
	if (strcmp(command, "keep") == 0)
		keep(heap, count, size);
	else if (strcmp(command, "drop") == 0)
		drop(heap, count);
	else if (strcmp(command, "resize") == 0)
		resize(heap, count, size);
	else if (strcmp(command, "churn") == 0)
		for (unsigned long i = 0; i < count; i++)
			free(churn_block(size));
}

static void *thread_main(void *heap)
{
	for (;;) {
		pthread_barrier_wait(&begin);
		obey(heap);
		pthread_barrier_wait(&end);
	}
	return NULL;
}

static void say(const char *word, long pid)
{
	uint64_t bytes = 0;
	char line[64];

	for (unsigned i = 0; i < threads; i++)
		bytes += *heaps[i].bytes;
	/* Without stdio: its buffer would be one more block. */
	int length =
		pid ? snprintf(line, sizeof line, "%s %ld %llu\n", word, pid,
			      (unsigned long long)bytes)
		    : snprintf(line, sizeof line, "%s %llu\n", word, (unsigned long long)bytes);
	if (write(1, line, (size_t)length) != length)
		_exit(2);
}

static void wait_for_the_end(void)
{
	char bytes[64];

	while (read(0, bytes, sizeof bytes) > 0)
		;
	_exit(0);
}

/* All of its own are in a read meanwhile. */
static void wake(int signal)
{
	(void)signal;
	for (int i = 0; i < 100; i++)
		free(churn_block(4096));
}

static void tree(unsigned long depth)
{
	sigaction(SIGUSR1, &(struct sigaction){.sa_handler = wake, .sa_flags = SA_RESTART}, NULL);
	for (unsigned long level = 1; level <= depth; level++) {
		pid_t child = fork();

		if (child < 0)
			_exit(3);
		if (child > 0) {
			if (level > 1)
				wait_for_the_end();
			return;
		}
		drop(&heaps[0], 100);
		keep(&heaps[0], 50 * level, 3000);
		/* Enough for a fork's child to be seen, whatever the interval. */
		wake(0);
		say("child", (long)getpid());
	}
	if (depth > 0)
		wait_for_the_end();
}

static int read_line(char *line, size_t room)
{
	size_t length = 0;

	for (char c; length + 1 < room && read(0, &c, 1) == 1 && c != '\n';)
		line[length++] = c;
	line[length] = '\0';
	return length > 0;
}

static volatile uint64_t *share(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof own_bytes) != 0)
		_exit(5);
	void *shared = mmap(NULL, sizeof own_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (shared == MAP_FAILED)
		_exit(5);
	return shared;
}

static void start_threads(volatile uint64_t *bytes)
{
	pthread_barrier_init(&begin, NULL, threads);
	pthread_barrier_init(&end, NULL, threads);
	for (unsigned i = 0; i < threads; i++) {
		heaps[i].blocks = malloc(MAX_BLOCKS * sizeof *heaps[i].blocks);
		heaps[i].bytes = &bytes[i];
		heaps[i].sizes = malloc(MAX_BLOCKS * sizeof *heaps[i].sizes);
	}
	for (unsigned i = 1; i < threads; i++) {
		pthread_t thread;

		if (pthread_create(&thread, NULL, thread_main, &heaps[i]) != 0)
			_exit(4);
	}
}

int main(int argc, char **argv)
{
	volatile uint64_t *bytes = own_bytes;
	char line[128];

	for (int option; (option = getopt(argc, argv, "s:t:")) != -1;) {
		if (option == 's')
			bytes = share(optarg);
		else if (option == 't')
			threads = (unsigned)atoi(optarg);
		else
			return 2;
	}
	if (threads < 1 || threads > MAX_THREADS)
		return 2;
	start_threads(bytes);
	say("ready", 0);
	while (read_line(line, sizeof line)) {
		count = size = 0;
		if (sscanf(line, "%15s %lu %lu", command, &count, &size) < 1)
			continue;
		if (strcmp(command, "mark") == 0 && sscanf(line, "mark %39s", name) == 1)
			spprof_mark(name);
		if (strcmp(command, "idle") == 0)
			for (;;)
				pause();
		if (strcmp(command, "tree") == 0) {
			tree(count);
		} else {
			pthread_barrier_wait(&begin);
			obey(&heaps[0]);
			pthread_barrier_wait(&end);
		}
		say("done", 0);
	}
	return 0;
}
