/*
 * Blocks wait in boxes until some thread takes them out to free or to reallocate them, so that they
 * die where they were not born. An address that was freed goes to whoever asks next: same windows,
 * same slots, at once. A block's birth_ns says which stack it has.
 */
#include "config.h"
#include "stress/resync_worker.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>
#include "bloom_filter.h"
#include "fork_word.h"
#include "private_memory.h"
#include "sampler.h"
#include "spprof/wire/record.h"
#include "stress/resync_hooks.h"
#include "support/own_segment.h"

enum { MAX_BOXES = 512, ADDRESSES = 1024, MAX_FRAMES = 40, CROWDED_SLOTS = 64 };

static const size_t map_bytes = 3 * sizeof(struct wire_slot) << WIRE_MAP_LEVEL0_BITS;
static const size_t many_stacks_bytes = 256 << 10, few_stacks_bytes = 8 << 10;

struct free_list { /* one thread's, or its signal handler's */
	uintptr_t address[ADDRESSES];
	unsigned count;
	uint64_t rng[2];
	uint64_t sequence;
};

static struct worker {
	struct worker_plan plan;
	struct hooks hooks;
	char *memory;
	size_t stack_bytes;
	bool forked;
	struct free_list list[WORKER_MAX_THREADS], handlers[WORKER_MAX_THREADS];
	pthread_t thread[WORKER_MAX_THREADS];
} worker;

static _Atomic uintptr_t boxes[MAX_BOXES];
static _Atomic uintptr_t spare; /* freed last */
static _Atomic uint64_t steps;
static _Atomic unsigned at_work;
static _Atomic bool stopping, protected;
static __thread struct free_list *volatile handler; /* this thread's; NULL: it is not at work */
static uintptr_t crowded[ADDRESSES];
static uint64_t frames[WORKER_STACKS][MAX_FRAMES];

static void must(bool fine, const char *what)
{
	hooks_must(&worker.hooks, fine, what);
}

static void bear(struct free_list *list, uintptr_t address)
{
	uint64_t random = sampler_next(list->rng);
	unsigned number = random % WORKER_STACKS;
	struct worker_stack stack = worker_stack(number);
	const struct stack_view view = {.frames = stack.frames,
		.frame_count = (uint16_t)stack.count,
		.stop = stack.stop,
		.guessed = stack.guessed};
	struct heap_map_entry entry = {
		.address = address,
		.size_bytes = 1 + (random >> 8) % 5000,
		.interval_bytes = 1 + (random >> 32) % 3,
		.birth_ns = ++list->sequence * WORKER_STACKS + number,
	};

	hooks_birth(&worker.hooks, &entry, &view);
}

static void give_back(struct free_list *list, uintptr_t address)
{
	uintptr_t older = atomic_exchange(&spare, address);

	if (older)
		list->address[list->count++] = older;
}

static uintptr_t new_address(struct free_list *list)
{
	uintptr_t address = atomic_exchange(&spare, 0);

	if (!address && list->count > 0)
		address = list->address[--list->count];
	return address;
}

static void free_block(struct free_list *list, uintptr_t address)
{
	if (!address)
		return;
	hooks_death(&worker.hooks, address);
	give_back(list, address);
}

static void make_block(struct free_list *list, _Atomic uintptr_t *box)
{
	uintptr_t address = new_address(list);

	if (!address)
		return;
	bear(list, address);
	free_block(list, atomic_exchange(box, address));
}

/* A realloc: it fails, or it finds room in place, or it moves the block; then somebody else may have
 * the old address before we have heard of it. */
static void resize_block(struct free_list *list, _Atomic uintptr_t *box)
{
	uint64_t random = sampler_next(list->rng);
	uintptr_t address = atomic_exchange(box, 0), now = address;

	if (!address)
		return;
	struct wire_slot *slot = heap_map_suspend(&worker.hooks.map, address);
	must(slot, "what lives can be suspended");
	if (random % 3 == 1)
		now = new_address(list);
	if (random % 3 == 0 || !now) {
		heap_map_resume(&worker.hooks.map, slot);
		free_block(list, atomic_exchange(box, address));
		return;
	}
	if (now != address)
		give_back(list, address);
	hooks_replaced(&worker.hooks, slot, address);
	bear(list, now);
	free_block(list, atomic_exchange(box, now));
}

