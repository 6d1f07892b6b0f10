/*
 * A process that offers a segment, as a listener or a scan found it: what a session is made of. One
 * thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "server/process_handle.h"

struct process_texts;
struct segment_map;

enum session_attach {
	SESSION_HANDSHAKE, /* the agent handed its segment over */
	SESSION_PULL,	   /* the daemon found it in /proc/PID/fd */
};

/* Owns its parts until session_new takes them. */
struct session_claim {
	struct process_handle process; /* without pidfd: ended before it could be opened */
	struct segment_map *segment;
	uid_t uid; /* as the socket's peer; for a pull (uid_t)-1: /proc tells */
	enum session_attach attach;
	bool unproven; /* the process may be another one, unless it holds the segment */
	const struct process_texts
		*texts; /* borrowed: session_claim_files; NULL: nothing is known */
};

/* What a claim can tell of its process: bits of enum proc_file. */
extern const uint32_t session_claim_files;
void session_claim_deinit(struct session_claim *claim);
