/*
 * Whose a session's process is and what it runs: as it could be read when it attached, or guessed
 * and learnt later. Part of the session; one thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "server/process_image.h"
#include "server/process_info.h"

struct module_map;
struct process_texts;
struct session_claim;

struct session_identity {
	struct process_info info; /* owns */
	struct process_info
		guessed;	    /* owns: what was said before it was learnt may be lent still */
	struct process_image image; /* start_ticks 0: unknown */
};

/* The claim's `texts` as far as they came; the peer's uid where they did not. -ECHILD: the segment is
 * another process's than `inner_pid`'s, which made it; -ESRCH: no process behind a pull. */
int session_identity_begin(
	struct session_identity *identity, const struct session_claim *claim, uint32_t inner_pid);
void session_identity_deinit(struct session_identity *identity);
/* The process runs another program by now: nothing that can be read of it is about ours. */
void session_identity_forget(struct session_identity *identity, uid_t uid);
/* What is unknown still, by the first file that it had mapped: its program. */
void session_identity_guess(struct session_identity *identity, const struct module_map *modules);
/* True: it was unknown, and these say it. */
bool session_identity_learn(
	struct session_identity *identity, const struct process_texts *texts, uint32_t inner_pid);
