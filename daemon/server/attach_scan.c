/*
 * A scan is one piece of work on the pool: its request (what was seen before, or one pid) goes in,
 * its finds come out, and nothing is shared in between. Only one periodic scan is under way at a
 * time.
 *
 * A fork without exec holds its parent's segment and writes nothing into it. It stays on the list
 * of the lost, is looked at in every scan, and leaves when it ends, execs or gets a segment of its
 * own.
 */
#include "config.h"
#include "server/attach_scan.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/log.h"
#include "ingest/segment_map.h"
#include "server/proc_walk.h"
#include "server/process_info.h"
#include "server/session.h"
#include "server/session_table.h"
#include "server/socket_dir.h"

#define PERIOD_MS 3000u
#define MAX_LOST  1024u

struct lost {
	pid_t pid;
	uid_t uid;
	char comm[64];
};

struct attach_scan {
	uv_timer_t timer;
	struct uv_loop_s *loop;
	struct session_table *table; /* borrows; NULL once freed */
	const char *directory;	     /* borrows */
	struct proc_walk_list seen;  /* owns */
	struct lost *lost;	     /* owns */
	uint32_t lost_count;
	bool scanning;
	unsigned references; /* the owner's, the timer's, and one for each piece of work */
	struct attach_scan_stats stats;
};

struct find {
	struct proc_walk_find parts;
	struct find *next;
};

struct pids {
	pid_t *items; /* owns */
	uint32_t count, room;
};

struct work {
	uv_work_t request;
	struct attach_scan *scan;
	pid_t pid; /* 0: all processes */
	bool own_uid_only;
	struct proc_walk_list before; /* owns: what was seen */
	struct pids again;	      /* to be looked at whatever was seen */
	struct pids attached;	      /* not to be looked at: nothing new to find */

	struct proc_walk_list seen; /* owns */
	struct find *finds;	    /* owns */
	uint64_t looked_at;
	int result;

	void (*done)(enum attach_scan_result result, void *data);
	void *data;
};

static void scan_all(struct attach_scan *scan);

static void release(struct attach_scan *scan)
{
	if (--scan->references > 0)
		return;
	proc_walk_list_deinit(&scan->seen);
	free(scan->lost);
	free(scan);
}

static void on_timer(uv_timer_t *timer)
{
	scan_all(timer->data);
}

int attach_scan_new(struct attach_scan **out, struct uv_loop_s *loop, struct session_table *table,
	const char *directory)
{
	struct attach_scan *scan = alloc_zeroed(1, sizeof *scan);
	int r = uv_timer_init(loop, &scan->timer);
	if (r < 0) {
		free(scan);
		return r;
	}
	scan->timer.data = scan;
	scan->loop = loop;
	scan->table = table;
	scan->directory = directory;
	scan->references = 2;
	*out = scan;
	return 0;
}

static void on_timer_closed(uv_handle_t *timer)
{
	release(timer->data);
}

struct attach_scan *attach_scan_free(struct attach_scan *scan)
{
	if (scan == NULL)
		return NULL;
	scan->table = NULL;
	uv_close((uv_handle_t *)&scan->timer, on_timer_closed);
	release(scan);
	return NULL;
}

static void look_at(struct work *work, pid_t pid)
{
	struct proc_walk_find parts;
	work->looked_at++;
	work->result = proc_walk_look(pid, &parts);
	if (work->result < 0)
		return;
	if (parts.segment_count == 0 && (parts.refused == NULL || work->pid == 0)) {
		proc_walk_find_deinit(&parts);
		return;
	}
	struct find *find = alloc_zeroed(1, sizeof *find);
	find->parts = parts;
	find->next = work->finds;
	work->finds = find;
}

static bool contains(const struct pids *pids, pid_t pid)
{
	for (uint32_t i = 0; i < pids->count; i++)
		if (pids->items[i] == pid)
			return true;
	return false;
}

static bool worth_a_look(const struct work *work, const struct proc_walk_seen *process)
{
	if (contains(&work->again, process->pid))
		return true;
	return process->looks < PROC_WALK_LOOKS && !contains(&work->attached, process->pid);
}

/* On a pool thread. */
static void run_work(uv_work_t *request)
{
	struct work *work = request->data;
	if (work->pid != 0) {
		look_at(work, work->pid);
		return;
	}
	if (proc_walk_processes(&work->before, work->own_uid_only, &work->seen) < 0)
		return;
	for (size_t i = 0; i < work->seen.count; i++) {
		struct proc_walk_seen *process = &work->seen.items[i];
		if (!worth_a_look(work, process))
			continue;
		process->looks++;
		look_at(work, process->pid);
	}
}

static void remember_lost(struct attach_scan *scan, const struct proc_walk_find *find)
{
	struct process_info info;
	if (scan->lost_count == MAX_LOST || process_info_read(&find->process, &info) < 0)
		return;
	scan->lost = alloc_resize(scan->lost, scan->lost_count + 1, sizeof *scan->lost);
	struct lost *lost = &scan->lost[scan->lost_count++];
	lost->pid = find->process.pid;
	lost->uid = info.uid;
	snprintf(lost->comm, sizeof lost->comm, "%s", info.comm);
	process_info_deinit(&info);
}

static int adopt_segment(struct attach_scan *scan, struct proc_walk_find *find, unsigned index)
{
	struct session_claim claim = {.uid = (uid_t)-1, .attach = SESSION_PULL};
	claim.segment = TAKE(find->segments[index]);
	int r = process_handle_dup(&claim.process, &find->process);
	if (r < 0) {
		session_claim_deinit(&claim);
		return r;
	}
	return session_table_adopt(scan->table, &claim);
}

