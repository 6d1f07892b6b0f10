/* The program that `run` runs: started with the agent, sent the signals that were meant for it.
 * Single-threaded. */
#pragma once
#include <sys/types.h>

struct preload;
struct signals;

struct child {
	pid_t pid;
	int exit_code; /* as a shell has it: 128 + signal */
};

/* CTL_OK; CTL_NOT_FOUND, CTL_NOT_EXECUTABLE or CTL_FAILED, having said why. */
int child_start(struct child *child, char **argv, const struct preload *preload,
	const struct signals *signals);
/*
 * Until it has ended; what others sent to us goes on to it. It stays a zombie, so that its pid
 * still names it, until child_reap(). `daemon_pid` (0: none) is watched as well, and its loss
 * reported.
 */
void child_await(struct child *child, struct signals *signals, pid_t daemon_pid);
void child_reap(struct child *child);
