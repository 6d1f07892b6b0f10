/*
 * Who may write the tables: before the interpreter has begun, anybody; after that, who holds its
 * lock. That a call is under way in the old functions meanwhile does not matter, nor that a block
 * comes from the old ones and goes to the new, which pass on what they do not know.
 *
 * At load the tables are as they were compiled, so pymalloc is known by them. Later they may be
 * anybody's, so only what was seen at load is taken to be pymalloc again.
 *
 * Whether something was put back from before ours cannot be asked: a table that is not ours may be
 * one that leads to ours. It is told from threads that hold the lock and come here again and again
 * while none of our functions is called.
 */
#define _GNU_SOURCE
#include "python/allocators.h"
#include <dlfcn.h>
#include <stdatomic.h>
#include <string.h>
#include "lifecycle.h"
#include "python/object_hooks.h"
#include "python/thread_states.h"
#include "reentry_guard.h"
#include "sampler.h"

#define LOOK_TICK    (UINT64_C(64) << 10) /* until it is known what the interpreter allocates with */
#define EAGER_LOOKS  256u
#define QUIET_LOOKS  64u
#define OBJECTS_BITS 8 /* in wire_header.python, above the frames' */

enum phase {
	ABSENT,	  /* no interpreter, or nothing to be done with it */
	WATCHING, /* its lock has not been held yet by anybody who looked */
	SETTLING, /* somebody is at it */
	SETTLED,
};

static struct {
	void (*get)(int domain, struct object_allocator *out);
	void (*set)(int domain, const struct object_allocator *allocator);
	void *(*raw_realloc)(void *address, size_t size);
	struct thread_states states;
	struct object_allocator first[OBJECT_DOMAINS];
	struct object_allocator direct[OBJECT_DOMAINS]; /* ours; zero: not made */
	struct object_allocator covering[OBJECT_DOMAINS];
	_Atomic uint32_t phase;
	_Atomic uint32_t state;
	_Atomic uint32_t looks;
	_Atomic uint32_t quiet;
	_Atomic uint32_t decisions;
} python;

/* In every version's table of dynamic symbols: executables export it for their extensions. */
static bool find_functions(void *object)
{
	void *get = dlsym(object, "PyMem_GetAllocator");
	void *set = dlsym(object, "PyMem_SetAllocator");
	void *raw_realloc = dlsym(object, "PyMem_RawRealloc");

	if (!get || !set || !raw_realloc || !thread_states_find(object, &python.states))
		return false;
	python.get = (__typeof__(python.get))get;
	python.set = (__typeof__(python.set))set;
	python.raw_realloc = (__typeof__(python.raw_realloc))raw_realloc;
	return true;
}

/* Before 3.12 the current thread state is that of whoever holds the lock. Nothing is
 * dereferenced. */
static bool holds_lock(void)
{
	const void *current = python.states.current();

	return current && (python.states.current_is_own || python.states.own() == current);
}

static void read_tables(struct object_allocator *out)
{
	for (int domain = 0; domain < OBJECT_DOMAINS; domain++)
		python.get(domain, &out[domain]);
}

static void write_tables(const struct object_allocator *tables)
{
	python.set(OBJECT_DOMAIN_MEM, &tables[OBJECT_DOMAIN_MEM]);
	python.set(OBJECT_DOMAIN_OBJ, &tables[OBJECT_DOMAIN_OBJ]);
}

static bool is_mallocs(const struct object_allocator *tables)
{
	return tables[OBJECT_DOMAIN_OBJ].malloc == tables[OBJECT_DOMAIN_RAW].malloc;
}

/* Compiled in as it is, pymalloc serves both domains by the same functions; mimalloc has some for
 * each, and debug hooks have a context. */
static bool is_pymalloc(const struct object_allocator *tables)
{
	const struct object_allocator *mem = &tables[OBJECT_DOMAIN_MEM];
	const struct object_allocator *obj = &tables[OBJECT_DOMAIN_OBJ];

	return !is_mallocs(tables) && mem->malloc == obj->malloc && !mem->context && !obj->context;
}

static bool same(const struct object_allocator *a, const struct object_allocator *b)
{
	return memcmp(&a[OBJECT_DOMAIN_MEM], &b[OBJECT_DOMAIN_MEM], 2 * sizeof *a) == 0;
}

static bool is_ours(const struct object_allocator *tables)
{
	return same(tables, python.direct) || same(tables, python.covering);
}

static void tell(enum wire_objects state)
{
	/* relaxed: see the header's table. */
	atomic_store_explicit(&python.state, state, memory_order_relaxed);
}

/* A forked child's segment says nothing yet. */
static void publish(void)
{
	_Atomic uint32_t *word = &lifecycle_segment()->header->python;
	/* relaxed throughout: for a person. */
	uint32_t state = atomic_load_explicit(&python.state, memory_order_relaxed) << OBJECTS_BITS;
	uint32_t told = atomic_load_explicit(word, memory_order_relaxed);
	const uint32_t mask = 0xffu << OBJECTS_BITS;

	while ((told & mask) != state &&
		!atomic_compare_exchange_weak_explicit(word, &told, (told & ~mask) | state,
			memory_order_relaxed, memory_order_relaxed))
		;
}

