/*
 * Decides which session is drained when: about every 15 ms while records flow, at once where rings
 * fill quickly, ever more seldom when nothing comes, everything once a second, and at once on
 * request. Each turn of the loop takes a bounded number of bytes. One thread (the loop's).
 */
#pragma once
#include <stdint.h>

struct drain_scheduler;
struct drain_task;
struct session;
struct uv_loop_s;

int drain_scheduler_new(struct drain_scheduler **out, struct uv_loop_s *loop);
/* All tasks must have been removed; the loop must run until the handles are closed. */
struct drain_scheduler *drain_scheduler_free(struct drain_scheduler *scheduler);

/* Holds a reference to the session until the task is removed. */
struct drain_task *drain_scheduler_add(struct drain_scheduler *scheduler, struct session *session);
/* Whoever waits is called. */
void drain_scheduler_remove(struct drain_task *task);
/* Calls `done` after a round over all rings that began after this call: everything the worker wrote
 * before is in the model then. Called once, never from inside this function. */
void drain_scheduler_request(struct drain_task *task, void (*done)(void *data), void *data);

struct drain_scheduler_stats {
	uint64_t turns, bytes;
	uint64_t full_turns; /* that ended at their bound of bytes */
};
void drain_scheduler_stats(
	const struct drain_scheduler *scheduler, struct drain_scheduler_stats *out);
