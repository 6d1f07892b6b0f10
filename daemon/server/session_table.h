/*
 * All sessions, by process and by segment. Takes in what the listener and the scan found, watches
 * for the ends of processes, keeps ended sessions for a while, holds the bounds on number and
 * memory. Owns the sessions and their drain tasks. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct auditor;
struct drain_scheduler;
struct options_limits;
struct session;
struct session_claim;
struct session_means;
struct session_table;
struct uv_loop_s;

/* `scheduler` and `limits` are borrowed, and whom `means` (copied) names. */
int session_table_new(struct session_table **out, struct uv_loop_s *loop,
	struct drain_scheduler *scheduler, const struct session_means *means,
	const struct options_limits *limits);
/* The loop must run until the handles are closed. */
struct session_table *session_table_free(struct session_table *table);

/* Who audits the stacks of processes attached from now on; borrowed. */
void session_table_audit_by(struct session_table *table, struct auditor *auditor);
/* Takes the claim over in every case. 0: a session was made, the process's earlier one (before an
 * exec) is ended. -EEXIST: attached already; -EPERM: the segment is another process's; -ECHILD: a
 * forked child's copy of its parent's; -EUSERS: at the bound of workers; -EBUSY: another daemon
 * reads it; other negative errno. */
int session_table_adopt(struct session_table *table, struct session_claim *claim);

/* The session of that pid: of a living process, else the latest that ended. Borrowed; NULL: none.
 */
struct session *session_table_find(const struct session_table *table, pid_t pid);
bool session_table_attached(const struct session_table *table, pid_t pid);
/* In no order that means anything; `visit` must not change the table. */
void session_table_each(const struct session_table *table,
	void (*visit)(struct session *session, void *data), void *data);
/* False: the session has ended, its model is complete. True: `done` is called once, later, when the
 * model holds all that was written until now, or the session was removed. */
bool session_table_catch_up(
	struct session_table *table, struct session *session, void (*done)(void *data), void *data);
/* The same for whoever has called session_hurry already. */
bool session_table_drain(
	struct session_table *table, struct session *session, void (*done)(void *data), void *data);
/* The same for all of them, before a clean end; false: nothing is attached. */
bool session_table_catch_up_all(struct session_table *table, void (*done)(void *data), void *data);

struct session_table_stats {
	uint32_t attached, exited;
	uint64_t adopted, refused, superseded, evicted;
	size_t bytes;
	bool frozen; /* at the bound of memory */
};
void session_table_stats(const struct session_table *table, struct session_table_stats *out);
