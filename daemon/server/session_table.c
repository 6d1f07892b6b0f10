/*
 * An entry lives through three phases: attached (drained, its pidfd watched), ending (the process
 * is gone or was replaced by exec; one last round is under way), exited (model only). Entries are
 * few thousands at most, so a lookup is a walk.
 *
 * Exited entries give way by age; past their number, the empty ones first, then the oldest of the
 * user who has most of them, so that a script's short-lived helpers, or another user's processes,
 * do not push out a post-mortem that somebody wants.
 */
#include "config.h"
#include "server/session_table.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/auditor.h"
#include "server/complaint.h"
#include "server/drain_scheduler.h"
#include "server/options.h"
#include "server/session.h"
#include "server/session_audit.h"
#include "server/wall_clock.h"

#define TICK_MS	     1000u
#define IMAGE_CHECKS 4u /* every so many ticks each session is checked for an exec */

enum entry_phase { PHASE_ATTACHED, PHASE_ENDING, PHASE_EXITED };

struct entry {
	struct session_table *table;
	struct session *session; /* owns a reference */
	struct drain_task *task; /* owns; NULL once exited */
	uv_poll_t ended;	 /* watches the pidfd */
	bool watching;		 /* `ended` is open */
	bool removed;		 /* out of the list, waits for its handle to close */
	enum entry_phase phase;
	struct entry *next;
};

struct session_table {
	uv_timer_t tick;
	struct uv_loop_s *loop;
	struct drain_scheduler *scheduler; /* borrows */
	struct session_means means;
	const struct options_limits *limits;
	struct auditor *auditor; /* borrows; NULL: none */
	struct entry *entries;	 /* owns; the newest first */
	unsigned ticks;
	struct complaint complaint;
	struct session_table_stats stats;
};

static void on_tick(uv_timer_t *timer);

int session_table_new(struct session_table **out, struct uv_loop_s *loop,
	struct drain_scheduler *scheduler, const struct session_means *means,
	const struct options_limits *limits)
{
	struct session_table *table = alloc_zeroed(1, sizeof *table);
	int r = uv_timer_init(loop, &table->tick);
	if (r == 0)
		r = uv_timer_start(&table->tick, on_tick, TICK_MS, TICK_MS);
	if (r < 0) {
		free(table);
		return r;
	}
	table->tick.data = table;
	table->loop = loop;
	table->scheduler = scheduler;
	table->means = *means;
	table->limits = limits;
	*out = table;
	return 0;
}

static void free_entry(struct entry *entry)
{
	session_unref(entry->session);
	free(entry);
}

static void on_watch_closed(uv_handle_t *handle)
{
	struct entry *entry = handle->data;
	entry->watching = false;
	if (entry->removed)
		free_entry(entry);
}

static void stop_watching(struct entry *entry)
{
	if (entry->watching && !uv_is_closing((uv_handle_t *)&entry->ended))
		uv_close((uv_handle_t *)&entry->ended, on_watch_closed);
}

static void remove_entry(struct entry *entry)
{
	struct entry **at = &entry->table->entries;
	while (*at != entry)
		at = &(*at)->next;
	*at = entry->next;
	entry->removed = true;
	if (entry->task != NULL)
		drain_scheduler_remove(TAKE(entry->task));
	/* What waits to be audited would keep it outside of all bounds. */
	if (entry->table->auditor != NULL)
		auditor_forget(entry->table->auditor, entry->session);
	stop_watching(entry);
	if (!entry->watching)
		free_entry(entry);
}

static void free_closed(uv_handle_t *tick)
{
	free(tick->data);
}

struct session_table *session_table_free(struct session_table *table)
{
	if (table == NULL)
		return NULL;
	while (table->entries != NULL)
		remove_entry(table->entries);
	uv_close((uv_handle_t *)&table->tick, free_closed);
	return NULL;
}

static uid_t uid_of(const struct entry *entry)
{
	return session_facts(entry->session)->uid;
}

static uint32_t count_exited(const struct session_table *table, uid_t uid, bool any)
{
	uint32_t count = 0;
	for (const struct entry *entry = table->entries; entry != NULL; entry = entry->next)
		count += entry->phase == PHASE_EXITED && (any || uid_of(entry) == uid);
	return count;
}

/* Nothing to look at: a program that never allocated enough, such as most helpers of a shell
 * script. */
static bool is_empty(const struct entry *entry)
{
	struct session_numbers numbers;
	session_numbers(entry->session, &numbers);
	return numbers.feed.births == 0;
}

/* Empty sessions first; then those of the user who has most of them; among equals the oldest. */
static bool gives_way_before(const struct entry *a, const struct entry *b)
{
	bool a_empty = is_empty(a), b_empty = is_empty(b);
	if (a_empty != b_empty)
		return a_empty;
	if (uid_of(a) != uid_of(b)) {
		uint32_t a_count = count_exited(a->table, uid_of(a), false);
		uint32_t b_count = count_exited(b->table, uid_of(b), false);
		if (a_count != b_count)
			return a_count > b_count;
	}
	return session_facts(a->session)->ended_ns < session_facts(b->session)->ended_ns;
}

