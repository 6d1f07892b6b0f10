/* Runs a program of the build tree to its end and keeps what it wrote. */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

#define PROGRAM_NOT_STARTED 99 /* an exit code */

struct program {
	pid_t pid;
	int out_fd, err_fd;
	uid_t uid;	 /* to run as; 0: the caller's */
	bool terminal;	 /* its standard output is one, 60 columns wide, and controls it; out_fd is
			    the other end */
	bool closed;	 /* it starts without standard descriptors */
	int exit_code;	 /* after program_wait(): 128 + signal where one ended it */
	char *out, *err; /* owns, until the next start or program_deinit() */
};

/*
 * argv[0] is found in the build tree; the environment is the caller's. *program is zero, or has
 * been run before; `uid`, `terminal`, `closed` and an err_fd > 0 of the caller's (it is closed) may
 * be set in it.
 */
void program_start(struct program *program, const char *const argv[]);
void program_wait(struct program *program);
/* Both; the words are a NULL-terminated list. */
void program_run(struct program *program, const char *first, ...) __attribute__((sentinel));
void program_deinit(struct program *program);
