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
#include <string.h>
#include <sys/auxv.h>
#include <sys/resource.h>
#include <time.h>
#include "attach.h"
#include "audit.h"
#include "bloom_filter.h"
#include "fork_word.h"
#include "platform/linux/interpose_new.h"
#include "platform/linux/next_allocator.h"
#include "platform/linux/raw_syscall.h"
#include "platform/linux/seccomp_state.h"
#include "private_memory.h"
#include "python/allocators.h"
#include "python/codes.h"
#include "python/runtime.h"
#include "sampler.h"
#include "settings.h"
#include "thread_state.h"
#include "unwind/walk.h"

#define RING_SIZE (64u << 10)
#define MIN_RINGS 4u

/* A child that is made soon after its start is a worker or about to exec; the latter should cost
 * nothing. */
#define CHILD_TICK (UINT64_C(64) << 10)
/* A child's segment must not overwrite its parent's, which an interrupted hook may be looking at;
 * one of eight forks ago is looked at by nobody. */
#define SEGMENTS 8

struct lifecycle lifecycle;

/* What a child needs again. Written once, while setting up. */
static struct {
	struct segment segments[SEGMENTS];
	struct seccomp_state seccomp;
	uint32_t ring_count;
	bool has_seed;
	bool no_children;
	bool no_objects;
	bool has_socket_dir;
	struct wire_ancestor line[1 + WIRE_ANCESTORS]; /* this process, its parent, ... */
	char socket_dir[108]; /* as much as fits a socket's address; the program may change its
				 environment */
} kept;

/* To settle, in this process and its ancestors: which of the segments is next. relaxed: only settling
 * children change it, one at a time. */
static _Atomic uint32_t attempts;

/* Forks so far, counted in the parent: tells siblings apart even where seeds are given. */
static _Atomic uint32_t forks;

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

/* Half of the allowance goes to the map, a quarter to the stacks; rings, filter, scratch and rule
 * cache are of fixed size. */
