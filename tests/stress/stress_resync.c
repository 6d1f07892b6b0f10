/*
 * Random scenarios against the daemon's promise: whatever was lost, whoever was killed, came late or
 * forked, once the copy is confirmed it is the worker's map, sample by sample, stacks included. The
 * agent's real modules under threads on one side, the daemon's on the other, in one process; a daemon
 * that is killed leaves what its successor finds, the segment. Each scenario follows from its number
 * but for what the threads make of it.
 *
 * TAP. SPPROF_STRESS scales the number of scenarios, SPPROF_SCENARIO runs one alone.
 */
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "spprof/wire/segment.h"
#include "stress/resync_daemon.h"
#include "stress/resync_worker.h"
#include "support/random.h"

#define MS UINT64_C(1000000)

#ifdef __SANITIZE_THREAD__
enum { SCENARIOS = 250 }; /* each takes many times as long */
#else
enum { SCENARIOS = 1000 };
#endif
enum { PATIENCE_S = 60 };

struct scenario {
	struct random random;
	unsigned number;
	struct worker_plan plan;
	unsigned kills, forks;				   /* still to come */
	unsigned kill_one_in, pause_one_in, signal_one_in; /* moments of the daemon; 0: never */
	uint64_t idle_until;				   /* worker_steps() */
};

/* What has happened, in scenarios, in order to know that it was tested. */
static struct {
	unsigned lost_births, lost_deaths, killed, forked, late, taken_back, levels, not_kept,
		refused;
	unsigned at_rest, secret, unannounced_dead;
	uint64_t kills, samples, lives, compared, died_while_told;
} seen;

static unsigned unconfirmed, different, untidy;

static uint64_t below(struct scenario *scenario, uint64_t bound)
{
	return random_below(&scenario->random, bound);
}

static bool one_in(struct scenario *scenario, unsigned n)
{
	return n > 0 && below(scenario, n) == 0;
}

static void draw(struct scenario *scenario, unsigned number)
{
	*scenario = (struct scenario){.random = {.state = number}, .number = number};
	bool busy = one_in(scenario, 2), crowded = !busy && one_in(scenario, 2);
	scenario->plan = (struct worker_plan){
		.seed = number,
		.threads = 1 + (unsigned)below(scenario, WORKER_MAX_THREADS),
		.boxes = busy ? 3 + (unsigned)below(scenario, 6)
			      : 20 + (unsigned)below(scenario, crowded ? 80 : 300),
		.operations = 50 + (unsigned)below(scenario, one_in(scenario, 3) ? 6000 : 800),
		.ring_count = 1 + (uint32_t)below(scenario, 4),
		.ring_size = WIRE_MIN_RING_SIZE << (one_in(scenario, 4) ? 2 : 0),
		.crowded = crowded,
		.few_stacks = one_in(scenario, 4),
	};
	scenario->kills = (unsigned)below(scenario, 4);
	scenario->forks = one_in(scenario, 3) ? 1 + (unsigned)below(scenario, 2) : 0;
	scenario->kill_one_in = 4u << below(scenario, 5);
	scenario->pause_one_in = one_in(scenario, 2) ? 4u << below(scenario, 3) : 0;
	scenario->signal_one_in = one_in(scenario, 2) ? 1u << below(scenario, 4) : 0;
	if (one_in(scenario, 4))
		scenario->idle_until = 1 + below(scenario, 1000);
}

static uint64_t some_time(struct scenario *scenario)
{
	static const uint64_t spans[] = {MS / 10, MS, 5 * MS, 50 * MS, 300 * MS};
	uint64_t longest = spans[below(scenario, sizeof spans / sizeof spans[0])];

	return daemon_waits() ? 10000 * MS : 1 + below(scenario, longest);
}

static void kill_daemon(struct scenario *scenario)
{
	daemon_kill();
	seen.kills++;
	scenario->kills--;
	if (one_in(scenario, 2))
		scenario->idle_until = worker_steps() + below(scenario, 400);
}

/* One thing that the daemon does, or that is done to it. */
static void pass(struct scenario *scenario, bool all)
{
	if (!daemon_runs())
		daemon_start(worker_fd());
	else if (scenario->kills > 0 && one_in(scenario, scenario->kill_one_in))
		kill_daemon(scenario);
	else if (one_in(scenario, 50))
		daemon_hurry();
	else
		daemon_pass(some_time(scenario), all || one_in(scenario, 3),
			one_in(scenario, 4) ? 1 + below(scenario, 4096) : UINT64_MAX);
}

static void watch(struct scenario *scenario)
{
	worker_start(WORKER_MUTATE);
	while (!worker_is_done()) {
		if (one_in(scenario, scenario->signal_one_in) && daemon_runs() && daemon_asks())
			worker_interrupt((unsigned)below(scenario, WORKER_MAX_THREADS));
		if (worker_steps() < scenario->idle_until)
			sched_yield();
		else if (daemon_runs() && one_in(scenario, scenario->pause_one_in))
			scenario->idle_until = worker_steps() + below(scenario, 400);
		else
			pass(scenario, false);
	}
	worker_stop();
	seen.late += scenario->idle_until > 0 && !daemon_runs();
	scenario->idle_until = 0;
}

