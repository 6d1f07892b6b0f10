/*
 * The directory where the daemon can be met: DIR/agent.sock, DIR/api.sock, and DIR/spprofd.pid,
 * whose lock says that a daemon is alive. One per daemon; used by main() before the loop starts and
 * after it ended. Owns the lock and the names of the sockets it made, not the sockets' descriptors.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>
#include "spprof/wire/handshake.h"

#define SOCKET_DIR_AGENTS  WIRE_AGENT_SOCKET
#define SOCKET_DIR_CLIENTS "api.sock"

struct socket_dir;

/* The default for a user: /run/spprofd for root, else `xdg_runtime_dir`/spprofd where that is the
 * user's own /run/user/UID, else /tmp/spprofd-UID: the places where agents look
 * (spprof/wire/handshake.h). Caller frees. */
char *socket_dir_default(uid_t uid, const char *xdg_runtime_dir);

/* Whether a process that was told `wants` (NULL: nothing), and runs as `uid`, is meant for the
 * daemon in `path`. */
bool socket_dir_is_meant(const char *path, const char *wants, uid_t uid);

/* Makes `path` where it is missing, checks that nobody else can put names into it, takes the lock.
 * -EBUSY: another spprofd serves it; -EPERM: owned or writable by others; -ENAMETOOLONG; -errno.
 * The reason has been logged. */
int socket_dir_new(struct socket_dir **out, const char *path);
/* Unlinks what was made and gives up the lock. */
struct socket_dir *socket_dir_free(struct socket_dir *dir);

/* Binds DIR/`name` (at most two names), replacing what a dead daemon left. `type` is SOCK_SEQPACKET
 * or SOCK_STREAM; the socket has `mode` from its first moment; a `group` other than (gid_t)-1
 * becomes its group. Returns a descriptor that does not listen yet and that the caller owns, or
 * negative errno (logged). */
int socket_dir_bind(struct socket_dir *dir, const char *name, int type, mode_t mode, gid_t group);