static bool make_map(const struct settings *settings)
{
	uint64_t share = mapping_share();
	size_t size =
		settings->memory_bytes / 4 < share / 2 ? settings->memory_bytes / 4 : share / 2;
	char *memory = private_memory_map(3 * size);

	return memory && heap_map_init(&lifecycle.map, memory, 2 * size) == 0 &&
	       stack_store_init(&lifecycle.stacks, memory + 2 * size, size) == 0;
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

/* Nobody needs to be unable to guess it; siblings need to differ. Without a system call: a child may be
 * confined. */
static uint64_t entropy(uint64_t now_ns)
{
	const uint64_t *random = (const uint64_t *)getauxval(AT_RANDOM);
	uint64_t seed = now_ns ^ (uint64_t)thread_state_tid() << 40;

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

static void keep(const struct settings *settings)
{
	kept.ring_count = ring_count();
	kept.has_seed = settings->has_seed;
	kept.no_children = settings->no_children;
	kept.no_objects = settings->no_objects;
	if (settings->socket_dir && strlen(settings->socket_dir) < sizeof kept.socket_dir) {
		strcpy(kept.socket_dir, settings->socket_dir);
		kept.has_socket_dir = true;
	}
	seccomp_state_read(&kept.seccomp);
}

/* What was born before is the parent's: settling comes before the first sample of a child's own. */
static void begin_own_samples(uint64_t now_ns)
{
	for (unsigned i = WIRE_ANCESTORS; i > 0; i--)
		kept.line[i] = kept.line[i - 1];
	kept.line[0] = (struct wire_ancestor){
		.load_ns = now_ns,
		/* relaxed: no other thread of ours samples yet. */
		.first_id = atomic_load_explicit(&lifecycle.map.next_id, memory_order_relaxed) + 1,
	};
}

/* Makes the segment of this generation and hands it to a daemon, if one listens. */
static int make_segment(
	struct segment *segment, uint32_t generation, uint32_t flags, uint64_t now_ns)
{
	const struct segment_facts facts = {
		.ring_count = kept.ring_count,
		.ring_size = RING_SIZE,
		.flags = flags,
		.generation = generation,
		.interval_bytes = sampler_interval(),
		.now_ns = now_ns,
		.filter_cells = 1u << BLOOM_FILTER_FIRST_LOG2,
		.map = lifecycle.map.level[0].slots,
		.map_levels = lifecycle.map.level_count,
		.stacks = lifecycle.stacks.stacks,
		.stack_count = lifecycle.stacks.stack_count,
		.blocks = lifecycle.stacks.blocks,
		.block_count = lifecycle.stacks.block_count,
		.first_id = kept.line[0].first_id,
		.ancestors = kept.line + 1,
	};

	int error = segment_create(segment, &facts);
	if (error != 0)
		return error;
	kept.line[0].pid_hint = segment->header->pid_hint;
	/* relaxed: nobody has the descriptor yet. */
	atomic_store_explicit(&segment->header->map_levels, heap_map_levels_in_use(&lifecycle.map),
		memory_order_relaxed);
	segment_store_maps(segment);
	if (runtime_current())
		segment_map_definitions(segment);
	return 0;
}

static void publish_segment(struct segment *segment)
{
	/* relaxed: see the header's table. */
	atomic_store_explicit(&lifecycle.segment, segment, memory_order_relaxed);
}

static void offer_segment(struct segment *segment)
{
	attach_to_daemon(segment, kept.has_socket_dir ? kept.socket_dir : NULL);
	segment_yield_fd(segment);
}

static enum lifecycle_state set_up(void)
{
	struct settings settings;
	uint64_t now_ns = lifecycle_now_ns();
	struct segment *segment = &kept.segments[0];

	segment_init_private(segment);
	publish_segment(segment);
	next_allocator_find();
	thread_state_init();
	settings_read(&settings);
	if (settings.disabled || !next_allocator_agent_is_preloaded())
		return LIFECYCLE_INERT;
	walk_init();
	start_sampler(&settings, now_ns);
	audit_init((uint32_t)settings.audit_every);
	keep(&settings);
	if (!make_map(&settings) || fork_word_make() != 0)
		return LIFECYCLE_INERT;
	runtime_look(!settings.no_python);
	begin_own_samples(now_ns);
	if (make_segment(segment, fork_word_generation(), WIRE_FLAG_FROM_START, now_ns) != 0)
		return LIFECYCLE_INERT;
	runtime_tell(segment);
	offer_segment(segment);
	interpose_new_try();
	return LIFECYCLE_SAMPLING;
}

/* The child's own segment, or a private one: what the agent needs for it must have been allowed at
 * load, and nothing must have come on top that could kill for it. */
static bool may_ask_the_kernel(void)
{
	struct seccomp_state seccomp;

	if (kept.no_children)
		return false;
	seccomp_state_read(&seccomp);
	return seccomp_state_same(&kept.seccomp, &seccomp);
}

static bool settle_segment(struct segment *parents, uint32_t generation, uint64_t now_ns)
{
	/* By attempts and not by generations: a child may fork while it is being settled. */
	uint32_t attempt = atomic_fetch_add_explicit(&attempts, 1, memory_order_relaxed) + 1;
	struct segment *segment = &kept.segments[attempt % SEGMENTS];
	bool made = false;

	if (generation < WIRE_SLOT_MARK_MASK && may_ask_the_kernel()) {
		segment_forget(segment);
		segment_leave(parents);
		made = make_segment(segment, generation, WIRE_FLAG_FROM_START | WIRE_FLAG_FORKED,
			       now_ns) == 0;
	}
	if (!made)
		segment_init_private(segment);
	codes_inherit(segment, parents);
	runtime_tell(segment);
	/* What the daemon wanted of the parent holds until it says otherwise. relaxed: see
	 * segment.h. */
	struct wire_control *control = &segment->header->control;
	const struct wire_control *inherited = &parents->header->control;
	atomic_store_explicit(&control->flags,
		atomic_load_explicit(&inherited->flags, memory_order_relaxed),
		memory_order_relaxed);
	atomic_store_explicit(&control->interval_bytes,
		atomic_load_explicit(&inherited->interval_bytes, memory_order_relaxed),
		memory_order_relaxed);
	publish_segment(segment);
	if (made)
		offer_segment(segment);
	return made;
}

static void settle(void)
{
	struct segment *parents = lifecycle_segment();
	uint32_t generation = fork_word_generation() + 1;
	uint64_t now_ns = lifecycle_now_ns();
	/* relaxed: the parent counted it before we were there. */
	uint64_t salt = atomic_load_explicit(&forks, memory_order_relaxed);

	heap_map_settle(&lifecycle.map, generation);
	begin_own_samples(now_ns);
	resync_reset(&lifecycle.resync);
	sampler_set_tick(SAMPLER_TICK);
	thread_state.tid = 0; /* the parent's */
	sampler_reseed(kept.has_seed ? salt : entropy(now_ns) + salt);
	bool made = settle_segment(parents, generation, now_ns);
	/* relaxed: ordered by the fork word. */
	atomic_store_explicit(&lifecycle.state, made ? LIFECYCLE_SAMPLING : LIFECYCLE_TRACKING,
		memory_order_relaxed);
	fork_word_settled(generation);
}

bool lifecycle_settle(void)
{
	if (fork_word_settle())
		settle();
	return !fork_word_is_child();
}

/* Whoever hears of a new interval sets it; and once more if it has changed meanwhile, for another thread
 * may have heard of that and set it before. */
static void hear_interval(const struct wire_control *control)
{
	/* relaxed throughout: see the tables in lifecycle.h and segment.h. */
	uint64_t heard = atomic_load_explicit(&lifecycle.heard_interval, memory_order_relaxed);
	uint64_t interval = atomic_load_explicit(&control->interval_bytes, memory_order_relaxed);

	for (int turn = 0; turn < 4 && interval != heard; turn++) {
		heard = interval;
		atomic_store_explicit(&lifecycle.heard_interval, heard, memory_order_relaxed);
		sampler_set_interval(interval);
		interval = atomic_load_explicit(&control->interval_bytes, memory_order_relaxed);
	}
}

bool lifecycle_listen(void)
{
	const struct wire_control *control = &lifecycle_segment()->header->control;

	hear_interval(control);
	/* relaxed: each word stands for itself. */
	return atomic_load_explicit(&lifecycle.stopped, memory_order_relaxed) ==
		       LIFECYCLE_RUNNING &&
	       !(atomic_load_explicit(&control->flags, memory_order_relaxed) & WIRE_CONTROL_STOP);
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

/* A worker should be seen soon; a child that execs allocates next to nothing before. */
static void hurry(void)
{
	struct thread_state *thread = &thread_state;

	if (thread->countdown > CHILD_TICK) {
		thread->residual += thread->countdown - CHILD_TICK;
		thread->countdown = CHILD_TICK;
	}
}

/* A child that nobody has settled yet has no segment of its own; settling tells. */
void lifecycle_opening(const void *caller)
{
	int kept_errno = errno;
	void *object;

	if (runtime_look_at(caller, &object)) {
		if (!fork_word_is_child()) {
			segment_map_definitions(lifecycle_segment());
			runtime_tell(lifecycle_segment());
		}
		if (allocators_load(object, true, !kept.no_objects))
			hurry();
	}
	errno = kept_errno;
}

static void count_fork(void)
{
	/* relaxed: only siblings' numbers must differ. */
	atomic_fetch_add_explicit(&forks, 1, memory_order_relaxed);
}

/* What pthread_atfork comes down to in glibc. Weak: see thread_state.c. */
extern int __register_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void),
	void *object) __attribute__((weak));
extern void *__dso_handle __attribute__((visibility("hidden")));

__attribute__((constructor(101))) static void lifecycle_load(void)
{
	if (lifecycle_enter() == LIFECYCLE_SAMPLING &&
		allocators_load(RTLD_DEFAULT, false, !kept.no_objects))
		hurry();
	/* Only hints: a child that was made without these handlers settles all the same. */
	if (__register_atfork)
		__register_atfork(count_fork, NULL, hurry, __dso_handle);
	/* The program's first dlerror() must not report our misses. Not while setting up: that may
	 * happen in a malloc of newlocale() or setlocale(), and dlerror() translates its message
	 * under the lock that they hold. */
	dlerror();
}