/* The worker changes nothing any more. Until the daemon, which has drained all, is sure of its copy. */
static bool settle(struct scenario *scenario, bool at_rest)
{
	struct timespec now, begin;
	unsigned rounds = 0;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (now = begin; now.tv_sec < begin.tv_sec + PATIENCE_S;
		clock_gettime(CLOCK_MONOTONIC, &now)) {
		if (scenario->kills > 0 || !daemon_runs()) {
			pass(scenario, true);
			rounds = 0;
			continue;
		}
		rounds += daemon_pass(some_time(scenario), true, UINT64_MAX);
		enum daemon_verdict verdict = daemon_verdict();
		if (rounds > 3 &&
			(verdict == DAEMON_CONFIRMED || (at_rest && verdict == DAEMON_HOLDS)))
			return true;
		sched_yield();
	}
	return false;
}

struct comparison {
	struct worker_block *blocks; /* by id; id 0: not in the map */
	uint64_t last_id;
	uint64_t in_map, in_copy, wrong, digest;
	const char *first; /* what was wrong */
	uint64_t first_id;
};

static void note(const struct worker_block *block, void *data)
{
	struct comparison *comparison = data;

	comparison->blocks[block->id] = *block;
	comparison->in_map++;
	comparison->digest += wire_digest(block->id);
}

static bool same_stack(const struct worker_block *block, const struct daemon_sample *sample)
{
	struct worker_stack stack = worker_stack(block->stack);

	if (sample->not_kept)
		return !block->kept;
	return sample->frame_count == stack.count && sample->stop == stack.stop &&
	       sample->guessed == stack.guessed &&
	       memcmp(sample->frames, stack.frames, stack.count * sizeof stack.frames[0]) == 0;
}

static const char *what_is_wrong(struct comparison *comparison, const struct daemon_sample *sample)
{
	if (sample->id > comparison->last_id || comparison->blocks[sample->id].id == 0)
		return "it does not live";
	const struct worker_block *block = &comparison->blocks[sample->id];
	if (sample->address != block->address || sample->tid != block->tid)
		return "its address or thread";
	if (sample->size_bytes != block->size_bytes ||
		sample->interval_bytes != block->interval_bytes ||
		sample->birth_ns != block->birth_ns)
		return "its numbers";
	return same_stack(block, sample) ? NULL : "its stack";
}

static void compare_sample(const struct daemon_sample *sample, void *data)
{
	struct comparison *comparison = data;
	const char *wrong = what_is_wrong(comparison, sample);

	comparison->in_copy++;
	seen.compared++;
	if (sample->id <= comparison->last_id)
		comparison->blocks[sample->id].id = 0; /* twice is once too often */
	if (!wrong)
		return;
	comparison->wrong++;
	comparison->first = wrong;
	comparison->first_id = sample->id;
}

/* A copy that is confirmed is also one that the worker's own digest agrees with. */
static bool digests_agree(const struct comparison *comparison)
{
	uint64_t live, digest, announced, announced_digest;

	daemon_digest(&live, &digest);
	worker_digest(&announced, &announced_digest);
	if (live != comparison->in_map || digest != comparison->digest)
		return false;
	return daemon_verdict() != DAEMON_CONFIRMED ||
	       (announced == live && announced_digest == digest);
}

static void compare(const struct scenario *scenario)
{
	struct comparison comparison = {.last_id = worker_last_id()};

	comparison.blocks = calloc(comparison.last_id + 1, sizeof *comparison.blocks);
	worker_each(note, &comparison);
	daemon_each(compare_sample, &comparison);
	bool agree = digests_agree(&comparison);
	if (comparison.wrong > 0 || comparison.in_copy != comparison.in_map || !agree) {
		printf("# scenario %u: %" PRIu64 " live, the copy has %" PRIu64 ", wrong %" PRIu64
		       " (%" PRIu64 ": %s), digests %s\n",
			scenario->number, comparison.in_map, comparison.in_copy, comparison.wrong,
			comparison.first_id, comparison.first ? comparison.first : "none",
			agree ? "agree" : "differ");
		different++;
	}
	free(comparison.blocks);
}

/* Once the worker has been asked: a block that is being told dies at that moment. */
static void die_while_told(struct scenario *scenario)
{
	for (unsigned i = 0; i < 100 && !(daemon_runs() && daemon_asks()); i++)
		pass(scenario, true);
	if (daemon_runs() && daemon_asks())
		seen.died_while_told += worker_die_while_told();
}

static void settle_and_compare(struct scenario *scenario, bool at_rest)
{
	char text[200];

	if (!at_rest)
		worker_start(WORKER_TURNS);
	bool settled = settle(scenario, at_rest);
	if (!at_rest)
		worker_stop();
	/* Nothing that the last turns told may change it any more. */
	if (settled)
		settled = settle(scenario, at_rest);
	if (settled) {
		seen.at_rest += at_rest;
		seen.secret += daemon_verdict() == DAEMON_HOLDS;
		compare(scenario);
		return;
	}
	daemon_describe(text, sizeof text);
	printf("# scenario %u: not confirmed after %d s: %s\n", scenario->number, PATIENCE_S, text);
	unconfirmed++;
}

