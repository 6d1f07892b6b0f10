/*
 * Has copied stacks unwound by libunwind: in a spprof-symbolizer of its own, so that neither a
 * hostile stack nor a flood of them keeps names waiting or is blamed on a file. It is ended before
 * another user's stack is judged, for a user's file may have taken it over. One audit at a time, a
 * bounded number waiting, of few per worker and user; users take turns, each pays for what theirs
 * cost, and audits take about a tenth of one core (audit_queue.h). What is over a bound is refused.
 *
 * Files are opened by module_files, as for names, and borrowed from the symbol client. One thread
 * (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct auditor;
struct module_files;
struct session;
struct session_audit_item;
struct symbol_client;
struct uv_loop_s;

struct auditor_options {   /* 0: the default */
	uint32_t stall_ms; /* files or helper that take so long end the audit; 5,000 */
	uint32_t idle_ms;  /* nothing to do for so long: the helper is ended; 30,000 */
};

struct auditor_stats {
	uint64_t judged, refused;
	uint64_t helper_starts, helper_deaths;
	uint64_t waiting;
	pid_t helper_pid; /* 0: not running */
};

/* `program`: path of spprof-symbolizer; copied. The others are borrowed. `options`: NULL for the
 * defaults. */
int auditor_new(struct auditor **out, struct uv_loop_s *loop, const char *program,
	struct module_files *files, struct symbol_client *client,
	const struct auditor_options *options);
/* Gives up what waits. The loop must run until its handles are closed. */
struct auditor *auditor_free(struct auditor *auditor);

bool auditor_has_room(const struct auditor *auditor, const struct session *session);
/* Takes the item over, and a reference to the session, whose session_audit is told how it went.
 * False: there is no room. */
bool auditor_take(
	struct auditor *auditor, struct session *session, struct session_audit_item *item);
/* Gives up what waits of a session that nobody wants any more; one that is being judged goes on. */
void auditor_forget(struct auditor *auditor, const struct session *session);
void auditor_stats(const struct auditor *auditor, struct auditor_stats *out);