/* The process's own segment among those it holds; the others are its ancestors'. */
static enum attach_scan_result adopt(struct attach_scan *scan, struct proc_walk_find *find)
{
	enum attach_scan_result result =
		find->refused != NULL ? ATTACH_SCAN_REFUSED : ATTACH_SCAN_NONE;
	if (find->refused != NULL)
		log_warning("process %d has a segment that is refused: %s", (int)find->process.pid,
			find->refused);
	for (unsigned i = 0; i < find->segment_count; i++) {
		int r = adopt_segment(scan, find, i);
		scan->stats.adopted += r == 0;
		if (r == 0 || r == -EEXIST)
			return ATTACH_SCAN_ATTACHED;
		if (r == -ESRCH)
			return ATTACH_SCAN_GONE;
		if (r == -EUSERS)
			return ATTACH_SCAN_FULL;
		if (r == -EBUSY)
			return ATTACH_SCAN_BUSY;
		result = r == -ECHILD || r == -EPERM ? ATTACH_SCAN_INHERITED : ATTACH_SCAN_REFUSED;
	}
	return result;
}

static bool is_meant_for_us(const struct attach_scan *scan, const struct proc_walk_find *find)
{
	return socket_dir_is_meant(scan->directory, find->wants, find->uid);
}

static enum attach_scan_result result_of(const struct work *work)
{
	switch (work->result) {
	case 0:
		return ATTACH_SCAN_NONE;
	case -ESRCH:
		return ATTACH_SCAN_GONE;
	default:
		return ATTACH_SCAN_HIDDEN;
	}
}

static enum attach_scan_result take_finds(struct work *work)
{
	struct attach_scan *scan = work->scan;
	enum attach_scan_result result = result_of(work);
	if (work->pid == 0)
		scan->lost_count = 0;
	while (work->finds != NULL) {
		struct find *find = work->finds;
		work->finds = find->next;
		if (scan->table != NULL &&
			(work->pid != 0 || is_meant_for_us(scan, &find->parts))) {
			result = adopt(scan, &find->parts);
			if (result == ATTACH_SCAN_INHERITED && work->pid == 0)
				remember_lost(scan, &find->parts);
		}
		proc_walk_find_deinit(&find->parts);
		free(find);
	}
	return result;
}

static void after_work(uv_work_t *request, int status)
{
	struct work *work = request->data;
	struct attach_scan *scan = work->scan;
	enum attach_scan_result result = status < 0 ? ATTACH_SCAN_NONE : take_finds(work);
	scan->stats.processes_looked_at += work->looked_at;
	if (work->pid == 0) {
		scan->scanning = false;
		scan->stats.scans++;
		proc_walk_list_deinit(&scan->seen);
		scan->seen = work->seen;
	}
	if (work->done != NULL && scan->table != NULL)
		work->done(result, work->data);
	proc_walk_list_deinit(&work->before);
	free(work->again.items);
	free(work->attached.items);
	free(work);
	release(scan);
}

static void queue(struct attach_scan *scan, struct work *work)
{
	work->scan = scan;
	work->request.data = work;
	work->own_uid_only = geteuid() != 0;
	scan->references++;
	uv_queue_work(scan->loop, &work->request, run_work, after_work);
}

static void append(struct pids *pids, pid_t pid)
{
	if (pids->count == pids->room) {
		pids->room = pids->room > 0 ? pids->room * 2 : 64;
		pids->items = alloc_resize(pids->items, pids->room, sizeof *pids->items);
	}
	pids->items[pids->count++] = pid;
}

static void append_attached(struct session *session, void *pids)
{
	if (session_facts(session)->state == SESSION_ATTACHED)
		append(pids, session_facts(session)->pid);
}

static void scan_all(struct attach_scan *scan)
{
	if (scan->scanning)
		return;
	struct work *work = alloc_zeroed(1, sizeof *work);
	work->before = scan->seen;
	scan->seen = (struct proc_walk_list){0};
	for (uint32_t i = 0; i < scan->lost_count; i++)
		append(&work->again, scan->lost[i].pid);
	session_table_each(scan->table, append_attached, &work->attached);
	scan->scanning = true;
	queue(scan, work);
}

void attach_scan_start(struct attach_scan *scan)
{
	scan_all(scan);
	uv_timer_start(&scan->timer, on_timer, PERIOD_MS, PERIOD_MS);
}

void attach_scan_process(struct attach_scan *scan, pid_t pid,
	void (*done)(enum attach_scan_result result, void *data), void *data)
{
	struct work *work = alloc_zeroed(1, sizeof *work);
	work->pid = pid;
	work->done = done;
	work->data = data;
	queue(scan, work);
}

void attach_scan_each_lost(const struct attach_scan *scan,
	void (*visit)(const struct attach_scan_lost *lost, void *data), void *data)
{
	for (uint32_t i = 0; i < scan->lost_count; i++) {
		struct attach_scan_lost lost = {
			.pid = scan->lost[i].pid,
			.uid = scan->lost[i].uid,
			.comm = scan->lost[i].comm,
			.why = "forked from a profiled process without exec: what it allocates "
			       "itself is not recorded",
		};
		visit(&lost, data);
	}
}

void attach_scan_stats(const struct attach_scan *scan, struct attach_scan_stats *out)
{
	*out = scan->stats;
	out->lost = scan->lost_count;
}
