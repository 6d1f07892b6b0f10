/*
 * The heap map and announce/retire under threads: blocks are freed by others while they are still
 * being announced, addresses and slots are reused at once, a consumer drains in rounds as the
 * daemon does. At the end the consumer's live set must equal the map, and the digest both.
 *
 * TAP. SPPROF_STRESS scales the work. Instrumented builds see every access, for the payload is
 * mapped here.
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "announce.h"
#include "fork_word.h"
#include "heap_map.h"
#include "private_memory.h"
#include "sampler.h"
#include "segment.h"
#include "spprof/wire/record.h"
#include "support/own_segment.h"

enum { THREADS = 4, RINGS = 8, RING_SIZE = 256 << 10, MAILBOXES = 64, OPERATIONS = 60000 };

enum id_state { UNKNOWN, LIVE, DEAD_EARLY, DEAD };

static struct segment segment;
static struct heap_map map;
static _Atomic uintptr_t mailbox[MAILBOXES]; /* published, perhaps not yet announced */
static _Atomic uintptr_t next_address = 0x10000;
static _Atomic int running;
static long operations;

static uint8_t *id_state; /* the consumer's */
static uint64_t id_limit;
static uint64_t tails[RINGS];
static uint64_t lived, died, early, twice;

static bool rings_are_half_full(void)
{
	for (unsigned i = 0; i < RINGS; i++) {
		uint64_t head = atomic_load_explicit(&segment.rings[i].head, memory_order_relaxed);
		uint64_t tail = atomic_load_explicit(&segment.rings[i].tail, memory_order_relaxed);

		if (head - tail > RING_SIZE / 2)
			return true;
	}
	return false;
}

static void give_birth(uintptr_t address, unsigned box)
{
	union {
		struct wire_birth birth;
		uint8_t bytes[sizeof(struct wire_birth) + 8 * sizeof(uint64_t)];
	} record = {0};
	struct heap_map_entry entry = {.address = address,
		.size_bytes = address,
		.interval_bytes = 1,
		.birth_ns = 1,
		.tid = 1};
	struct wire_slot *slot = heap_map_insert(&map, &entry);

	if (!slot)
		return;
	record.birth.record = (struct wire_record){sizeof record, WIRE_BIRTH, 0};
	record.birth.id = entry.id;
	record.birth.address = address;
	record.birth.size_bytes = address;
	record.birth.interval_bytes = 1;
	record.birth.frame_count = 8;
	for (unsigned i = 0; i < 8; i++)
		record.birth.frames[i] = entry.id;
	/* In a program nobody could free it yet; here somebody may, which is what the re-read is
	 * for. */
	uintptr_t other = atomic_exchange(&mailbox[box], address);
	announce_birth(&segment, &map, slot, &record.birth);
	if (other)
		announce_death(&segment, &map, heap_map_take(&map, other), 2);
}

static uintptr_t free_one(unsigned box)
{
	uintptr_t address = atomic_exchange(&mailbox[box], 0);

	if (address)
		announce_death(&segment, &map, heap_map_take(&map, address), 2);
	return address;
}

/* A realloc that fails, in between. */
static void suspend_and_resume(unsigned box)
{
	uintptr_t address = atomic_exchange(&mailbox[box], 0);

	if (!address)
		return;
	heap_map_resume(&map, heap_map_suspend(&map, address));
	uintptr_t other = atomic_exchange(&mailbox[box], address);
	if (other)
		announce_death(&segment, &map, heap_map_take(&map, other), 2);
}

static void *worker(void *seed)
{
	uint64_t rng[2];
	uintptr_t spare = 0;

	sampler_seed(rng, 7, (uintptr_t)seed);
	for (long i = 0; i < operations; i++) {
		uint64_t random = sampler_next(rng);
		unsigned box = random % MAILBOXES;

		while (rings_are_half_full())
			sched_yield();
		if ((random >> 32) % 100 < 45) {
			uintptr_t address = free_one(box);

			spare = address ? address : spare;
		} else if ((random >> 32) % 100 < 50) {
			suspend_and_resume(box);
		} else {
			/* Often the address that has just been freed: same windows, same slots. */
			uintptr_t address = spare ? spare : atomic_fetch_add(&next_address, 16);

			spare = 0;
			give_birth(address, box);
		}
	}
	atomic_fetch_sub(&running, 1);
	return NULL;
}

