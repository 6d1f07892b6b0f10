/*
 * Invariant: `segment` and the consumer of `rounds` live exactly as long as there may be something to drain;
 * everything that answers need after that is in the model or was copied at the end. The process is kept
 * for longer: while its pidfd is open it can be asked whether its number is another one's by now.
 */
#include "config.h"
#include "server/session.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "base/log.h"
#include "model/heap_model.h"
#include "server/options.h"
#include "server/process_reader.h"
#include "server/segment_lock.h"
#include "server/session_audit.h"
#include "server/session_codes.h"
#include "server/session_copy.h"
#include "server/session_identity.h"
#include "server/session_maps.h"
#include "server/session_marks.h"
#include "server/session_program.h"
#include "server/session_resync.h"
#include "server/session_rounds.h"
#include "server/session_sums.h"
#include "server/wall_clock.h"

#define HOLD_MS 1000u

struct session {
	unsigned references;
	struct session_facts facts;
	struct process_handle process;
	struct session_identity identity;
	struct segment_info segment_info;
	struct segment_map *segment; /* owns; NULL once ended */
	int lock_fd;		     /* owns: says that no other daemon may drain; -1 once ended */
	struct session_rounds rounds;
	struct session_maps maps;
	struct session_program program;
	struct session_codes *codes; /* owns */
	struct session_marks marks;
	struct sample_feed *feed; /* owns */
	struct session_resync resync;
	struct session_audit audit;
	struct session_copy copy;
	struct session_sums sums;
	void (*wake)(void *data); /* NULL: nobody */
	void *wake_data;
};

/* The process runs another program by now: nothing that can be read of it is about ours. */
static void forget_process(struct session *session, const struct session_claim *claim)
{
	process_handle_close_directory(&session->process);
	session_identity_forget(&session->identity, claim->uid);
}

static void describe_identity(struct session *session)
{
	const struct process_info *info = &session->identity.info;
	session->facts.parent_pid = info->parent_pid;
	session->facts.uid = info->uid;
	session->facts.single_uid = info->single_uid;
	session->facts.comm = info->comm;
	session->facts.exe = info->exe;
	session->facts.command_line = info->command_line;
}

static void describe(struct session *session, const struct session_claim *claim)
{
	session->facts = (struct session_facts){
		.pid = claim->process.pid,
		.attach = claim->attach,
		.since_unix_ns = wall_clock_unix_of_monotonic(session->segment_info.load_ns),
	};
}

static struct session *destroy(struct session *session)
{
	segment_lock_release(&session->lock_fd);
	session_audit_deinit(&session->audit);
	sample_feed_free(session->feed);
	session_codes_free(session->codes);
	session_marks_deinit(&session->marks);
	session_maps_deinit(&session->maps);
	session_rounds_deinit(&session->rounds);
	session_identity_deinit(&session->identity);
	free(session);
	return NULL;
}

static bool same_program(const struct process_texts *texts, void *data)
{
	struct session *session = data;
	return session_program_is_same(&session->program, texts);
}

static void on_learnt(void *data)
{
	describe_identity(data);
}

static void wake(void *data)
{
	struct session *session = data;
	if (session->wake != NULL)
		session->wake(session->wake_data);
}

static void begin_asking(struct session *session, const struct session_means *means)
{
	session->maps.reader = means->reader;
	session->maps.hold_ns = (means->hold_ms > 0 ? means->hold_ms : HOLD_MS) * UINT64_C(1000000);
	session->maps.ask.uid = session->facts.uid;
	session->maps.wake = wake;
	session->maps.data = session;
}

static void begin_looking(struct session *session)
{
	session->program.identity = &session->identity;
	session->program.maps = &session->maps;
	session->program.feed = session->feed;
	session->program.inner_pid = session->segment_info.pid_hint;
	session->program.learnt = on_learnt;
	session->program.data = session;
	session->program.ask.uid = session->facts.uid;
}

static void begin_resync(struct session *session, bool read_before,
	const struct options_limits *limits, const struct session_means *means)
{
	session->resync.max_live = limits->max_live;
	session->resync.wake = wake;
	session->resync.feed = session->feed;
	session->resync.segment = session->segment;
	session->resync.process = &session->process;
	session->resync.same_program = same_program;
	session->resync.data = session;
	session_resync_begin(
		&session->resync, read_before, means->places, means->reader, session->facts.uid);
}

/* Above those that were told of and, where they have not all been, above as many as the worker has counted since it gave
 * its first id: each sample has one, and is counted when it has been told. */
static uint64_t next_id(const struct session *session)
{
	struct segment_counters counters;
	session_copy_counters(&session->copy, &counters);
	uint64_t told = heap_model_next_id(sample_feed_heap(session->feed));
	uint64_t first = session->segment_info.first_id > 0 ? session->segment_info.first_id : 1;
	uint64_t counted = first + counters.samples;
	return counted > told ? counted : told;
}