static struct entry *pick_victim(struct session_table *table)
{
	struct entry *victim = NULL;
	for (struct entry *entry = table->entries; entry != NULL; entry = entry->next)
		if (entry->phase == PHASE_EXITED &&
			(victim == NULL || gives_way_before(entry, victim)))
			victim = entry;
	return victim;
}

static void evict(struct session_table *table, struct entry *entry)
{
	table->stats.evicted++;
	remove_entry(entry);
}

static void keep_exited_bounded(struct session_table *table)
{
	while (count_exited(table, 0, true) > table->limits->keep_exited)
		evict(table, pick_victim(table));
}

static void on_last_drain(void *data)
{
	struct entry *entry = data;
	if (entry->removed)
		return;
	session_end(entry->session);
	entry->phase = PHASE_EXITED;
	drain_scheduler_remove(TAKE(entry->task));
	log_debug("process %d (%s) has ended", (int)session_facts(entry->session)->pid,
		session_facts(entry->session)->comm);
	keep_exited_bounded(entry->table);
}

static void begin_end(struct entry *entry)
{
	if (entry->phase != PHASE_ATTACHED)
		return;
	entry->phase = PHASE_ENDING;
	stop_watching(entry);
	drain_scheduler_request(entry->task, on_last_drain, entry);
}

static void on_process_ended(uv_poll_t *poll, int status, int events)
{
	(void)status;
	(void)events;
	begin_end(poll->data);
}

static void watch(struct entry *entry)
{
	int pidfd = session_process(entry->session)->pidfd;
	int r = pidfd < 0 || session_replaced(entry->session)
			? -ESRCH
			: uv_poll_init(entry->table->loop, &entry->ended, pidfd);
	if (r == 0) {
		entry->ended.data = entry;
		entry->watching = true;
		r = uv_poll_start(&entry->ended, UV_READABLE, on_process_ended);
	}
	if (r < 0)
		begin_end(entry);
}

static struct entry *find_attached(const struct session_table *table, pid_t pid)
{
	for (struct entry *entry = table->entries; entry != NULL; entry = entry->next)
		if (entry->phase == PHASE_ATTACHED && session_facts(entry->session)->pid == pid)
			return entry;
	return NULL;
}

/* Who reads this segment, or has read it for the same process: a scan and a handshake may find one
 * and the same shortly before and after its end. */
static struct entry *find_segment(
	const struct session_table *table, const struct segment_info *segment, pid_t pid)
{
	for (struct entry *entry = table->entries; entry != NULL; entry = entry->next) {
		const struct segment_info *known = session_segment(entry->session);
		bool same = known->device == segment->device && known->inode == segment->inode;
		if (same &&
			(entry->phase != PHASE_EXITED || session_facts(entry->session)->pid == pid))
			return entry;
	}
	return NULL;
}

/* One user's processes may take half of the places, root's and our own all of them. */
static bool has_place(const struct session_table *table, uid_t uid)
{
	uint32_t all = 0, theirs = 0;
	for (const struct entry *entry = table->entries; entry != NULL; entry = entry->next) {
		all += entry->phase != PHASE_EXITED;
		theirs += entry->phase != PHASE_EXITED && uid_of(entry) == uid;
	}
	bool trusted = uid == 0 || uid == geteuid();
	return all < table->limits->max_workers &&
	       (trusted || theirs < (table->limits->max_workers + 1) / 2);
}

static int refuse(struct session_table *table, struct session_claim *claim, int r)
{
	table->stats.refused++;
	session_claim_deinit(claim);
	return r;
}

void session_table_audit_by(struct session_table *table, struct auditor *auditor)
{
	table->auditor = auditor;
}

int session_table_adopt(struct session_table *table, struct session_claim *claim)
{
	pid_t pid = claim->process.pid;
	struct entry *holder = find_segment(table, segment_map_info(claim->segment), pid);
	if (holder != NULL) {
		/* A pull finds what is attached again and again: nothing to report. */
		session_claim_deinit(claim);
		return session_facts(holder->session)->pid == pid ? -EEXIST : -EPERM;
	}
	struct session *session;
	int r = session_new(&session, claim, table->limits, &table->means);
	if (r < 0)
		return refuse(table, claim, r);
	if (!has_place(table, session_facts(session)->uid)) {
		if (complaint_allowed(&table->complaint, wall_clock_monotonic_ns()))
			log_warning("process %d (%s) is not attached: --max-workers=%u is reached",
				(int)pid, session_facts(session)->comm, table->limits->max_workers);
		session_unref(session);
		return refuse(table, claim, -EUSERS);
	}
	session_audit(session)->auditor = table->auditor;
	struct entry *earlier = find_attached(table, pid);
	if (earlier != NULL) {
		table->stats.superseded++;
		begin_end(earlier);
	}
	struct entry *entry = alloc_zeroed(1, sizeof *entry);
	entry->table = table;
	entry->session = session;
	entry->next = table->entries;
	table->entries = entry;
	table->stats.adopted++;
	entry->task = drain_scheduler_add(table->scheduler, session);
	watch(entry);
	log_debug("process %d (%s) is attached", (int)pid, session_facts(session)->comm);
	return 0;
}

