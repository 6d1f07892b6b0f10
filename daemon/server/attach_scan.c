/*
 * A scan lists the processes on the pool, then looks at them one by one: each is asked for what it
 * holds that is called like a segment, and if there is something, what it runs and to whom it was
 * meant to hand it (process_reader.h). A process can make that wait; so of each uid only a few are
 * looked at at the same time, and a scan ends after a while, whatever is left to the next one. Only one
 * periodic scan is under way at a time.
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
#include <sys/queue.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/log.h"
#include "ingest/segment_map.h"
#include "server/proc_walk.h"
#include "server/process_info.h"
#include "server/process_reader.h"
#include "server/process_texts.h"
#include "server/session.h"
#include "server/session_table.h"
#include "server/socket_dir.h"

#define PERIOD_MS	3000u
#define MAX_LOST	1024u
#define LOOKS		8u /* at the same time */
#define LOOKS_PER_UID	2u
#define LONGEST_SCAN_MS 15000u

#define ROOT_OR_HIDDEN ((uid_t)-2)

struct lost {
	pid_t pid;
	uid_t uid;
	char comm[64];
};

struct lost_list {
	struct lost *items; /* owns */
	uint32_t count;
};

struct attach_scan {
	uv_timer_t timer;
	struct uv_loop_s *loop;
	struct session_table *table;   /* borrows; NULL once freed */
	struct process_reader *reader; /* borrows */
	const char *directory;	       /* borrows */
	struct proc_walk_list seen;    /* owns */
	struct lost_list lost;	       /* owns */
	LIST_HEAD(, look) looks;       /* owns; of all works */
	bool scanning;
	unsigned references; /* the owner's, the timer's, and one for each piece of work */
	struct attach_scan_stats stats;
};

struct pids {
	pid_t *items; /* owns */
	uint32_t count, room;
};

struct work {
	uv_work_t request;
	struct attach_scan *scan;
	pid_t pid; /* 0: all processes */
	uid_t asker;
	bool own_uid_only;
	struct proc_walk_list before; /* owns: what was seen */
	struct pids again;	      /* to be looked at whatever was seen */
	struct pids attached;	      /* not to be looked at: nothing new to find */

	struct proc_walk_list seen; /* owns */
	size_t first;		    /* those before have been passed */
	uint64_t begun_ms;
	struct lost_list lost; /* owns */
	uint32_t looks;	       /* under way */
	enum attach_scan_result result;

	void (*done)(enum attach_scan_result result, void *data);
	void *data;
};

struct look {
	struct work *work;
	struct process_handle process; /* owns */
	uid_t uid;
	struct process_ask ask;
	LIST_ENTRY(look) next;
};

static void scan_all(struct attach_scan *scan);
static void free_look(struct look *look);
static void end_work(struct work *work);

static void release(struct attach_scan *scan)
{
	if (--scan->references > 0)
		return;
	proc_walk_list_deinit(&scan->seen);
	free(scan->lost.items);
	free(scan);
}

static void on_timer(uv_timer_t *timer)
{
	scan_all(timer->data);
}

int attach_scan_new(struct attach_scan **out, struct uv_loop_s *loop, struct session_table *table,
	struct process_reader *reader, const char *directory)
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
	scan->reader = reader;
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
	struct look *look;
	if (scan == NULL)
		return NULL;
	scan->table = NULL;
	while ((look = LIST_FIRST(&scan->looks)) != NULL) {
		struct work *work = look->work;
		free_look(look);
		if (work->looks == 0)
			end_work(work);
	}
	uv_close((uv_handle_t *)&scan->timer, on_timer_closed);
	release(scan);
	return NULL;
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
	if (work->pid != 0 ||
		proc_walk_processes(&work->before, work->own_uid_only, &work->seen) < 0)
		return;
	for (size_t i = 0; i < work->seen.count; i++)
		work->seen.items[i].passed = !worth_a_look(work, &work->seen.items[i]);
}

