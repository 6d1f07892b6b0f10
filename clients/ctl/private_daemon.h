/*
 * A spprofd of our own for one `run`: in a directory that only we may enter, out of reach of the
 * terminal's signals, ended and swept away with us. Single-threaded.
 */
#pragma once
#include <sys/types.h>

struct signals;

struct private_daemon {
	pid_t pid; /* 0: not running */
	char *dir; /* owns; NULL: none */
};

/*
 * CTL_OK once it answers; else an exit code, having said why, with nothing left behind. A signal
 * ends the wait and stays with the caller as *signal_number.
 */
int private_daemon_start(
	struct private_daemon *daemon, struct signals *signals, int *signal_number);
/* Ends it and removes its directory; nothing if it was never started. */
void private_daemon_stop(struct private_daemon *daemon);
