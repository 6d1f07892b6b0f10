/*
 * Producer processes are killed at random moments while the daemon's consumer drains their segment.
 * Each writer numbers its records and keeps, in memory that survives it, which one it has begun and
 * which one it has finished. When it is dead and the rings are drained, everything up to the
 * finished one must be there, at most one more, and nothing twice or torn: a kill costs the record
 * in the making and no other.
 *
 * All children write to the one segment, one after the other: what a dead one left behind must not
 * stop the next. Their leases are given up here, where their death is known.
 *
 * TAP. SPPROF_STRESS scales the work.
 */
#include "config.h"
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>
#include "fork_word.h"
#include "ingest/ring_consumer.h"
#include "ingest/segment_map.h"
#include "ring_producer.h"
#include "segment.h"
#include "stress/segment_source.h"
#include "support/fake_segment.h"
#include "support/random.h"
#include "support/own_segment.h"

enum {
	WRITERS = 3,
	RINGS = 4,
	RING_SIZE = WIRE_MIN_RING_SIZE,
	KILLS = 300,
	RECORDS_PER_KILL = 4000, /* before its writers stop, if nobody kills them */
};

/* A writer's own account, shared with the parent, which looks when the kernel says that it is dead;
 * hence relaxed. */
struct account {
	_Alignas(64) _Atomic uint64_t begun;
	_Atomic uint64_t finished;
};

static struct segment segment;
static struct account *accounts;
static uint64_t number_limit;
static uint8_t *seen[WRITERS]; /* times, by number */
static uint64_t torn, lost, doubled, surplus, unfinished, only_by_sweep, leases_left;
static int tests;

static uint64_t load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_relaxed);
}

static uint64_t id_of(unsigned writer, uint64_t number)
{
	return (uint64_t)(writer + 1) << 40 | number;
}

static uint16_t frames_of(uint64_t id)
{
	return wire_digest(id) % 32 ? (uint16_t)(wire_digest(id) % 40) : 400;
}

/* The children */

static void write_one(unsigned writer, uint64_t number)
{
	uint64_t record[WIRE_RECORD_MAX / 8], id = id_of(writer, number);
	uint32_t size = (uint32_t)fake_segment_birth(record, id, frames_of(id));
	struct ring_lease lease;

	while (ring_producer_lease(&segment, writer + 1, size, &lease) != RING_PRODUCER_OK)
		sched_yield();
	store(&accounts[writer].begun, number);
	ring_producer_write(&segment, &lease, record, size);
	store(&accounts[writer].finished, number);
	ring_producer_release(&segment, &lease);
}

static void *write_until_killed(void *argument)
{
	unsigned writer = (unsigned)(uintptr_t)argument;
	uint64_t number = load(&accounts[writer].begun);

	for (unsigned i = 0; i < RECORDS_PER_KILL; i++)
		write_one(writer, ++number);
	for (;;)
		pause();
	return NULL;
}

static pid_t start_child(void)
{
	pthread_t thread;
	pid_t parent = getpid(), pid = fork();

	if (pid != 0)
		return pid;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent || fork_word_make() != 0)
		_exit(1);
	for (uintptr_t i = 0; i < WRITERS; i++)
		if (pthread_create(&thread, NULL, write_until_killed, (void *)i) != 0)
			_exit(1);
	for (;;)
		pause();
}

/* The daemon */

static void on_birth(const struct wire_birth *birth, void *data)
{
	uint64_t expected[WIRE_RECORD_MAX / 8];
	uint64_t number = birth->id & ((UINT64_C(1) << 40) - 1);
	unsigned writer = (unsigned)(birth->id >> 40) - 1;
	size_t size = fake_segment_birth(expected, birth->id, frames_of(birth->id));

	(void)data;
	if (birth->record.size != size || memcmp(birth, expected, size) != 0 || writer >= WRITERS ||
		number >= number_limit)
		torn++;
	else
		seen[writer][number]++;
}

static void on_death(const struct wire_death *death, void *data)
{
	(void)death;
	(void)data;
	torn++; /* nobody writes any */
}

static void drain(struct ring_consumer *consumer, bool all)
{
	static const struct record_sink sink = {.birth = on_birth, .death = on_death};
	int r;

	do {
		r = ring_consumer_round(consumer, all, 8 * RING_SIZE, &sink);
		if (r < 0)
			abort();
	} while (r == 1);
}

static uint64_t all_begun(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < WRITERS; i++)
		sum += load(&accounts[i].begun);
	return sum;
}

