/*
 * One worker: its process, its segment, its model. Made by the session table from a claim, drained
 * by the drain scheduler, read by handlers and the snapshot builder. When the process has ended,
 * the segment is given back and the model stays for post-mortem snapshots. Counted references; one
 * thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "ingest/ring_consumer.h"
#include "ingest/segment_map.h"
#include "model/snapshot.h"
#include "server/resync.h"
#include "server/sample_feed.h"
#include "server/session_claim.h"

struct map_places;
struct module_map;
struct process_handle;
struct process_reader;
struct options_limits;
struct session;
struct session_audit;
struct session_codes;
struct session_sums;
struct symbol_file;

enum session_state {
	SESSION_ATTACHED,
	SESSION_LOST, /* alive, but its segment cannot be read any more */
	SESSION_EXITED,
};

/* Whom its readings ask, borrowed until the session ends; NULL: nobody. */
struct session_means {
	struct map_places *places;     /* where its memory may be read, while it is idle */
	struct process_reader *reader; /* what it runs and has mapped */
	uint32_t hold_ms;	       /* so long a record waits for mappings; 0: 1,000 */
};

struct session_facts { /* constant but for `state`, what an exec changes, and what is learnt late;
			* strings are printable */
	pid_t pid;
	pid_t parent_pid; /* by the kernel, when it was attached; 0: unknown */
	uid_t uid;
	bool single_uid; /* the process runs under this uid alone */
	enum session_state state;
	enum session_attach attach;
	const char *comm, *exe, *command_line;
	uint64_t since_unix_ns; /* the agent's load */
	uint64_t ended_ns;	/* monotonic; 0: it has not */
};

struct session_numbers { /* for statistics */
	struct segment_counters agent;
	struct ring_consumer_stats consumer;
	struct sample_feed_stats feed;
	uint64_t refreshes;	/* readings of /proc/PID/maps */
	uint64_t digest_checks; /* comparisons of the model with the agent's own count */
	uint64_t digest_mismatches;
	struct resync resync;
	size_t bytes; /* of the model, modules and a reading included */
};

/* Takes the claim over on success only. -ECHILD: the segment is a forked child's inherited copy of
 * its parent's; -ESRCH: no process to be found behind a pull; -EBUSY: another daemon reads the
 * segment; other negative errno. One reference. */
int session_new(struct session **out, struct session_claim *claim,
	const struct options_limits *limits, const struct session_means *means);
/* `wake` NULL: nobody. Called from the loop, also from inside of a call of another session's: a round
 * had better come at once. */
void session_set_wake(struct session *session, void (*wake)(void *data), void *data);
struct session *session_ref(struct session *session);
struct session *session_unref(struct session *session); /* NULL; accepts NULL */

const struct session_facts *session_facts(const struct session *session);
const struct segment_info *session_segment(const struct session *session);
const struct process_handle *session_process(const struct session *session); /* borrowed */

/* One round, or a part of it: takes about max_bytes. 1: something was left; RING_CONSUMER_HELD: likewise,
 * and the session is woken when it can be taken; 0: the round is over
 * (*taken: bytes). A segment that cannot be read makes the session LOST; it has nothing left then.
 */
int session_drain(struct session *session, bool all, uint64_t max_bytes, uint64_t *taken);
/* After each round: has a resync go on. True: the next round had better come at once. */
bool session_tend(struct session *session);
/* Somebody waits for what session_drain brings: where little is missing for a copy that is
 * confirmed, that is done at once; session_nearly_there says so, for a second at most. */
void session_hurry(struct session *session);
bool session_nearly_there(const struct session *session);
/* How much of its map the process has told for the latest request; 100 if none is open. */
unsigned session_told_percent(struct session *session);
/* Compares the model with the agent's count; for a moment when a full round has found nothing. */
void session_compare(struct session *session);
/* Looks whether the process runs another program than when it was attached; session_replaced says so
 * later. */
void session_look(struct session *session);
bool session_replaced(const struct session *session);
/* False if another process may have the number by now. */
bool session_has_number(const struct session *session);
/* The process is gone and drained: takes the last counters, gives segment and process back. */
void session_end(struct session *session);
void session_freeze(struct session *session, bool frozen);

/* The whole heap added up; what was added up less than `max_age_ns` ago may be told again. Valid until
 * the next call. */
const struct session_sums *session_sums(struct session *session, uint64_t max_age_ns);
/* Fills what is known without a look at stacks; unconfirmed_reason is borrowed until the next call.
 */
void session_quality(struct session *session, struct snapshot_quality *out);
double session_interval_bytes(const struct session *session);
void session_numbers(const struct session *session, struct session_numbers *out);
size_t session_bytes(const struct session *session);

/* Which file a module turned out to be when it was opened; all zero: not opened yet. Stays when the
 * process has ended, so that names found before go on being found. Valid until the next call. */
struct symbol_file *session_file(struct session *session, uint32_t module);

/* What another unwinder says of its stacks; its auditor is to be set. */
struct session_audit *session_audit(struct session *session);
/* Names the border between the samples that have been told of and later ones ("": not at all); windows from there on
 * know what they have freed. Its id. */
uint64_t session_mark(struct session *session, const char *name);
/* False: those that clients gave to an earlier daemon ended with it. */
bool session_keeps_marks(const struct session *session);
/* The border of that name: a client's or the worker's own. False: there is none. */
bool session_find_mark(struct session *session, const char *name, uint64_t *id);
const struct heap_model *session_heap(const struct session *session);
const struct stack_table *session_stacks(const struct session *session);
const struct module_map *session_modules(const struct session *session);
/* Of the interpreter's frames in its stacks. */
const struct session_codes *session_codes(const struct session *session);