static void step(struct free_list *list)
{
	uint64_t random = sampler_next(list->rng);
	_Atomic uintptr_t *box = &boxes[(random >> 32) % worker.plan.boxes];

	if (random % 100 < 45)
		make_block(list, box);
	else if (random % 100 < 75)
		free_block(list, atomic_exchange(box, 0));
	else if (random % 100 < 95)
		resize_block(list, box);
	else
		hooks_turn(&worker.hooks);
	atomic_fetch_add(&steps, 1);
}

/* A handler frees most of what lives, whatever its thread was at: also what that is just telling. */
static void on_signal(int number)
{
	struct free_list *list = handler;

	(void)number;
	if (!list)
		return;
	for (unsigned i = 0; i < worker.plan.boxes; i++)
		if (sampler_next(list->rng) % 4 > 0)
			free_block(list, atomic_exchange(&boxes[i], 0));
		else
			make_block(list, &boxes[i]);
}

static void *mutate(void *list)
{
	struct free_list *own = list;

	handler = &worker.handlers[own - worker.list];
	for (unsigned i = 0; i < worker.plan.operations; i++)
		step(own);
	handler = NULL;
	atomic_fetch_sub(&at_work, 1);
	return NULL;
}

static void *turn(void *data)
{
	(void)data;
	while (!atomic_load(&stopping)) {
		hooks_turn(&worker.hooks);
		sched_yield();
	}
	atomic_fetch_sub(&at_work, 1);
	return NULL;
}

void worker_start(enum worker_task task)
{
	atomic_store(&stopping, false);
	atomic_store(&at_work, worker.plan.threads);
	for (unsigned i = 0; i < worker.plan.threads; i++)
		if (pthread_create(&worker.thread[i], NULL, task == WORKER_MUTATE ? mutate : turn,
			    &worker.list[i]))
			abort();
}

bool worker_is_done(void)
{
	return atomic_load(&at_work) == 0;
}

uint64_t worker_steps(void)
{
	return atomic_load(&steps);
}

void worker_stop(void)
{
	atomic_store(&stopping, true);
	for (unsigned i = 0; i < worker.plan.threads; i++)
		pthread_join(worker.thread[i], NULL);
}

void worker_interrupt(unsigned thread)
{
	pthread_kill(worker.thread[thread % worker.plan.threads], SIGUSR1);
}

/* A turn reads a block's stack after it has seen the block live and before it tells of it. */

static void protect_stacks(int protection)
{
	must(mprotect(worker.memory + map_bytes, worker.stack_bytes, protection) == 0,
		"memory can be protected");
}

static void on_fault(int number)
{
	if (!atomic_exchange(&protected, false)) {
		signal(number, SIG_DFL);
		return;
	}
	protect_stacks(PROT_READ | PROT_WRITE);
	for (unsigned i = 0; i < worker.plan.boxes; i++) {
		uintptr_t address = atomic_exchange(&boxes[i], 0);

		if (address)
			hooks_retire(&worker.hooks, hooks_take(&worker.hooks, address));
	}
}

bool worker_die_while_told(void)
{
	atomic_store(&protected, true);
	protect_stacks(PROT_NONE);
	for (unsigned i = 0; i < 1000 && atomic_load(&protected); i++)
		hooks_turn(&worker.hooks);
	if (!atomic_exchange(&protected, false))
		return true;
	protect_stacks(PROT_READ | PROT_WRITE);
	return false;
}

/* As lifecycle.c settles a child. */

static void make_segment(uint32_t generation, uint32_t flags)
{
	const struct segment_facts facts = {
		.ring_count = worker.plan.ring_count,
		.ring_size = worker.plan.ring_size,
		.flags = flags,
		.generation = generation,
		.interval_bytes = 1,
		.now_ns = 1,
		.map = worker.hooks.map.level[0].slots,
		.map_levels = worker.hooks.map.level_count,
		.stacks = worker.hooks.stacks.stacks,
		.stack_count = worker.hooks.stacks.stack_count,
		.blocks = worker.hooks.stacks.blocks,
		.block_count = worker.hooks.stacks.block_count,
	};

	must(segment_create(&worker.hooks.segment, &facts) == 0, "a segment is made");
	own_segment(worker.hooks.segment.fd);
	hooks_publish_levels(&worker.hooks);
	atomic_store_explicit(&worker.hooks.segment.header->counters.map_slots,
		worker.hooks.map.capacity, memory_order_relaxed);
}

