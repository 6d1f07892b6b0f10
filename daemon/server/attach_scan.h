/*
 * Attach by pull: finds segments among the descriptors of processes, for workers that had no daemon
 * to hand them to, and after a restart. Looks at everything once, then every few seconds at what is
 * new, and at one process when somebody asks for it. It is helpers that look
 * (process_reader.h). One thread (the loop's).
 */
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct attach_scan;
struct process_reader;
struct session_table;
struct uv_loop_s;

enum attach_scan_result {
	ATTACH_SCAN_ATTACHED,  /* it is, or was already */
	ATTACH_SCAN_GONE,      /* no such process */
	ATTACH_SCAN_NONE,      /* it has no segment */
	ATTACH_SCAN_INHERITED, /* it is a fork that holds only its parent's segment */
	ATTACH_SCAN_HIDDEN,    /* we may not look at its descriptors */
	ATTACH_SCAN_REFUSED,   /* it has a segment that is not accepted (logged) */
	ATTACH_SCAN_FULL,      /* at the bound of workers */
	ATTACH_SCAN_BUSY,      /* another daemon reads its segment */
};

/* `reader` is borrowed. Scans take in only what is meant for the daemon in `directory` (borrowed): processes that were
 * started with it in SPPROF_SOCKET, or without that variable if agents look there by themselves.
 * What somebody asks for by its number is taken in wherever it was meant for. */
int attach_scan_new(struct attach_scan **out, struct uv_loop_s *loop, struct session_table *table,
	struct process_reader *reader, const char *directory);
/* The loop must run until its handles and its work are done. */
struct attach_scan *attach_scan_free(struct attach_scan *scan);
/* Begins: a first look at everything, then at what is new. */
void attach_scan_start(struct attach_scan *scan);
/* Looks at one process, at the cost of the user who asks; `done` is called once from the loop, never from inside this function, and
 * not after attach_scan_free. */
void attach_scan_process(struct attach_scan *scan, pid_t pid, uid_t asker,
	void (*done)(enum attach_scan_result result, void *data), void *data);

/* Forks that hold nothing but their parent's segment, as of the last look. */
struct attach_scan_lost {
	pid_t pid;
	uid_t uid;
	const char *comm;
	const char *why; /* one clause */
};
void attach_scan_each_lost(const struct attach_scan *scan,
	void (*visit)(const struct attach_scan_lost *lost, void *data), void *data);

struct attach_scan_stats {
	uint64_t scans, processes_looked_at, adopted;
	uint32_t lost;
};
void attach_scan_stats(const struct attach_scan *scan, struct attach_scan_stats *out);
