/*
 * Setting up, in an order in which each step may fail without undoing: next allocator (the one
 * thing the program cannot do without), settings, memory for the heap map, the fork word, the
 * segment, attach. It may happen inside any malloc of an early constructor, whatever locks of libc
 * its caller holds: nothing here may take one that is not recursive.
 */
#define _GNU_SOURCE
#include "lifecycle.h"
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <time.h>
#include "attach.h"
#include "fork_word.h"
#include "platform/linux/next_allocator.h"
#include "platform/linux/raw_syscall.h"
#include "private_memory.h"
#include "sampler.h"
#include "settings.h"
#include "thread_state.h"
#include "unwind/walk.h"

#define RING_SIZE (64u << 10)
#define MIN_RINGS 4u

struct lifecycle lifecycle;

/* The coarse clock: a load from the vdso's page whatever the clock source. The exact one is a
 * system call on some machines, and a fault where the program forbids itself the time stamp counter
 * (prctl(PR_SET_TSC), strict seccomp). */
uint64_t lifecycle_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

/* A sixteenth of what the program may map in all: the rest is for what it does itself. */
static uint64_t mapping_share(void)
{
	static const int resources[] = {RLIMIT_AS, RLIMIT_DATA};
	uint64_t least = UINT64_MAX;

	for (unsigned i = 0; i < sizeof resources / sizeof resources[0]; i++) {
		struct rlimit limit;

		if (raw_syscall4(SYS_prlimit64, 0, resources[i], 0, &limit) == 0 &&
			limit.rlim_cur / 16 < least)
			least = limit.rlim_cur / 16;
	}
	return least;
}

/* Half of the allowance goes to the map; rings, filter, scratch and rule cache are of fixed size.
 */
static bool make_map(const struct settings *settings)
{
	uint64_t share = mapping_share();
	size_t size = settings->memory_bytes / 2 < share ? settings->memory_bytes / 2 : share;
	void *memory = private_memory_map(size);

	return memory && heap_map_init(&lifecycle.map, memory, size) == 0;
}

static uint32_t usable_cores(void)
{
	unsigned long mask[1024 / (8 * sizeof(unsigned long))] = {0};
	uint32_t cores = 0;

	long bytes = raw_syscall3(SYS_sched_getaffinity, 0, sizeof mask, mask);
	for (long i = 0; i < bytes / (long)sizeof mask[0]; i++)
		for (unsigned long bits = mask[i]; bits; bits &= bits - 1)
			cores++;
	return cores;
}

static uint32_t ring_count(void)
{
	uint32_t wanted = 2 * usable_cores();

	if (wanted < MIN_RINGS)
		return MIN_RINGS;
	return wanted < WIRE_MAX_RINGS ? wanted : WIRE_MAX_RINGS;
}

/* Nobody needs to be unable to guess it; siblings need to differ. */
static uint64_t entropy(uint64_t now_ns)
{
	const uint64_t *random = (const uint64_t *)getauxval(AT_RANDOM);
	uint64_t seed = now_ns ^ (uint64_t)raw_syscall0(SYS_getpid) << 40;

	return random ? seed ^ random[0] ^ random[1] : seed;
}

static void start_sampler(const struct settings *settings, uint64_t now_ns)
{
	struct sampler_settings sampler = {
		.interval_bytes = settings->interval_bytes,
		.ceiling = settings->ceiling,
		.seed = settings->has_seed ? settings->seed : entropy(now_ns),
	};

	sampler_init(&sampler);
}

static enum lifecycle_state set_up(void)
{
	struct settings settings;
	uint64_t now_ns = lifecycle_now_ns();

	segment_init_private(&lifecycle.segment);
	next_allocator_find();
	thread_state_init();
	settings_read(&settings);
	if (settings.disabled || !next_allocator_agent_is_preloaded())
		return LIFECYCLE_INERT;
	walk_init();
	start_sampler(&settings, now_ns);
	if (!make_map(&settings) || fork_word_make() != 0)
		return LIFECYCLE_INERT;
	if (segment_create(&lifecycle.segment, ring_count(), RING_SIZE, settings.interval_bytes,
		    now_ns) != 0)
		return LIFECYCLE_INERT;
	segment_store_maps(&lifecycle.segment);
	attach_to_daemon(&lifecycle.segment, settings.socket_dir);
	segment_yield_fd(&lifecycle.segment);
	return LIFECYCLE_SAMPLING;
}

enum lifecycle_state lifecycle_enter(void)
{
	/* [LIFE-1] acquire: what was set up; pairs with the release below. */
	uint32_t state = atomic_load_explicit(&lifecycle.state, memory_order_acquire);

	if (state != LIFECYCLE_NEW)
		return state;
	/* relaxed: whoever loses does nothing but pass through. */
	if (!atomic_compare_exchange_strong_explicit(&lifecycle.state, &state, LIFECYCLE_STARTING,
		    memory_order_relaxed, memory_order_relaxed))
		return LIFECYCLE_STARTING;
	int kept = errno; /* dlsym and its allocations may fail */
	state = set_up();
	errno = kept;
	/* [LIFE-1] release: pairs with the acquire above. */
	atomic_store_explicit(&lifecycle.state, state, memory_order_release);
	return state;
}

__attribute__((constructor(101))) static void lifecycle_load(void)
{
	lifecycle_enter();
	/* The program's first dlerror() must not report our misses. Not while setting up: that may
	 * happen in a malloc of newlocale() or setlocale(), and dlerror() translates its message
	 * under the lock that they hold. */
	dlerror();
}
