/*
 * A preload that counts exactly what a program holds: the truth that estimates are compared with.
 * It knows nothing of the agent's code and stands in front of it or behind it (LD_PRELOAD="agent.so
 * count.so": the agent's next allocator is this one). Programs that call operator new of an
 * allocator with its own (not libstdc++'s) are not counted fully.
 *
 * Sizes lie in a table of their own, since headers would change every address and alignment:
 * buckets of a chained hash, each with a spin lock and its own list of free nodes. Nodes come from
 * memory mapped once. The address is removed before the block is really freed and added before the
 * program gets it, so no two threads ever handle one address.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "programs/count_preload.h"

#define EXPORT	  __attribute__((visibility("default")))
#define BUCKETS	  (UINT64_C(1) << 20)
#define NODES	  (UINT64_C(1) << 25)
#define BOOTSTRAP 8192
#define NOT_FOUND SIZE_MAX

struct node {
	uintptr_t address;
	size_t size;
	uint32_t next; /* index, 0: none */
};

struct bucket {
	_Atomic uint32_t lock;
	uint32_t used, unused; /* lists of nodes */
};

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	int (*posix_memalign)(void **, size_t, size_t);
	void *(*aligned_alloc)(size_t, size_t);
	void *(*memalign)(size_t, size_t);
	void *(*valloc)(size_t);
	void *(*pvalloc)(size_t);
} next;

static struct bucket *buckets;
static struct node *nodes;
static _Atomic uint64_t last_node;
static struct count_totals nowhere;
static struct count_totals *totals = &nowhere;
static bool ready;

static char bootstrap[BOOTSTRAP] __attribute__((aligned(16)));
static size_t bootstrap_used;

/* For what dlsym itself may ask for while we look for the real functions; one thread only by then.
 */
static void *bootstrap_alloc(size_t size)
{
	size_t begin = (bootstrap_used + 15) & ~(size_t)15;

	if (size > BOOTSTRAP - begin)
		return NULL;
	bootstrap_used = begin + size;
	return bootstrap + begin;
}

static bool is_bootstrap(const void *p)
{
	return (uintptr_t)p - (uintptr_t)bootstrap < BOOTSTRAP;
}