static enum wire_objects cover(const struct object_allocator *now)
{
	object_hooks_covering(now, python.covering);
	write_tables(python.covering);
	return WIRE_OBJECTS_SAMPLED;
}

/* Of an interpreter that may run already: whose functions they are, if not an embedder's. */
static bool is_of_object(const void *function)
{
	Dl_info its, theirs;

	return dladdr(function, &its) && dladdr((const void *)python.set, &theirs) &&
	       its.dli_fbase == theirs.dli_fbase;
}

static void prepare(bool started)
{
	read_tables(python.first);
	if (!is_pymalloc(python.first) ||
		!is_of_object((const void *)python.first[OBJECT_DOMAIN_OBJ].malloc))
		return;
	object_hooks_direct(python.first, python.raw_realloc, python.direct);
	if (started)
		return;
	write_tables(python.direct);
	tell(WIRE_OBJECTS_SAMPLED);
}

bool allocators_load(void *object, bool started, bool wanted)
{
	if (!find_functions(object))
		return false;
	if (!wanted) {
		tell(WIRE_OBJECTS_OFF);
		publish();
		return false;
	}
	prepare(started);
	publish();
	sampler_set_tick(LOOK_TICK);
	/* [OBJ-1] release: the tables and functions; pairs with acquire in allocators_look. */
	atomic_store_explicit(&python.phase, WATCHING, memory_order_release);
	return true;
}

/* The caller holds the interpreter's lock, and no other thread is here. */
static enum wire_objects settle(void)
{
	struct object_allocator now[OBJECT_DOMAINS];

	read_tables(now);
	if (is_ours(now))
		return WIRE_OBJECTS_SAMPLED;
	if (is_mallocs(now))
		return WIRE_OBJECTS_MALLOC;
	if (python.direct[OBJECT_DOMAIN_OBJ].malloc && same(now, python.first)) {
		write_tables(python.direct);
		return WIRE_OBJECTS_SAMPLED;
	}
	return cover(now);
}

/* A resync may have set another one meanwhile. */
static void stop_hurrying(void)
{
	if (sampler_tick() == LOOK_TICK)
		sampler_set_tick(SAMPLER_TICK);
}

static void watch(void)
{
	uint32_t phase = WATCHING;

	/* relaxed: a limit for programs that never start the interpreter that they have. */
	if (atomic_fetch_add_explicit(&python.looks, 1, memory_order_relaxed) == EAGER_LOOKS)
		stop_hurrying();
	/* relaxed: whoever loses has nothing to do. */
	if (!holds_lock() || !atomic_compare_exchange_strong_explicit(&python.phase, &phase,
				     SETTLING, memory_order_relaxed, memory_order_relaxed))
		return;
	tell(settle());
	/* [OBJ-1] release: the tables; pairs with acquire in allocators_look. */
	atomic_store_explicit(&python.phase, SETTLED, memory_order_release);
	stop_hurrying();
}

static enum wire_objects ask_again(enum wire_objects state)
{
	struct object_allocator now[OBJECT_DOMAINS];

	if (!holds_lock())
		return state;
	read_tables(now);
	return is_ours(now) ? WIRE_OBJECTS_SAMPLED : WIRE_OBJECTS_LOST;
}

static void listen(void)
{
	/* relaxed throughout: see the header's table. */
	enum wire_objects state = atomic_load_explicit(&python.state, memory_order_relaxed);
	uint32_t decisions = object_hooks_decisions();

	if (state == WIRE_OBJECTS_MALLOC)
		return;
	if (atomic_exchange_explicit(&python.decisions, decisions, memory_order_relaxed) !=
		decisions) {
		tell(WIRE_OBJECTS_SAMPLED);
		atomic_store_explicit(&python.quiet, 0, memory_order_relaxed);
	} else if (atomic_fetch_add_explicit(&python.quiet, 1, memory_order_relaxed) ==
		   QUIET_LOOKS) {
		tell(ask_again(state));
		atomic_store_explicit(&python.quiet, 0, memory_order_relaxed);
	}
}

void allocators_look(void)
{
	/* [OBJ-1] acquire: pairs with release in allocators_load and watch. */
	uint32_t phase = atomic_load_explicit(&python.phase, memory_order_acquire);

	if (phase == ABSENT)
		return;
	/* Before the interpreter's functions, for they may allocate: thread-local storage of theirs
	 * is made at its first use where they were dlopened. */
	if (!reentry_guard_enter(&thread_state))
		return;
	if (phase == WATCHING)
		watch();
	else if (phase == SETTLED)
		listen();
	publish();
	reentry_guard_leave(&thread_state);
}
