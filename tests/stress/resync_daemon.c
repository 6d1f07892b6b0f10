/* session.c without processes: a round is drained, then tended to. The wall clock and the reading are
 * defined elsewhere in this program, so the linker leaves the real ones out. */
#include "config.h"
#include "stress/resync_daemon.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include "ingest/ring_consumer.h"
#include "ingest/segment_map.h"
#include "model/heap_model.h"
#include "model/stack_table.h"
#include "server/module_map.h"
#include "server/options.h"
#include "server/process_handle.h"
#include "server/sample_feed.h"
#include "server/session_codes.h"
#include "server/session_resync.h"
#include "server/wall_clock.h"
#include "support/fake_reading.h"

static struct {
	bool runs;
	struct process_handle process;
	struct segment_map *segment;
	struct ring_consumer *consumer;
	struct ring_consumer_stats last;
	struct module_map *modules;
	struct session_codes *codes;
	struct sample_feed *feed;
	struct session_resync resync;
	bool in_round;
} session;

static uint64_t now_ns = UINT64_C(1000000000000);
static struct daemon_sums sums;

uint64_t wall_clock_monotonic_ns(void)
{
	return now_ns;
}

uint64_t wall_clock_unix_ns(void)
{
	return now_ns;
}

uint64_t wall_clock_unix_of_monotonic(uint64_t monotonic_ns)
{
	return monotonic_ns;
}

static void must(int result, const char *what)
{
	if (result >= 0)
		return;
	printf("Bail out! %s: %d\n", what, result);
	fflush(stdout);
	abort();
}

static bool no_mappings(uint32_t epoch, void *data)
{
	(void)epoch, (void)data;
	return false;
}

static bool same_program(const struct process_texts *texts, void *data)
{
	(void)texts, (void)data;
	return true;
}

/* It is looked at all the time. */
static void wake(void *data)
{
	(void)data;
}

void daemon_start(int segment_fd)
{
	static const struct options_limits limits = {
		.max_live = 1u << 20, .max_stacks = 1u << 16, .max_stack_bytes = 16u << 20};

	session.process = PROCESS_HANDLE_INIT;
	session.last = (struct ring_consumer_stats){0};
	session.in_round = false;
	must(process_handle_open(&session.process, getpid(), -1), "this process");
	must(segment_map_new(&session.segment, fcntl(segment_fd, F_DUPFD_CLOEXEC, 0), NULL),
		"the segment");
	must(module_map_new(&session.modules), "modules");
	must(session_codes_new(&session.codes, session.segment, SESSION_CODES_MAX_BYTES), "codes");
	must(sample_feed_new(
		     &session.feed, &limits, session.modules, session.codes, no_mappings, NULL),
		"feed");
	bool before = segment_map_taken_bytes(session.segment) > 0;
	must(ring_consumer_new(&session.consumer, session.segment), "consumer");
	session.resync = (struct session_resync){
		.feed = session.feed,
		.segment = session.segment,
		.process = &session.process,
		.same_program = same_program,
		.wake = wake,
		.max_live = limits.max_live,
	};
	session_resync_begin(&session.resync, before, NULL, NULL, 0);
	session.runs = true;
}

static void add_up(void)
{
	const struct resync *state = &session.resync.state;
	struct heap_totals totals;

	heap_model_totals(sample_feed_heap(session.feed), &totals);
	sums.requests += state->requests;
	sums.confirmations += state->confirmations;
	sums.readings += state->readings;
	sums.swept += totals.inferred_deaths;
}

void daemon_kill(void)
{
	if (!session.runs)
		return;
	add_up();
	session_resync_end(&session.resync);
	session.consumer = ring_consumer_free(session.consumer);
	session.feed = sample_feed_free(session.feed);
	session.modules = module_map_free(session.modules);
	session.codes = session_codes_free(session.codes);
	session.segment = segment_map_free(session.segment);
	process_handle_close(&session.process);
	session.runs = false;
}

bool daemon_runs(void)
{
	return session.runs;
}