static void *map_zeroed(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

/* A forked child has the parent's blocks and the parent's file: it goes on without counting. */
static void stop_in_child(void)
{
	totals = &nowhere;
}

static void open_totals(void)
{
	const char *name = getenv("COUNT_FILE");
	int fd = name ? open(name, O_RDWR | O_CLOEXEC) : -1;

	if (fd < 0)
		return;
	void *file =
		mmap(NULL, sizeof(struct count_totals), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (file == MAP_FAILED)
		return;
	totals = file;
	totals->pid = (uint64_t)getpid();
	totals->magic = COUNT_MAGIC;
	/* One program is meant, not what it starts. */
	unsetenv("COUNT_FILE");
	pthread_atfork(NULL, NULL, stop_in_child);
}

static void find(void *function, const char *name)
{
	void *symbol = dlsym(RTLD_NEXT, name);

	memcpy(function, &symbol, sizeof symbol);
}

static void set_up(void)
{
	static bool busy;

	if (ready || busy)
		return;
	busy = true;
	find(&next.malloc, "malloc");
	find(&next.calloc, "calloc");
	find(&next.realloc, "realloc");
	find(&next.posix_memalign, "posix_memalign");
	find(&next.aligned_alloc, "aligned_alloc");
	find(&next.memalign, "memalign");
	find(&next.valloc, "valloc");
	find(&next.pvalloc, "pvalloc");
	find(&next.free, "free");
	buckets = map_zeroed(BUCKETS * sizeof *buckets);
	nodes = map_zeroed(NODES * sizeof *nodes);
	ready = true;
}

/* The file comes with the environment, which is there for constructors, not for the first malloc.
 */
__attribute__((constructor(101))) static void begin(void)
{
	set_up();
	open_totals();
}

static struct bucket *lock_bucket(uintptr_t address)
{
	uint64_t hash = (uint64_t)address * UINT64_C(0x9e3779b97f4a7c15);
	struct bucket *bucket = &buckets[hash >> 44];

	while (atomic_exchange_explicit(&bucket->lock, 1, memory_order_acquire))
		sched_yield();
	return bucket;
}

static void unlock_bucket(struct bucket *bucket)
{
	atomic_store_explicit(&bucket->lock, 0, memory_order_release);
}

static uint32_t new_node(struct bucket *bucket)
{
	uint32_t index = bucket->unused;

	if (index) {
		bucket->unused = nodes[index].next;
		return index;
	}
	uint64_t fresh = atomic_fetch_add_explicit(&last_node, 1, memory_order_relaxed) + 1;
	return fresh < NODES ? (uint32_t)fresh : 0;
}

static void count(_Atomic uint64_t *counter, uint64_t by)
{
	atomic_fetch_add_explicit(counter, by, memory_order_relaxed);
}

static void remember(void *block, size_t size, bool again)
{
	if (!block)
		return;
	struct bucket *bucket = lock_bucket((uintptr_t)block);
	uint32_t index = new_node(bucket);
	if (index) {
		nodes[index] = (struct node){(uintptr_t)block, size, bucket->used};
		bucket->used = index;
	}
	unlock_bucket(bucket);
	if (!index) {
		count(&totals->not_counted, 1);
		return;
	}
	count(&totals->live_bytes, size);
	count(&totals->live_blocks, 1);
	if (!again) {
		count(&totals->total_bytes, size);
		count(&totals->total_blocks, 1);
	}
}

static size_t forget(void *block)
{
	size_t size = NOT_FOUND;
	struct bucket *bucket = lock_bucket((uintptr_t)block);

	for (uint32_t *link = &bucket->used; *link; link = &nodes[*link].next) {
		uint32_t index = *link;

		if (nodes[index].address != (uintptr_t)block)
			continue;
		size = nodes[index].size;
		*link = nodes[index].next;
		nodes[index].next = bucket->unused;
		bucket->unused = index;
		break;
	}
	unlock_bucket(bucket);
	if (size == NOT_FOUND) {
		count(&totals->unknown_frees, 1);
	} else {
		count(&totals->live_bytes, -(uint64_t)size);
		count(&totals->live_blocks, -(uint64_t)1);
	}
	return size;
}

EXPORT void *malloc(size_t size)
{
	set_up();
	if (!ready)
		return bootstrap_alloc(size);
	void *block = next.malloc(size);
	remember(block, size, false);
	return block;
}

EXPORT void *calloc(size_t count_of, size_t size)
{
	size_t bytes;

	set_up();
	if (__builtin_mul_overflow(count_of, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	if (!ready)
		return bootstrap_alloc(bytes);
	void *block = next.calloc(count_of, size);
	remember(block, bytes, false);
	return block;
}

EXPORT void free(void *block)
{
	if (!block || is_bootstrap(block))
		return;
	set_up();
	int error = errno;
	forget(block);
	next.free(block);
	errno = error;
}

static void *leave_bootstrap(void *block, size_t size)
{
	void *copy = malloc(size);
	size_t rest = (size_t)(bootstrap + BOOTSTRAP - (char *)block);

	if (copy)
		memcpy(copy, block, size < rest ? size : rest);
	return copy;
}

EXPORT void *realloc(void *block, size_t size)
{
	if (!block)
		return malloc(size);
	if (is_bootstrap(block))
		return leave_bootstrap(block, size);
	size_t old = forget(block);
	void *moved = next.realloc(block, size);
	if (moved)
		remember(moved, size, false);
	else if (size != 0 && old != NOT_FOUND)
		remember(block, old, true);
	return moved;
}

EXPORT void *reallocarray(void *block, size_t count_of, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(count_of, size, &bytes)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(block, bytes);
}

EXPORT int posix_memalign(void **out, size_t alignment, size_t size)
{
	set_up();
	int error = next.posix_memalign(out, alignment, size);
	if (error == 0)
		remember(*out, size, false);
	return error;
}

EXPORT void *aligned_alloc(size_t alignment, size_t size)
{
	set_up();
	void *block = next.aligned_alloc(alignment, size);
	remember(block, size, false);
	return block;
}

EXPORT void *memalign(size_t alignment, size_t size)
{
	set_up();
	void *block = next.memalign(alignment, size);
	remember(block, size, false);
	return block;
}

EXPORT void *valloc(size_t size)
{
	set_up();
	void *block = next.valloc(size);
	remember(block, size, false);
	return block;
}

EXPORT void *pvalloc(size_t size)
{
	set_up();
	void *block = next.pvalloc(size);
	remember(block, size, false);
	return block;
}