static void begin_copy(struct session *session, uint64_t read_before)
{
	session->copy.segment = session->segment;
	session->copy.taken = &session->rounds.taken;
	session->copy.feed = session->feed;
	session->copy.resync = &session->resync;
	session_copy_begin(&session->copy, session->facts.attach == SESSION_PULL, read_before);
}

/* What can fail; whoever gives up calls destroy. */
static int init_parts(struct session *session, const struct session_claim *claim,
	const struct options_limits *limits)
{
	int r = session_identity_begin(&session->identity, claim, session->segment_info.pid_hint);
	if (r == 0)
		r = segment_lock_take(claim->segment, &session->lock_fd);
	if (r == 0)
		r = session_maps_init(&session->maps, &session->process, claim->segment);
	if (r == 0)
		r = session_codes_new(&session->codes, claim->segment, SESSION_CODES_MAX_BYTES);
	if (r == 0)
		r = sample_feed_new(&session->feed, limits, session->maps.modules, session->codes,
			session_maps_refresh, &session->maps);
	if (r == 0)
		r = session_rounds_init(&session->rounds, claim->segment, &session->resync,
			&session->audit, session->codes);
	return r;
}

static void take_over(struct session *session, struct session_claim *claim)
{
	session->segment = TAKE(claim->segment);
	session->process = claim->process;
	claim->process = PROCESS_HANDLE_INIT;
	session_maps_begin(&session->maps, session->segment, claim->texts);
	if (session->maps.replaced)
		forget_process(session, claim);
	session_identity_guess(&session->identity, session->maps.modules);
}

static void begin_parts(struct session *session, const struct options_limits *limits,
	const struct session_means *means)
{
	uint64_t read_before = session->rounds.read_before;
	begin_asking(session, means);
	begin_looking(session);
	begin_resync(session, read_before > 0, limits, means);
	session_audit_init(&session->audit, session, sample_feed_tally(session->feed));
	begin_copy(session, read_before);
	if (session_marks_begin(&session->marks, session->segment))
		heap_model_log_deaths(sample_feed_heap(session->feed), next_id(session));
	if (read_before > 0)
		sample_feed_hears_from(session->feed, wall_clock_monotonic_ns());
	else if (session->segment_info.flags & WIRE_FLAG_FORKED)
		sample_feed_hears_from(session->feed, session->segment_info.load_ns);
}

int session_new(struct session **out, struct session_claim *claim,
	const struct options_limits *limits, const struct session_means *means)
{
	struct session *session = alloc_zeroed(1, sizeof *session);
	session->references = 1;
	session->process = PROCESS_HANDLE_INIT;
	session->lock_fd = -1;
	session->segment_info = *segment_map_info(claim->segment);
	int r = init_parts(session, claim, limits);
	if (r < 0) {
		destroy(session);
		return r;
	}
	describe(session, claim);
	take_over(session, claim);
	describe_identity(session);
	begin_parts(session, limits, means);
	*out = session;
	return 0;
}

void session_set_wake(struct session *session, void (*wake)(void *data), void *data)
{
	session->wake = wake;
	session->wake_data = data;
}

struct session *session_ref(struct session *session)
{
	session->references++;
	return session;
}

struct session *session_unref(struct session *session)
{
	if (session == NULL || --session->references > 0)
		return NULL;
	session_resync_end(&session->resync);
	session_program_end(&session->program);
	session->segment = segment_map_free(session->segment);
	process_handle_close(&session->process);
	return destroy(session);
}

const struct session_facts *session_facts(const struct session *session)
{
	return &session->facts;
}

const struct segment_info *session_segment(const struct session *session)
{
	return &session->segment_info;
}

const struct process_handle *session_process(const struct session *session)
{
	return &session->process;
}

static void give_up(struct session *session, int error)
{
	log_warning("process %d (%s): its segment cannot be read any more: %s",
		(int)session->facts.pid, session->facts.comm, strerror(-error));
	session->facts.state = SESSION_LOST;
	session->copy.quality.read_error = error;
	session_audit_end(&session->audit);
	/* No round ends any more that would give the place back, or take what is found. */
	map_reading_end(&session->resync.reading);
}

int session_drain(struct session *session, bool all, uint64_t max_bytes, uint64_t *taken)
{
	*taken = 0;
	if (session->facts.state != SESSION_ATTACHED)
		return 0;
	int r = session_rounds_take(&session->rounds, all, max_bytes, taken);
	if (r < 0)
		give_up(session, r);
	return r < 0 ? 0 : r;
}

bool session_tend(struct session *session)
{
	if (session->facts.state != SESSION_ATTACHED)
		return false;
	uint64_t before = session->resync.state.confirmations;
	bool more = session_rounds_tend(&session->rounds);
	if (session->resync.state.confirmations != before)
		session_copy_confirmed(&session->copy);
	return more;
}

