/*
 * One connection to a daemon's api.sock: a request goes out, its answer comes in, piece by piece,
 * so that a large snapshot is never held in memory as a whole. Blocking, with a limit on silence
 * and a descriptor that interrupts the wait. One thread at a time per client. Messages are those of
 * proto/spprof/v1/api.proto, whose head describes the framing.
 */
#pragma once
#include <sys/types.h>

#include "spprof/v1/api.pb-c.h"

struct api_client;

/*
 * Connects to DIR/api.sock. -ENOENT, -ENOTDIR, -ECONNREFUSED: nobody answers there; -EACCES: not
 * for us; -ENAMETOOLONG: no socket address can hold the path; or what else connect(2) says.
 */
int api_client_new(struct api_client **out, const char *dir);
struct api_client *api_client_free(struct api_client *client);

/* The uid the daemon runs as, from the kernel. */
uid_t api_client_peer_uid(const struct api_client *client);

/* Waits end with -EINTR as soon as `fd` is readable (borrowed; -1: none). */
void api_client_set_interrupt(struct api_client *client, int fd);

/*
 * Sends `request` and hands each Response of its answer to `take`, which borrows it and returns 0
 * or a negative errno that ends the call. Returns 0 when the answer is complete; a
 * Spprof__V1__Error__Code
 * (> 0) when the daemon refused, its words then in api_client_error(); or a negative errno:
 * -ETIMEDOUT after `silence_ms` without a byte, -ECONNRESET when the daemon went away, -EPROTO when
 * what it said makes no sense, -EINTR, or what `take` returned. After a negative result the
 * connection is of no further use.
 */
int api_client_call(struct api_client *client, const Spprof__V1__Request *request, int silence_ms,
	int (*take)(const Spprof__V1__Response *response, void *data), void *data);

/* The daemon's last refusal, one line; "" if there was none. Borrowed. */
const char *api_client_error(const struct api_client *client);