static void add_up(struct worker_sums *sums)
{
	struct worker_sums one;

	worker_sums(&one);
	sums->lost_births += one.lost_births;
	sums->lost_deaths += one.lost_deaths;
	sums->lives += one.lives;
	sums->refused_turns += one.refused_turns;
	sums->not_kept += one.not_kept;
	sums->unannounced_dead += one.unannounced_dead;
	sums->samples += one.samples;
	sums->levels = one.levels;
}

static void remember(const struct scenario *drawn, const struct worker_sums *sums)
{
	seen.lost_births += sums->lost_births > 0;
	seen.lost_deaths += sums->lost_deaths > 0;
	seen.refused += sums->refused_turns > 0;
	seen.not_kept += sums->not_kept > 0;
	seen.unannounced_dead += sums->unannounced_dead > 0;
	seen.levels += sums->levels > 1;
	seen.samples += sums->samples;
	seen.lives += sums->lives;
	seen.killed += drawn->kills > 0;
	seen.forked += drawn->forks > 0;
}

static void run(unsigned number)
{
	struct scenario scenario;
	struct worker_sums sums = {0};
	struct daemon_sums before, after;

	daemon_sums(&before);
	draw(&scenario, number);
	const struct scenario drawn = scenario;
	worker_make(&scenario.plan);
	scenario.idle_until += scenario.idle_until > 0 ? worker_steps() : 0;
	for (;;) {
		watch(&scenario);
		if (one_in(&scenario, 3))
			settle_and_compare(&scenario, true);
		add_up(&sums);
		if (scenario.forks == 0)
			break;
		scenario.forks--;
		daemon_kill(); /* its parent's, which the child does not care about */
		worker_fork();
	}
	if (one_in(&scenario, 3))
		die_while_told(&scenario);
	settle_and_compare(&scenario, false);
	daemon_kill();
	daemon_sums(&after);
	seen.taken_back += after.taken_back != before.taken_back;
	remember(&drawn, &sums);
	if (!worker_end()) {
		printf("# scenario %u: stacks are left\n", number);
		untidy++;
	}
}

static int tests;

static int check(bool ok, const char *what)
{
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
	return !ok;
}

static int report(void)
{
	struct daemon_sums sums;

	daemon_sums(&sums);
	printf("# %" PRIu64 " samples, %" PRIu64 " told again, %" PRIu64 " compared; %" PRIu64
	       " requests, %" PRIu64 " confirmations, %" PRIu64 " readings; %" PRIu64
	       " samples swept, %" PRIu64 " taken back\n",
		seen.samples, seen.lives, seen.compared, sums.requests, sums.confirmations,
		sums.readings, sums.swept, sums.taken_back);
	printf("# scenarios with lost births: %u, lost deaths: %u, deaths never told of: %u, "
	       "kills: %u (%" PRIu64 " in all), forks: %u, no daemon until the end: %u\n",
		seen.lost_births, seen.lost_deaths, seen.unannounced_dead, seen.killed, seen.kills,
		seen.forked, seen.late);
	printf("# with lives taken back: %u (%" PRIu64
	       " while they were told), turns without room: %u, stacks not kept: %u, several "
	       "levels: "
	       "%u, at rest: %u, of these with blocks that were never told: %u\n",
		seen.taken_back, seen.died_while_told, seen.refused, seen.not_kept, seen.levels,
		seen.at_rest, seen.secret);
	int failures = check(unconfirmed == 0, "every copy was confirmed in the end");
	failures += check(different == 0, "a confirmed copy is the map, sample by sample");
	return failures + check(untidy == 0, "no stack outlives its blocks");
}

/* A mix in which something does not occur tests nothing of it. */
static int check_mix(void)
{
	int failures =
		check(seen.lost_births > 0 && seen.lost_deaths > 0, "births and deaths were lost");

	failures += check(seen.unannounced_dead > 0, "blocks died that had never been told");
	failures += check(seen.kills > 0 && seen.late > 0, "daemons were killed and came late");
	failures += check(seen.forked > 0, "workers forked");
	failures += check(seen.taken_back > 0 && seen.died_while_told > 0, "lives were taken back");
	failures += check(seen.refused > 0, "turns found no room");
	failures += check(seen.not_kept > 0 && seen.levels > 0, "stores and windows were full");
	return failures + check(seen.secret > 0,
				  "blocks that were never told were read from a worker at rest");
}

int main(void)
{
	const char *scale = getenv("SPPROF_STRESS"), *only = getenv("SPPROF_SCENARIO");
	unsigned scenarios = SCENARIOS * (scale ? (unsigned)atol(scale) : 1);

	worker_begin();
	if (only)
		run((unsigned)atol(only));
	for (unsigned i = 0; i < scenarios && !only; i++)
		run(i);
	int failures = report();
	if (!only)
		failures += check_mix();
	printf("1..%d\n", tests);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
