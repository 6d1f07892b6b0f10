/*
 * The agent's ring_producer against the daemon's ring_consumer: more threads than rings, small
 * rings that fill and wrap all the time, random budgets. Records are numbered per thread and their
 * content follows from the number, so that one lost, doubled or torn is seen.
 *
 * Also checked is what makes the daemon's bookkeeping of deaths right: what a thread had written
 * before a record that one round delivered is there at the latest when the next round ends. No
 * sweep helps: the dirty word alone must lead to everything.
 *
 * TAP. SPPROF_STRESS scales the work.
 */
#include "config.h"
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "fork_word.h"
#include "ingest/ring_consumer.h"
#include "ingest/segment_map.h"
#include "ring_producer.h"
#include "segment.h"
#include "stress/segment_source.h"
#include "support/fake_segment.h"
#include "support/random.h"
#include "support/own_segment.h"

enum { THREADS = 6, RINGS = 4, RING_SIZE = WIRE_MIN_RING_SIZE, RECORDS = 200000 };

static struct segment segment;
static uint64_t record_count; /* per thread */
static _Atomic int running;
static _Atomic uint64_t found_full, found_taken;

/* The consumer's view of one thread. */
static struct {
	uint8_t *births, *deaths;	/* times seen, by number */
	uint64_t whole;			/* all numbers up to this one were seen */
	uint64_t newest, newest_before; /* delivered by this round, and by the one before */
} seen[THREADS];

static uint64_t torn, misplaced, overdue;
static int tests;

static uint64_t id_of(unsigned thread, uint64_t number)
{
	return (uint64_t)(thread + 1) << 40 | number;
}

static uint16_t frames_of(uint64_t id)
{
	return wire_digest(id) % 16 ? (uint16_t)(wire_digest(id) % 40) : 300;
}

static bool dies_at_once(uint64_t id)
{
	return id % 3 == 0;
}

static void lease(uint32_t tid, uint32_t bytes, struct ring_lease *out)
{
	enum ring_producer_result r;

	while ((r = ring_producer_lease(&segment, tid, bytes, out)) != RING_PRODUCER_OK) {
		/* relaxed: statistics */
		atomic_fetch_add_explicit(r == RING_PRODUCER_FULL ? &found_full : &found_taken, 1,
			memory_order_relaxed);
		sched_yield();
	}
}

static void *produce(void *argument)
{
	unsigned thread = (unsigned)(uintptr_t)argument;
	uint64_t birth[WIRE_RECORD_MAX / 8], death[sizeof(struct wire_death) / 8];
	struct ring_lease held;

	for (uint64_t number = 1; number <= record_count; number++) {
		uint64_t id = id_of(thread, number);
		uint32_t size = (uint32_t)fake_segment_birth(birth, id, frames_of(id));

		lease(thread + 1, size + sizeof(death), &held);
		ring_producer_write(&segment, &held, birth, size);
		if (dies_at_once(id)) {
			fake_segment_death(death, id);
			ring_producer_write(&segment, &held, death, sizeof(death));
		}
		ring_producer_release(&segment, &held);
	}
	/* release: what this thread wrote is in the rings before the consumer sees it end */
	atomic_fetch_sub_explicit(&running, 1, memory_order_release);
	return NULL;
}

static bool locate(uint64_t id, unsigned *thread, uint64_t *number)
{
	*thread = (unsigned)(id >> 40) - 1;
	*number = id & ((UINT64_C(1) << 40) - 1);
	if (*thread<THREADS && * number> 0 && *number <= record_count)
		return true;
	misplaced++;
	return false;
}

static void on_birth(const struct wire_birth *birth, void *data)
{
	uint64_t expected[WIRE_RECORD_MAX / 8], number;
	size_t size = fake_segment_birth(expected, birth->id, frames_of(birth->id));
	unsigned thread;

	(void)data;
	torn += birth->record.size != size || memcmp(birth, expected, size) != 0;
	if (!locate(birth->id, &thread, &number))
		return;
	seen[thread].births[number]++;
	if (number > seen[thread].newest)
		seen[thread].newest = number;
}

static void on_death(const struct wire_death *death, void *data)
{
	uint64_t expected[sizeof(*death) / 8], number;
	unsigned thread;

	(void)data;
	fake_segment_death(expected, death->id);
	torn += memcmp(death, expected, sizeof(*death)) != 0;
	if (locate(death->id, &thread, &number))
		seen[thread].deaths[number]++;
}