static void unmake_segment(struct segment *segment)
{
	segment_leave(segment);
	segment_forget(segment);
}

/* What a thread that the child does not have was at. */
static void leave_half_way(_Atomic uintptr_t *box, uint64_t random)
{
	uintptr_t address = atomic_load(box);
	bool announced;

	if (!address)
		return;
	if (random % 8 < 2) {
		must(heap_map_suspend(&worker.hooks.map, address), "what lives can be suspended");
	} else if (random % 8 == 2) {
		struct wire_slot *slot = hooks_take(&worker.hooks, address);

		if (random & 8)
			heap_map_retire(&worker.hooks.map, slot, &announced);
		atomic_store(box, 0); /* nobody has it any more */
	}
}

/* What the child frees before it has settled. */
static void forget(struct free_list *list, _Atomic uintptr_t *box, uint64_t random)
{
	uintptr_t address = atomic_load(box);
	struct heap_map_forgotten forgotten;

	if (!address || random % 8 != 3)
		return;
	must(heap_map_forget(&worker.hooks.map, address, &forgotten),
		"the child can forget what lives");
	bloom_filter_remove(address);
	stack_store_release(&worker.hooks.stacks, forgotten.stack_ref);
	atomic_store(box, 0);
	give_back(list, address);
}

void worker_fork(void)
{
	struct segment parents = worker.hooks.segment;
	uint32_t generation = fork_word_generation() + 1;

	for (unsigned i = 0; i < worker.plan.boxes; i++) {
		uint64_t random = sampler_next(worker.list[0].rng);

		leave_half_way(&boxes[i], random);
		forget(&worker.list[0], &boxes[i], random);
	}
	atomic_store_explicit(fork_word, FORK_CHILD, memory_order_relaxed);
	must(fork_word_settle(), "the child settles once");
	heap_map_settle(&worker.hooks.map, generation);
	resync_reset(&worker.hooks.resync);
	unmake_segment(&parents);
	make_segment(generation, WIRE_FLAG_FROM_START | WIRE_FLAG_FORKED);
	fork_word_settled(generation);
	worker.forked = true;
}

/* From here on at rest. */

static void find_crowded(void)
{
	struct heap_map map;
	void *memory = private_memory_map(map_bytes);
	unsigned found = 0;

	must(memory && heap_map_init(&map, memory, map_bytes) == 0, "there is memory for a map");
	for (uintptr_t address = 0x10000; found < ADDRESSES; address += 16) {
		struct heap_map_entry entry = {.address = address};
		struct wire_slot *slot = heap_map_insert(&map, &entry);

		if (slot - heap_map_slot(&map, 0) < CROWDED_SLOTS)
			crowded[found++] = address;
		heap_map_bury(&map, heap_map_take(&map, address));
	}
	munmap(memory, map_bytes);
}

void worker_begin(void)
{
	struct sigaction interrupt = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
	struct sigaction fault = {.sa_handler = on_fault};

	must(fork_word_make() == 0 && sigaction(SIGUSR1, &interrupt, NULL) == 0 &&
			sigaction(SIGSEGV, &fault, NULL) == 0,
		"all is prepared");
	find_crowded();
	for (unsigned i = 0; i < WORKER_STACKS; i++)
		for (unsigned j = 0; j < MAX_FRAMES; j++)
			/* Outer frames are shared. */
			frames[i][j] =
				UINT64_C(0x550000000000) + 64 * j + (j < 4 ? 4096 * (i + 1) : 0);
}

struct worker_stack worker_stack(uint32_t number)
{
	return (struct worker_stack){
		.frames = frames[number],
		.count = 1 + number * (MAX_FRAMES - 1) / (WORKER_STACKS - 1),
		.stop = number % 5 ? WIRE_STOP_END : WIRE_STOP_NO_INFO,
		.guessed = number % 7 == 0,
	};
}