static int rank(const struct entry *entry)
{
	return entry->phase == PHASE_ATTACHED ? 2 : entry->phase == PHASE_ENDING ? 1 : 0;
}

static struct entry *find_entry(const struct session_table *table, pid_t pid)
{
	struct entry *best = NULL;
	for (struct entry *entry = table->entries; entry != NULL; entry = entry->next) {
		if (session_facts(entry->session)->pid != pid)
			continue;
		/* Newest first: among equals the first one wins. */
		if (best == NULL || rank(entry) > rank(best))
			best = entry;
	}
	return best;
}

struct session *session_table_find(const struct session_table *table, pid_t pid)
{
	struct entry *entry = find_entry(table, pid);
	return entry != NULL ? entry->session : NULL;
}

bool session_table_attached(const struct session_table *table, pid_t pid)
{
	return find_attached(table, pid) != NULL;
}

void session_table_each(const struct session_table *table,
	void (*visit)(struct session *session, void *data), void *data)
{
	for (const struct entry *entry = table->entries; entry != NULL; entry = entry->next)
		visit(entry->session, data);
}

bool session_table_catch_up(
	struct session_table *table, struct session *session, void (*done)(void *data), void *data)
{
	session_hurry(session);
	return session_table_drain(table, session, done, data);
}

bool session_table_drain(
	struct session_table *table, struct session *session, void (*done)(void *data), void *data)
{
	for (struct entry *entry = table->entries; entry != NULL; entry = entry->next) {
		if (entry->session != session || entry->task == NULL)
			continue;
		drain_scheduler_request(entry->task, done, data);
		return true;
	}
	return false;
}

struct catch_up_all {
	uint32_t pending;
	void (*done)(void *data);
	void *data;
};

static void on_one_caught_up(void *data)
{
	struct catch_up_all *all = data;
	if (--all->pending > 0)
		return;
	all->done(all->data);
	free(all);
}

bool session_table_catch_up_all(struct session_table *table, void (*done)(void *data), void *data)
{
	struct catch_up_all *all = alloc_zeroed(1, sizeof *all);
	all->done = done;
	all->data = data;
	for (struct entry *entry = table->entries; entry != NULL; entry = entry->next)
		all->pending +=
			session_table_catch_up(table, entry->session, on_one_caught_up, all);
	if (all->pending > 0)
		return true;
	free(all);
	return false;
}

static void check_for_exec(struct session_table *table)
{
	unsigned number = table->ticks;
	for (struct entry *entry = table->entries; entry != NULL; entry = entry->next)
		if (entry->phase == PHASE_ATTACHED && session_replaced(entry->session))
			begin_end(entry);
		else if (entry->phase == PHASE_ATTACHED && number++ % IMAGE_CHECKS == 0)
			session_look(entry->session);
}

static void expire(struct session_table *table)
{
	uint64_t now = wall_clock_monotonic_ns();
	uint64_t longest = (uint64_t)table->limits->keep_exited_s * 1000000000u;
	for (struct entry *entry = table->entries, *next; entry != NULL; entry = next) {
		next = entry->next;
		if (entry->phase == PHASE_EXITED &&
			now - session_facts(entry->session)->ended_ns > longest)
			evict(table, entry);
	}
}

static size_t count_bytes(const struct session_table *table, uint32_t *attached)
{
	size_t bytes = 0;
	*attached = 0;
	for (const struct entry *entry = table->entries; entry != NULL; entry = entry->next) {
		bytes += session_bytes(entry->session);
		*attached += entry->phase != PHASE_EXITED;
	}
	return bytes;
}

/* At the bound exited sessions go first; then those that hold more than their share stop growing.
 */
static void hold_memory(struct session_table *table)
{
	uint32_t attached;
	uint64_t limit = table->limits->max_memory;
	size_t bytes = count_bytes(table, &attached);
	struct entry *victim;
	while (bytes > limit && (victim = pick_victim(table)) != NULL) {
		bytes -= session_bytes(victim->session);
		evict(table, victim);
	}
	bool over = bytes > limit;
	/* Some way below the bound before anything grows again, lest it flutters. */
	if (over || (table->stats.frozen && bytes < limit - limit / 10)) {
		if (over && !table->stats.frozen)
			log_warning("--max-memory=%lluM is reached: new samples of the largest "
				    "processes are folded",
				(unsigned long long)(limit >> 20));
		table->stats.frozen = over;
		for (struct entry *entry = table->entries; entry != NULL; entry = entry->next)
			if (entry->phase != PHASE_EXITED)
				session_freeze(
					entry->session, over && session_bytes(entry->session) >
									limit / (attached + 1));
	}
	table->stats.bytes = bytes;
}

static void on_tick(uv_timer_t *timer)
{
	struct session_table *table = timer->data;
	table->ticks++;
	expire(table);
	check_for_exec(table);
	hold_memory(table);
}

void session_table_stats(const struct session_table *table, struct session_table_stats *out)
{
	*out = table->stats;
	out->bytes = count_bytes(table, &out->attached);
	out->exited = count_exited(table, 0, true);
}
