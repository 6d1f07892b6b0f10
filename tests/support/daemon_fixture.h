/*
 * A real spprofd in a directory of its own, fake workers that obey over a pipe, and a client that
 * speaks the API by hand, well or badly. For integration tests; what goes wrong here fails the test
 * that is running. Waits are bounded by FIXTURE_WAIT_MS.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>
#include "spprof/v1/api.pb-c.h"

#define FIXTURE_WAIT_MS 20000

struct fixture_daemon {
	char dir[64];
	pid_t pid;
};

/* `options`: further ones, NULL-terminated; NULL: none. In a new directory, or in the one that
 * `daemon` has. */
void fixture_start(struct fixture_daemon *daemon, const char *const *options);
/* Sends the signal and waits for the end: the wait status. */
int fixture_stop(struct fixture_daemon *daemon, int signal_number);
/* Ends it if it runs, and removes the directory. */
void fixture_clean(struct fixture_daemon *daemon);
bool fixture_exists(const struct fixture_daemon *daemon, const char *name);
/* As a user would start it: runs it to its end. The exit status, and what it said on stderr. */
int fixture_run_spprofd(const char *const *options, char *text, size_t size);

struct fixture_worker {
	pid_t pid;
	FILE *commands, *answers;
};

/* Told, by SPPROF_SOCKET, that this is its daemon. */
void fixture_worker_start(struct fixture_worker *worker, const struct fixture_daemon *daemon,
	const char *const *options);
/* Sends a command and waits for its answer: the number in it, or -1. */
long fixture_worker_tell(struct fixture_worker *worker, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Tells it to hand over its segment. */
void fixture_worker_handshake(struct fixture_worker *worker, const struct fixture_daemon *daemon);
/* Kills it, if it lives, and reaps it. */
void fixture_worker_end(struct fixture_worker *worker);

/* A connection to a socket in the daemon's directory. */
int fixture_connect(const struct fixture_daemon *daemon, const char *name, int type);
void fixture_send(int fd, const void *bytes, size_t size);
void fixture_send_request(int fd, const Spprof__V1__Request *request);
/* The next message; NULL: the daemon has closed the connection. */
Spprof__V1__Response *fixture_receive(int fd);
/* True if the daemon closes the connection, whatever it says before. */
bool fixture_closed(int fd);

/* One request each, on a connection of its own; free with spprof__v1__response__free_unpacked. */
Spprof__V1__Response *fixture_list(const struct fixture_daemon *daemon, bool include_exited);
Spprof__V1__Response *fixture_stats(const struct fixture_daemon *daemon, pid_t pid);
/* The whole file, NUL-terminated, to be freed; its last Response in *last if that is not NULL (else
 * it must be no error). */
char *fixture_snapshot(const struct fixture_daemon *daemon, pid_t pid,
	Spprof__V1__SnapshotRequest__Format format, Spprof__V1__Response **first);
/* The same, for a request of the caller's. */
char *fixture_take_snapshot(const struct fixture_daemon *daemon,
	Spprof__V1__SnapshotRequest *snapshot, Spprof__V1__Response **first);
/* Names a moment: its id. */
uint64_t fixture_mark(const struct fixture_daemon *daemon, pid_t pid, const char *name);
void fixture_free(Spprof__V1__Response *response);

/* Asks until the process is in the list in that state; fails the test if that takes too long. */
void fixture_await_state(
	const struct fixture_daemon *daemon, pid_t pid, Spprof__V1__Process__State state);
/* The process in a list; NULL: not there. Borrows. */
const Spprof__V1__Process *fixture_process(const Spprof__V1__Response *list, pid_t pid);
/* The counter's value; fails the test if there is none of that name. */
double fixture_counter(const Spprof__V1__Response *stats, const char *name);