static void end_round(void)
{
	for (unsigned i = 0; i < THREADS; i++) {
		while (seen[i].whole < record_count && seen[i].births[seen[i].whole + 1])
			seen[i].whole++;
		overdue += seen[i].whole < seen[i].newest_before;
		seen[i].newest_before = seen[i].newest;
	}
}

static void round_of_calls(struct ring_consumer *consumer, struct random *random)
{
	static const struct record_sink sink = {.birth = on_birth, .death = on_death};
	int r;

	do {
		uint64_t budget = 1 + random_below(random, 4 * RING_SIZE);
		r = ring_consumer_round(consumer, false, budget, &sink);
		if (r < 0)
			abort();
	} while (r == 1);
	end_round();
}

static void consume(struct ring_consumer *consumer)
{
	struct random random = {.state = 1};

	/* acquire: pairs with the release at the end of each thread */
	while (atomic_load_explicit(&running, memory_order_acquire) > 0)
		round_of_calls(consumer, &random);
	for (unsigned i = 0; i < 3; i++)
		round_of_calls(consumer, &random);
}

static void run(struct ring_consumer *consumer)
{
	pthread_t threads[THREADS];

	/* relaxed: before the threads are */
	atomic_store_explicit(&running, THREADS, memory_order_relaxed);
	for (uintptr_t i = 0; i < THREADS; i++)
		if (pthread_create(&threads[i], NULL, produce, (void *)i) != 0)
			abort();
	consume(consumer);
	for (unsigned i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
}

static int check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
	return !ok;
}

static int verdict(struct ring_consumer *consumer)
{
	uint64_t missing = 0, doubled = 0;
	struct ring_consumer_stats stats;
	int failures = 0;

	for (unsigned i = 0; i < THREADS; i++) {
		for (uint64_t n = 1; n <= record_count; n++) {
			unsigned deaths = dies_at_once(id_of(i, n));
			missing += seen[i].births[n] == 0 || seen[i].deaths[n] < deaths;
			doubled += seen[i].births[n] > 1 || seen[i].deaths[n] > deaths;
		}
	}
	ring_consumer_stats(consumer, &stats);
	printf("# %llu records, %llu bytes in %llu rounds; rings were full %llu times, taken "
	       "%llu\n",
		(unsigned long long)stats.records, (unsigned long long)stats.bytes,
		(unsigned long long)stats.rounds, (unsigned long long)found_full,
		(unsigned long long)found_taken);
	failures += check(missing == 0, "no record was lost");
	failures += check(doubled == 0, "no record came twice");
	failures += check(torn == 0 && misplaced == 0, "every record is as it was written");
	failures += check(overdue == 0,
		"what came before a record of one round is there when the next has ended");
	failures += check(stats.corrupt_rings + stats.corrupt_records + stats.unknown_records == 0,
		"nothing looked corrupt");
	failures += check(stats.bytes > (uint64_t)RINGS * RING_SIZE * 10, "every ring wrapped");
	return failures;
}

int main(void)
{
	const char *scale = getenv("SPPROF_STRESS");
	struct ring_consumer *consumer;
	struct segment_map *map;

	record_count = RECORDS * (scale ? strtoul(scale, NULL, 10) : 1);
	for (unsigned i = 0; i < THREADS; i++) {
		seen[i].births = calloc(1, record_count + 1);
		seen[i].deaths = calloc(1, record_count + 1);
		if (!seen[i].births || !seen[i].deaths)
			abort();
	}
	if (fork_word_make() != 0 ||
		segment_create(&segment, &(struct segment_facts){.ring_count = RINGS,
						 .ring_size = RING_SIZE,
						 .interval_bytes = 1,
						 .now_ns = 1}) != 0)
		abort();
	own_segment(segment.fd);
	if (segment_source_open(&map, &segment) != 0 || ring_consumer_new(&consumer, map) != 0)
		abort();
	run(consumer);
	int failures = verdict(consumer);
	printf("1..%d\n", tests);
	ring_consumer_free(consumer);
	segment_map_free(map);
	for (unsigned i = 0; i < THREADS; i++) {
		free(seen[i].births);
		free(seen[i].deaths);
	}
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