static void apply(const struct wire_record *record)
{
	uint64_t id = ((const struct wire_death *)record)->id;

	if (id == 0 || id >= id_limit)
		abort();
	if (record->type == WIRE_BIRTH) {
		const struct wire_birth *birth = (const void *)record;

		for (unsigned i = 0; i < 8; i++)
			if (birth->frames[i] != id)
				abort(); /* torn */
		twice += id_state[id] == LIVE;
		early += id_state[id] == DEAD_EARLY;
		id_state[id] = id_state[id] == UNKNOWN ? LIVE : DEAD;
		lived++;
	} else {
		id_state[id] = id_state[id] == UNKNOWN ? DEAD_EARLY : DEAD;
		died++;
	}
}

static void drain_to(unsigned ring, uint64_t head)
{
	union {
		struct wire_record record;
		uint8_t bytes[256];
	} copy;
	const uint8_t *data = segment.data + (size_t)ring * RING_SIZE;

	while (tails[ring] != head) {
		for (unsigned i = 0; i < sizeof(struct wire_record); i++)
			copy.bytes[i] = data[(tails[ring] + i) % RING_SIZE];
		if (copy.record.size > sizeof copy || copy.record.size < sizeof(struct wire_death))
			abort();
		for (unsigned i = 0; i < copy.record.size; i++)
			copy.bytes[i] = data[(tails[ring] + i) % RING_SIZE];
		apply(&copy.record);
		tails[ring] += copy.record.size;
	}
	atomic_store_explicit(&segment.rings[ring].tail, tails[ring], memory_order_release);
}

static void drain_round(void)
{
	uint64_t heads[RINGS];

	for (unsigned i = 0; i < RINGS; i++)
		heads[i] = atomic_load_explicit(&segment.rings[i].head, memory_order_acquire);
	for (unsigned i = 0; i < RINGS; i++)
		drain_to(i, heads[i]);
}

struct comparison {
	uint64_t in_map, missing, digest;
};

static void compare(const struct heap_map_entry *entry, void *data)
{
	struct comparison *comparison = data;

	comparison->in_map++;
	comparison->missing += id_state[entry->id] != LIVE;
	comparison->digest += wire_digest(entry->id);
}

static int tests;

static int check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
	return !ok;
}

static void run_threads(void)
{
	pthread_t thread[THREADS];

	atomic_store(&running, THREADS);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&thread[i], NULL, worker, (void *)i))
			abort();
	while (atomic_load(&running) > 0)
		drain_round();
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	drain_round();
}

int main(void)
{
	const char *scale = getenv("SPPROF_STRESS");
	size_t size = 3 * (sizeof(struct wire_slot) << WIRE_MAP_LEVEL0_BITS);
	struct comparison comparison = {0};
	uint64_t live = 0;
	int failures = 0;

	operations = OPERATIONS * (scale ? atol(scale) : 1);
	id_limit = (uint64_t)operations * THREADS + 2;
	id_state = calloc(1, id_limit);
	if (!id_state || fork_word_make() != 0 ||
		segment_create(&segment, &(struct segment_facts){.ring_count = RINGS,
						 .ring_size = RING_SIZE,
						 .interval_bytes = 1,
						 .now_ns = 1}) != 0 ||
		heap_map_init(&map, private_memory_map(size), size) != 0)
		abort();
	own_segment(segment.fd);
	run_threads();
	heap_map_each(&map, compare, &comparison);
	for (uint64_t id = 1; id < id_limit; id++)
		live += id_state[id] == LIVE;
	printf("# %llu births, %llu deaths, %llu of them read before their birth, %llu live\n",
		(unsigned long long)lived, (unsigned long long)died, (unsigned long long)early,
		(unsigned long long)live);
	failures += check(lived > (uint64_t)operations, "births were told");
	failures += check(twice == 0, "no id was born twice");
	failures +=
		check(comparison.missing == 0, "every block in the map is live in the consumer");
	failures +=
		check(live == comparison.in_map, "every block live in the consumer is in the map");
	failures +=
		check(atomic_load(&segment.header->live_count) == live, "the live count agrees");
	failures += check(
		atomic_load(&segment.header->digest) == comparison.digest, "the digest agrees");
	for (int i = 0; i < WIRE_LOSS_KINDS; i++)
		failures += check(atomic_load(&segment.header->counters.loss_count[i]) == 0,
			"nothing was lost");
	printf("1..%d\n", tests);
	free(id_state);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