static void let_it_work(struct ring_consumer *consumer, pid_t pid, struct random *random)
{
	uint64_t target = all_begun() + 1 + random_below(random, RECORDS_PER_KILL);
	volatile uint64_t moment = random_below(random, 3000);

	while (all_begun() < target) {
		drain(consumer, false);
		if (waitpid(pid, NULL, WNOHANG) != 0)
			abort();
	}
	while (moment)
		moment--;
}

static void give_up_leases(void)
{
	for (unsigned i = 0; i < RINGS; i++) {
		leases_left += load(&segment.rings[i].lease) != 0;
		store(&segment.rings[i].lease, 0);
	}
}

/* Everything that its writers had finished has been seen, and their unfinished records perhaps. The
 * next child's begin after what was seen. */
static void settle(unsigned writer, uint64_t since)
{
	uint64_t begun = load(&accounts[writer].begun);
	uint64_t finished = load(&accounts[writer].finished);

	for (uint64_t number = since + 1; number <= finished; number++) {
		lost += seen[writer][number] == 0;
		doubled += seen[writer][number] > 1;
	}
	if (begun != finished) {
		unfinished++;
		surplus += begun != finished + 1 || seen[writer][begun] > 1;
	}
	surplus += seen[writer][begun + 1];
	begun = seen[writer][begun] ? begun : finished;
	store(&accounts[writer].begun, begun);
	store(&accounts[writer].finished, begun);
}

static void kill_one(struct ring_consumer *consumer, struct random *random)
{
	struct ring_consumer_stats before, after;
	uint64_t since[WRITERS];

	for (unsigned i = 0; i < WRITERS; i++)
		since[i] = load(&accounts[i].finished);
	pid_t pid = start_child();
	if (pid < 0)
		abort();
	let_it_work(consumer, pid, random);
	if (kill(pid, SIGKILL) != 0 || waitpid(pid, NULL, 0) != pid)
		abort();

	drain(consumer, false);
	drain(consumer, false);
	ring_consumer_stats(consumer, &before);
	drain(consumer, true);
	ring_consumer_stats(consumer, &after);
	only_by_sweep += after.records - before.records;
	for (unsigned i = 0; i < WRITERS; i++)
		settle(i, since[i]);
	give_up_leases();
}

static int check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
	return !ok;
}

static int verdict(struct ring_consumer *consumer, uint64_t kills)
{
	struct ring_consumer_stats stats;
	int failures = 0;

	ring_consumer_stats(consumer, &stats);
	printf("# %llu kills, %llu records; %llu unfinished, %llu found by the sweep only, "
	       "%llu leases left\n",
		(unsigned long long)kills, (unsigned long long)stats.records,
		(unsigned long long)unfinished, (unsigned long long)only_by_sweep,
		(unsigned long long)leases_left);
	failures += check(stats.records >= kills, "each child has written");
	failures += check(lost == 0, "no finished record was lost");
	failures += check(doubled == 0, "no record came twice");
	failures += check(torn == 0, "every record is as it was written");
	failures += check(surplus == 0, "at most one record per writer was in the making");
	failures += check(leases_left <= kills * WRITERS, "a writer leaves one lease at most");
	failures += check(stats.corrupt_rings + stats.corrupt_records + stats.unknown_records == 0,
		"nothing looked corrupt");
	return failures;
}

int main(void)
{
	const char *scale = getenv("SPPROF_STRESS");
	uint64_t kills = KILLS * (scale ? strtoul(scale, NULL, 10) : 1);
	struct random random = {.state = 2};
	struct ring_consumer *consumer;
	struct segment_map *map;

	accounts = mmap(NULL, WRITERS * sizeof(*accounts), PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	number_limit = kills * RECORDS_PER_KILL + 2;
	for (unsigned i = 0; i < WRITERS; i++)
		if (!(seen[i] = calloc(1, number_limit)))
			abort();
	if (accounts == MAP_FAILED ||
		segment_create(&segment, &(struct segment_facts){.ring_count = RINGS,
						 .ring_size = RING_SIZE,
						 .interval_bytes = 1,
						 .now_ns = 1}) != 0)
		abort();
	own_segment(segment.fd);
	if (segment_source_open(&map, &segment) != 0 || ring_consumer_new(&consumer, map) != 0)
		abort();
	for (uint64_t i = 0; i < kills; i++)
		kill_one(consumer, &random);
	int failures = verdict(consumer, kills);
	printf("1..%d\n", tests);
	ring_consumer_free(consumer);
	segment_map_free(map);
	for (unsigned i = 0; i < WRITERS; i++)
		free(seen[i]);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