static void remember_lost(struct work *work, pid_t pid, const struct process_texts *texts)
{
	struct process_info info;
	struct lost_list *list = &work->lost;
	if (list->count == MAX_LOST || process_info_of(texts, &info) < 0)
		return;
	list->items = alloc_resize(list->items, list->count + 1, sizeof *list->items);
	struct lost *lost = &list->items[list->count++];
	lost->pid = pid;
	lost->uid = info.uid;
	snprintf(lost->comm, sizeof lost->comm, "%s", info.comm);
	process_info_deinit(&info);
}

static int adopt_segment(
	struct look *look, struct segment_map *segment, const struct process_texts *texts)
{
	struct session_claim claim = {.uid = (uid_t)-1, .attach = SESSION_PULL, .texts = texts};
	claim.segment = segment;
	int r = process_handle_dup(&claim.process, &look->process);
	if (r < 0) {
		session_claim_deinit(&claim);
		return r;
	}
	return session_table_adopt(look->work->scan->table, &claim);
}

/* The process's own segment among those it holds; the others are its ancestors'. */
static enum attach_scan_result adopt(
	struct look *look, struct proc_walk_find *find, const struct process_texts *texts)
{
	struct attach_scan *scan = look->work->scan;
	enum attach_scan_result result =
		find->refused != NULL ? ATTACH_SCAN_REFUSED : ATTACH_SCAN_NONE;
	if (find->refused != NULL)
		log_warning("process %d has a segment that is refused: %s", (int)look->process.pid,
			find->refused);
	for (unsigned i = 0; i < find->segment_count; i++) {
		int r = adopt_segment(look, TAKE(find->segments[i]), texts);
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

/* By its environment at its start, which is what the agent looked at. */
static bool is_meant_for_us(const struct look *look, const struct process_texts *texts)
{
	size_t size;
	const char *environment = process_texts_get(texts, PROC_FILE_ENVIRON, &size);
	if (environment == NULL)
		return false;
	_cleanup_free_ char *wants = proc_walk_find_directory(environment, size);
	return socket_dir_is_meant(look->work->scan->directory, wants, look->uid);
}

static enum attach_scan_result result_of(int error)
{
	return error == 0			     ? ATTACH_SCAN_NONE
	       : error == -ESRCH || error == -ENOENT ? ATTACH_SCAN_GONE
						     : ATTACH_SCAN_HIDDEN;
}

static void end_work(struct work *work)
{
	struct attach_scan *scan = work->scan;
	if (work->pid == 0) {
		scan->scanning = false;
		scan->stats.scans++;
		proc_walk_list_deinit(&scan->seen);
		scan->seen = work->seen;
		free(scan->lost.items);
		scan->lost = work->lost;
	} else {
		proc_walk_list_deinit(&work->seen);
	}
	if (work->done != NULL && scan->table != NULL)
		work->done(work->result, work->data);
	proc_walk_list_deinit(&work->before);
	free(work->again.items);
	free(work->attached.items);
	free(work);
	release(scan);
}

static void free_look(struct look *look)
{
	LIST_REMOVE(look, next);
	look->work->looks--;
	process_reader_forget(&look->ask);
	process_handle_close(&look->process);
	free(look);
}

static void take_look(struct look *look, const struct process_texts *texts)
{
	struct work *work = look->work;
	struct proc_walk_find find;
	proc_walk_find_init(&find, texts);
	bool wanted = work->pid != 0 || (find.segment_count > 0 && is_meant_for_us(look, texts));
	work->result = result_of(process_texts_result(texts, PROC_FILE_SEGMENTS));
	if (wanted && (find.segment_count > 0 || find.refused != NULL))
		work->result = adopt(look, &find, texts);
	if (work->result == ATTACH_SCAN_INHERITED && work->pid == 0)
		remember_lost(work, look->process.pid, texts);
	proc_walk_find_deinit(&find);
}

static void go_on(struct work *work);

static void on_read(struct process_texts *texts, void *data)
{
	struct look *look = data;
	struct work *work = look->work;
	take_look(look, texts);
	process_texts_free(texts);
	free_look(look);
	go_on(work);
}

/* Whoever asks for a process takes turns of its own, lest it wears out those of another user's
 * workers. What hides from its own user looks like root's, and is not to take the turns of root's. */
static uid_t whose_turn(const struct work *work, uid_t owner)
{
	uid_t uid = work->pid != 0 ? work->asker : owner;
	return uid == 0 ? ROOT_OR_HIDDEN : uid;
}

static void begin_look(struct work *work, pid_t pid)
{
	struct look *look = alloc_zeroed(1, sizeof *look);
	work->scan->stats.processes_looked_at++;
	work->looks++;
	look->work = work;
	LIST_INSERT_HEAD(&work->scan->looks, look, next);
	int r = process_handle_open(&look->process, pid, -1);
	look->uid = process_handle_uid(&look->process);
	look->ask.uid = whose_turn(work, look->uid);
	look->ask.files = session_claim_files | PROC_FILE_BIT(PROC_FILE_SEGMENTS) |
			  PROC_FILE_BIT(PROC_FILE_ENVIRON);
	look->ask.done = on_read;
	look->ask.data = look;
	if (r == 0)
		r = process_reader_ask(work->scan->reader, &look->ask, &look->process);
	if (r < 0) {
		work->result = result_of(r == -EINVAL ? -ESRCH : r);
		free_look(look);
	}
}

static bool may_begin(const struct work *work, uid_t uid)
{
	const struct look *look;
	uint32_t theirs = 0;
	LIST_FOREACH (look, &work->scan->looks, next)
		theirs += look->work == work && look->uid == uid;
	return theirs < LOOKS_PER_UID;
}

/* The next whose uid may have one more; NULL: none now. */
static struct proc_walk_seen *pick(struct work *work)
{
	struct proc_walk_seen *items = work->seen.items;
	if (uv_now(work->scan->loop) - work->begun_ms > LONGEST_SCAN_MS)
		return NULL;
	while (work->first < work->seen.count && items[work->first].passed)
		work->first++;
	for (size_t i = work->first; i < work->seen.count; i++)
		if (!items[i].passed && may_begin(work, items[i].uid))
			return &items[i];
	return NULL;
}

static void go_on(struct work *work)
{
	struct proc_walk_seen *process;
	while (work->scan->table != NULL && work->looks < LOOKS && (process = pick(work)) != NULL) {
		process->passed = true;
		process->looks++;
		begin_look(work, process->pid);
	}
	if (work->looks == 0)
		end_work(work);
}

static void after_work(uv_work_t *request, int status)
{
	struct work *work = request->data;
	(void)status;
	work->begun_ms = uv_now(work->scan->loop);
	work->result = ATTACH_SCAN_NONE;
	if (work->pid != 0 && work->scan->table != NULL)
		begin_look(work, work->pid);
	go_on(work);
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
	ALLOC_GROW(pids->items, pids->room, pids->count);
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
	for (uint32_t i = 0; i < scan->lost.count; i++)
		append(&work->again, scan->lost.items[i].pid);
	session_table_each(scan->table, append_attached, &work->attached);
	scan->scanning = true;
	queue(scan, work);
}

void attach_scan_start(struct attach_scan *scan)
{
	scan_all(scan);
	uv_timer_start(&scan->timer, on_timer, PERIOD_MS, PERIOD_MS);
}

void attach_scan_process(struct attach_scan *scan, pid_t pid, uid_t asker,
	void (*done)(enum attach_scan_result result, void *data), void *data)
{
	struct work *work = alloc_zeroed(1, sizeof *work);
	work->pid = pid;
	work->asker = asker;
	work->done = done;
	work->data = data;
	queue(scan, work);
}

void attach_scan_each_lost(const struct attach_scan *scan,
	void (*visit)(const struct attach_scan_lost *lost, void *data), void *data)
{
	for (uint32_t i = 0; i < scan->lost.count; i++) {
		struct attach_scan_lost lost = {
			.pid = scan->lost.items[i].pid,
			.uid = scan->lost.items[i].uid,
			.comm = scan->lost.items[i].comm,
			.why = "forked from a profiled process without exec: what it allocates "
			       "itself is not recorded",
		};
		visit(&lost, data);
	}
}

void attach_scan_stats(const struct attach_scan *scan, struct attach_scan_stats *out)
{
	*out = scan->stats;
	out->lost = scan->lost.count;
}
