/*
 * One timer for all. Who pauses for the same time is due at the same moments, its multiples, so that a
 * thousand idle workers cause as many wake-ups as one. A task that has something left is due again in the next turn; the others come
 * before it then, since the list is a ring that each turn begins where the last one ended.
 *
 * Callbacks may add, request and remove: a removed task stays in the list, marked, until the turn
 * is over.
 */
#include "config.h"
#include "server/drain_scheduler.h"

#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "base/alloc.h"
#include "ingest/ring_consumer.h"
#include "server/session.h"

#define GRID_NS UINT64_C(15000000)
#define PAUSE_BUSY_NS                                                                              \
	UINT64_C(2000000) /* an eighth of the rings was filled within the last pause */
#define PAUSE_MAX_NS                                                                               \
	(8 * GRID_NS) /* a burst at the agent's default ceiling fits into the rings                \
		       */
#define PAUSE_HELD_NS                                                                              \
	(3 * GRID_NS) /* the same burst into the half that holding leaves free (ring_consumer.c) */
#define SWEEP_NS    UINT64_C(1000000000)
#define EARLY_NS    UINT64_C(2000000) /* libuv counts in milliseconds */
#define SLICE_BYTES (UINT64_C(512) << 10)
#define TURN_BYTES  (UINT64_C(4) << 20)

struct waiter {
	void (*done)(void *data);
	void *data;
	uint64_t round; /* done when this one is over */
	struct waiter *next;
};

struct drain_task {
	struct drain_scheduler *scheduler;
	struct session *session; /* owns a reference */
	struct drain_task *next; /* circular */
	struct waiter *waiters;	 /* owns; oldest first */
	uint64_t due_ns, pause_ns, swept_ns;
	uint64_t round;	      /* number of the last round that began */
	uint64_t round_bytes; /* taken in it */
	bool in_round, sweep, removed;
};

struct drain_scheduler {
	uv_timer_t timer;
	struct drain_task *last; /* circular list; NULL: empty */
	bool in_turn;
	bool wake; /* something became due during the turn */
	struct drain_scheduler_stats stats;
};

static void run_turn(uv_timer_t *timer);

int drain_scheduler_new(struct drain_scheduler **out, struct uv_loop_s *loop)
{
	struct drain_scheduler *scheduler = alloc_zeroed(1, sizeof *scheduler);
	int r = uv_timer_init(loop, &scheduler->timer);
	if (r < 0) {
		free(scheduler);
		return r;
	}
	scheduler->timer.data = scheduler;
	*out = scheduler;
	return 0;
}

static void free_closed(uv_handle_t *timer)
{
	free(timer->data);
}

struct drain_scheduler *drain_scheduler_free(struct drain_scheduler *scheduler)
{
	if (scheduler != NULL)
		uv_close((uv_handle_t *)&scheduler->timer, free_closed);
	return NULL;
}

static void arm(struct drain_scheduler *scheduler, uint64_t due_ns)
{
	uint64_t now = uv_hrtime();
	uint64_t wait_ms = due_ns <= now ? 0 : (due_ns - now + 999999) / 1000000;
	/* Never at once from a turn: libuv runs timers that are due until none is, and would not look at
	 * anything else meanwhile. */
	if (wait_ms == 0 && scheduler->in_turn)
		wait_ms = 1;
	uv_update_time(scheduler->timer.loop);
	uv_timer_start(&scheduler->timer, run_turn, wait_ms, 0);
}

static void make_due(struct drain_task *task)
{
	task->due_ns = 0;
	task->scheduler->wake = true;
	if (!task->scheduler->in_turn)
		arm(task->scheduler, 0);
}

static void on_wake(void *data)
{
	make_due(data);
}

struct drain_task *drain_scheduler_add(struct drain_scheduler *scheduler, struct session *session)
{
	struct drain_task *task = alloc_zeroed(1, sizeof *task);
	task->scheduler = scheduler;
	task->session = session_ref(session);
	task->pause_ns = GRID_NS;
	if (scheduler->last == NULL) {
		task->next = task;
	} else {
		task->next = scheduler->last->next;
		scheduler->last->next = task;
	}
	scheduler->last = task;
	session_set_wake(session, on_wake, task);
	make_due(task);
	return task;
}

static void call_waiters(struct drain_task *task, uint64_t round)
{
	while (task->waiters != NULL && task->waiters->round <= round) {
		struct waiter *waiter = task->waiters;
		task->waiters = waiter->next;
		waiter->done(waiter->data);
		free(waiter);
	}
}

static void unlink_removed(struct drain_scheduler *scheduler)
{
	struct drain_task *previous = scheduler->last;
	for (bool end = previous == NULL; !end;) {
		struct drain_task *task = previous->next;
		end = task == scheduler->last;
		if (!task->removed) {
			previous = task;
			continue;
		}
		if (task == scheduler->last)
			scheduler->last = previous == task ? NULL : previous;
		previous->next = task->next;
		session_unref(task->session);
		free(task);
	}
}