/* The session's sink, counting on the way. */
static void on_death(const struct wire_death *death, void *data)
{
	sums.taken_back += death->epoch != 0;
	session_resync_sink(data).death(death, data);
}

bool daemon_pass(uint64_t advance_ns, bool all, uint64_t max_bytes)
{
	struct record_sink sink = session_resync_sink(&session.resync);

	sink.death = on_death;
	now_ns += advance_ns;
	fake_reading_goes_on();
	all = all || session_resync_needs_round(&session.resync);
	if (!session.in_round)
		session_resync_round_begins(&session.resync, &session.last);
	session.in_round = true;
	int left = ring_consumer_round(session.consumer, all, max_bytes, &sink);
	must(left, "the rings can be read");
	ring_consumer_stats(session.consumer, &session.last);
	if (left > 0)
		return false;
	sample_feed_end_round(session.feed);
	session.in_round = false;
	session_resync_round_ended(&session.resync, &session.last);
	must(session.last.corrupt_records + session.last.corrupt_rings > 0 ? -1 : 0,
		"the records make sense");
	return true;
}

void daemon_hurry(void)
{
	resync_hurry(&session.resync.state, now_ns);
}

bool daemon_asks(void)
{
	return session.resync.state.phase == RESYNC_ASKED;
}

bool daemon_waits(void)
{
	const struct resync *state = &session.resync.state;

	return !session_resync_needs_round(&session.resync) && !state->reading &&
	       state->phase != RESYNC_CONFIRMED &&
	       (state->phase == RESYNC_WANTED || now_ns < state->read_after_ns ||
		       now_ns < state->read_rest_ns);
}

static struct resync_view view(void)
{
	struct segment_counters counters;

	segment_map_counters(session.segment, &counters);
	return session_resync_view(&session.resync, &counters, &session.last);
}

enum daemon_verdict daemon_verdict(void)
{
	struct resync_view now = view();

	if (session.resync.state.phase == RESYNC_CONFIRMED)
		return DAEMON_CONFIRMED;
	return resync_holds(&session.resync.state, &now) ? DAEMON_HOLDS : DAEMON_UNSURE;
}

void daemon_describe(char *text, size_t size)
{
	const struct resync *state = &session.resync.state;

	snprintf(text, size, "phase %d, reason %d, epoch %u, %u lives, end %d of %u, read error %d",
		(int)state->phase, (int)state->reason, state->epoch, state->lives, state->end,
		state->end_lives, state->read_error);
}

void daemon_digest(uint64_t *live, uint64_t *digest)
{
	struct heap_totals totals;

	heap_model_totals(sample_feed_heap(session.feed), &totals);
	*live = totals.live;
	*digest = totals.digest;
}

struct visit {
	void (*visit)(const struct daemon_sample *sample, void *data);
	void *data;
};

static void visit_entry(const struct heap_birth *entry, void *data)
{
	const struct visit *visit = data;
	struct stack_view stack = stack_table_get(sample_feed_stacks(session.feed), entry->stack);
	uint64_t frames[WIRE_MAX_FRAMES];

	for (uint32_t i = 0; i < stack.frame_count; i++)
		frames[i] = stack.frames[i].pc;
	const struct daemon_sample sample = {
		.id = entry->id,
		.address = entry->address,
		.size_bytes = entry->size_bytes,
		.interval_bytes = entry->interval_bytes,
		.birth_ns = entry->time_ns,
		.tid = entry->tid,
		.frames = frames,
		.frame_count = stack.frame_count,
		.stop = stack.stop,
		.guessed = stack.guessed,
		.not_kept =
			stack.frame_count == 1 && stack.frames[0].module == STACK_MODULE_NOT_KEPT,
	};
	visit->visit(&sample, visit->data);
}

void daemon_each(void (*visit)(const struct daemon_sample *sample, void *data), void *data)
{
	struct visit wrapped = {visit, data};

	heap_model_each_live(sample_feed_heap(session.feed), visit_entry, &wrapped);
}

void daemon_sums(struct daemon_sums *out)
{
	*out = sums;
}