static void deal_addresses(void)
{
	atomic_store(&spare, 0);
	for (unsigned i = 0; i < worker.plan.boxes; i++)
		atomic_store(&boxes[i], 0);
	for (unsigned i = 0; i < worker.plan.threads; i++) {
		sampler_seed(worker.list[i].rng, worker.plan.seed, i);
		sampler_seed(worker.handlers[i].rng, worker.plan.seed, WORKER_MAX_THREADS + i);
	}
	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct free_list *list = &worker.list[i % worker.plan.threads];

		list->address[list->count++] =
			worker.plan.crowded ? crowded[i] : 0x10000 + 16 * (uintptr_t)i;
	}
}

void worker_make(const struct worker_plan *plan)
{
	worker = (struct worker){.plan = *plan, .hooks.seed = plan->seed};
	worker.stack_bytes = plan->few_stacks ? few_stacks_bytes : many_stacks_bytes;
	worker.memory = private_memory_map(map_bytes + worker.stack_bytes);
	must(worker.memory && heap_map_init(&worker.hooks.map, worker.memory, map_bytes) == 0 &&
			stack_store_init(&worker.hooks.stacks, worker.memory + map_bytes,
				worker.stack_bytes) == 0,
		"there is memory for map and stacks");
	atomic_store_explicit(fork_word, FORK_CHILD, memory_order_relaxed);
	must(fork_word_settle(), "a new process");
	fork_word_settled(heap_map_generation(&worker.hooks.map));
	make_segment(fork_word_generation(), WIRE_FLAG_FROM_START);
	deal_addresses();
}

bool worker_end(void)
{
	for (unsigned i = 0; i < worker.plan.boxes; i++)
		free_block(&worker.list[0], atomic_exchange(&boxes[i], 0));
	bool clean = worker.forked || stack_store_stacks_in_use(&worker.hooks.stacks) == 0;
	unmake_segment(&worker.hooks.segment);
	munmap(worker.memory, map_bytes + worker.stack_bytes);
	return clean;
}

int worker_fd(void)
{
	return worker.hooks.segment.fd;
}

struct visit {
	void (*visit)(const struct worker_block *block, void *data);
	void *data;
};

static void visit_entry(const struct heap_map_entry *entry, void *data)
{
	const struct visit *visit = data;
	const struct worker_block block = {
		.id = entry->id,
		.address = entry->address,
		.size_bytes = entry->size_bytes,
		.interval_bytes = entry->interval_bytes,
		.birth_ns = entry->birth_ns,
		.tid = entry->tid,
		.stack = (uint32_t)(entry->birth_ns % WORKER_STACKS),
		.kept = entry->stack_ref != 0,
	};

	visit->visit(&block, visit->data);
}

void worker_each(void (*visit)(const struct worker_block *block, void *data), void *data)
{
	struct visit wrapped = {visit, data};

	heap_map_each(&worker.hooks.map, visit_entry, &wrapped);
}

uint64_t worker_last_id(void)
{
	return atomic_load(&worker.hooks.map.next_id);
}

void worker_digest(uint64_t *live, uint64_t *digest)
{
	*live = atomic_load(&worker.hooks.segment.header->live_count);
	*digest = atomic_load(&worker.hooks.segment.header->digest);
}

void worker_sums(struct worker_sums *out)
{
	struct wire_counters *counters = &worker.hooks.segment.header->counters;

	*out = (struct worker_sums){
		.lost_births = atomic_load(&counters->loss_count[WIRE_LOSS_BIRTH_RING_FULL]) +
			       atomic_load(&counters->loss_count[WIRE_LOSS_BIRTH_NO_RING]),
		.lost_deaths = atomic_load(&counters->loss_count[WIRE_LOSS_DEATH_UNWRITTEN]),
		.lives = atomic_load(&counters->resync_lives),
		.refused_turns = atomic_load(&counters->resync_refused),
		.not_kept = atomic_load(&counters->stacks_not_kept),
		.unannounced_dead = atomic_load(&counters->unannounced_dead),
		.samples = atomic_load(&counters->samples),
		.levels = heap_map_levels_in_use(&worker.hooks.map),
	};
}