void session_hurry(struct session *session)
{
	resync_hurry(&session->resync.state, wall_clock_monotonic_ns());
}

bool session_nearly_there(const struct session *session)
{
	return session->facts.state == SESSION_ATTACHED &&
	       resync_nearly_there(&session->resync.state, wall_clock_monotonic_ns());
}

unsigned session_told_percent(struct session *session)
{
	return session_copy_told_percent(&session->copy);
}

void session_compare(struct session *session)
{
	if (session->facts.state == SESSION_ATTACHED)
		session_copy_compare(&session->copy, false);
}

void session_look(struct session *session)
{
	session_program_look(&session->program);
}

bool session_replaced(const struct session *session)
{
	return session->maps.replaced;
}

bool session_has_number(const struct session *session)
{
	return !process_handle_reaped(&session->process);
}

void session_end(struct session *session)
{
	if (session->facts.state == SESSION_EXITED)
		return;
	/* Deaths that wait for a birth wait in vain now. */
	sample_feed_end_round(session->feed);
	sample_feed_end_round(session->feed);
	if (session->facts.state == SESSION_ATTACHED)
		session_copy_compare(&session->copy, true);
	session_copy_end(&session->copy);
	session_rounds_deinit(&session->rounds);
	session_audit_end(&session->audit);
	session_resync_end(&session->resync);
	session_codes_detach(session->codes);
	session_marks_read(&session->marks, session->segment);
	session->segment = segment_map_free(session->segment);
	segment_lock_release(&session->lock_fd);
	session_program_end(&session->program);
	process_reader_forget(&session->maps.ask);
	session->maps.reader = NULL;
	process_handle_close_directory(&session->process);
	session->facts.state = SESSION_EXITED;
	session->facts.ended_ns = wall_clock_monotonic_ns();
}

void session_freeze(struct session *session, bool frozen)
{
	sample_feed_freeze(session->feed, frozen);
	session->resync.frozen = frozen;
}

const struct session_sums *session_sums(struct session *session, uint64_t max_age_ns)
{
	session_sums_update(&session->sums, sample_feed_heap(session->feed),
		wall_clock_monotonic_ns(), max_age_ns);
	return &session->sums;
}

void session_quality(struct session *session, struct snapshot_quality *out)
{
	session_copy_judge(&session->copy, session->facts.state == SESSION_ATTACHED, out);
	out->exited = session->facts.state == SESSION_EXITED;
}

double session_interval_bytes(const struct session *session)
{
	uint64_t claimed = session_copy_interval_bytes(&session->copy);
	return (double)(claimed > 0 ? claimed : session->segment_info.interval_bytes);
}

void session_numbers(const struct session *session, struct session_numbers *out)
{
	*out = (struct session_numbers){
		.consumer = session->rounds.taken,
		.refreshes = session->maps.refreshes,
		.digest_checks = session->copy.quality.checks,
		.digest_mismatches = session->copy.quality.mismatches,
		.resync = session->resync.state,
		.bytes = session_bytes(session),
	};
	session_copy_counters(&session->copy, &out->agent);
	sample_feed_stats(session->feed, &out->feed);
}

size_t session_bytes(const struct session *session)
{
	return sizeof *session + sample_feed_bytes(session->feed) +
	       session_codes_bytes(session->codes) + session_maps_bytes(&session->maps) +
	       map_reading_bytes(&session->resync.reading) +
	       (session->audit.item != NULL ? sizeof *session->audit.item : 0);
}

struct symbol_file *session_file(struct session *session, uint32_t module)
{
	return session_maps_file(&session->maps, module);
}

struct session_audit *session_audit(struct session *session)
{
	return &session->audit;
}

const struct heap_model *session_heap(const struct session *session)
{
	return sample_feed_heap(session->feed);
}

const struct stack_table *session_stacks(const struct session *session)
{
	return sample_feed_stacks(session->feed);
}

const struct module_map *session_modules(const struct session *session)
{
	return session->maps.modules;
}

uint64_t session_mark(struct session *session, const char *name)
{
	uint64_t id = next_id(session);
	heap_model_log_deaths(sample_feed_heap(session->feed), id);
	session_marks_give(&session->marks, session->segment, name, id);
	return id;
}

bool session_keeps_marks(const struct session *session)
{
	return session->segment_info.minor >= WIRE_CLIENT_MARKS_MINOR ||
	       !session->segment_info.drained_before;
}

bool session_find_mark(struct session *session, const char *name, uint64_t *id)
{
	if (session->segment != NULL)
		session_marks_read(&session->marks, session->segment);
	return session_marks_find(&session->marks, name, id);
}

const struct session_codes *session_codes(const struct session *session)
{
	return session->codes;
}