void drain_scheduler_remove(struct drain_task *task)
{
	struct drain_scheduler *scheduler = task->scheduler;
	task->removed = true;
	session_set_wake(task->session, NULL, NULL);
	call_waiters(task, UINT64_MAX);
	if (!scheduler->in_turn)
		unlink_removed(scheduler);
}

void drain_scheduler_request(struct drain_task *task, void (*done)(void *data), void *data)
{
	struct waiter *waiter = alloc_zeroed(1, sizeof *waiter);
	waiter->done = done;
	waiter->data = data;
	/* A round in progress has read its heads already. */
	waiter->round = task->round + 1;
	struct waiter **end = &task->waiters;
	while (*end != NULL)
		end = &(*end)->next;
	*end = waiter;
	make_due(task);
}

/* The next multiple of the pause, which all tasks of the same pause share. It is not the one that a timer which came
 * early was set for. */
static uint64_t after_pause(uint64_t now, uint64_t pause_ns)
{
	return (now + EARLY_NS + pause_ns) / pause_ns * pause_ns;
}

/* `held`: the round that was waited for is over, and what is missing for a better answer comes of its
 * own, or wakes the task. */
static void plan_next(struct drain_task *task, bool held, uint64_t now)
{
	const struct segment_info *segment = session_segment(task->session);
	if (task->waiters != NULL && !held) {
		task->due_ns = 0;
	} else if (task->waiters != NULL) {
		task->due_ns = now + PAUSE_BUSY_NS;
	} else if (task->round_bytes > (uint64_t)segment->ring_count * segment->ring_size / 8) {
		task->pause_ns = GRID_NS;
		task->due_ns = now + PAUSE_BUSY_NS;
	} else {
		task->pause_ns = task->round_bytes > 0 ? GRID_NS : task->pause_ns * 2;
		if (task->pause_ns > PAUSE_MAX_NS)
			task->pause_ns = PAUSE_MAX_NS;
		task->due_ns = after_pause(now, task->pause_ns);
	}
}

static void begin_round(struct drain_task *task, uint64_t now)
{
	task->sweep = task->waiters != NULL || now - task->swept_ns >= SWEEP_NS;
	task->in_round = true;
	task->round++;
	task->round_bytes = 0;
}

/* One slice of one task; the bytes it took, a slice of a worker's map counted as such a slice too. */
static uint64_t run_task(struct drain_task *task, uint64_t now)
{
	uint64_t taken;
	if (!task->in_round)
		begin_round(task, now);
	int r = session_drain(task->session, task->sweep, SLICE_BYTES, &taken);
	task->round_bytes += taken;
	task->scheduler->stats.bytes += taken;
	if (r > 0) {
		/* What is held wakes the task; a look in between only finds out that it was in vain, and
		 * is not charged to the turn: a user may have hundreds of workers that wait. */
		task->due_ns = r == RING_CONSUMER_HELD ? now + PAUSE_HELD_NS : 0;
		return taken;
	}
	task->in_round = false;
	bool more = session_tend(task->session), held = false;
	if (task->sweep) {
		task->swept_ns = now;
		if (task->round_bytes == 0)
			session_compare(task->session);
		held = session_nearly_there(task->session);
		if (!held)
			call_waiters(task, task->round);
	}
	plan_next(task, held, now);
	if (more)
		task->due_ns = 0;
	return more ? taken + SLICE_BYTES : taken;
}

static uint64_t run_due_tasks(struct drain_scheduler *scheduler, uint64_t now)
{
	uint64_t earliest = UINT64_MAX, bytes = 0;
	struct drain_task *stop = scheduler->last, *before = stop, *left_out = NULL;
	for (bool end = false; !end; before = before->next) {
		struct drain_task *task = before->next;
		end = task == stop;
		if (!task->removed && task->due_ns <= now) {
			if (bytes < TURN_BYTES)
				bytes += run_task(task, now);
			else if (left_out == NULL)
				left_out = before;
		}
		if (!task->removed && task->due_ns < earliest)
			earliest = task->due_ns;
	}
	/* The next turn begins with the first that this one had no room for. */
	if (left_out != NULL)
		scheduler->last = left_out;
	scheduler->stats.full_turns += left_out != NULL;
	return earliest;
}

static void run_turn(uv_timer_t *timer)
{
	struct drain_scheduler *scheduler = timer->data;
	if (scheduler->last == NULL)
		return;
	scheduler->in_turn = true;
	scheduler->wake = false;
	scheduler->stats.turns++;
	uint64_t earliest = run_due_tasks(scheduler, uv_hrtime());
	if (scheduler->last != NULL)
		arm(scheduler, scheduler->wake ? 0 : earliest);
	scheduler->in_turn = false;
	unlink_removed(scheduler);
}

void drain_scheduler_stats(
	const struct drain_scheduler *scheduler, struct drain_scheduler_stats *out)
{
	*out = scheduler->stats;
}
