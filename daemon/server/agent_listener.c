/*
 * An agent connects, sends one message, and closes; mostly all of that has happened before the
 * connection is accepted. Connections that say nothing are few and short-lived: the oldest gives
 * way.
 *
 * The last reference to a file that a stranger sends may be ours, and giving it up may wait for as
 * long as the stranger likes: a TCP socket lingers, a FUSE file asks its server. The kernel would
 * do that on this thread with whatever it does not deliver: descriptors past the buffer's end,
 * messages unread at the close. So all are taken, and closed in the background.
 *
 * The peer is the process that connected. Where the kernel hands out its pidfd, that is proof; else
 * the pid may have been reused since, and the process that has it now counts as the peer only if it
 * holds the segment. A peer that is gone is accepted as ended: what its rings hold is worth as much
 * as before.
 */
#include "config.h"
#include "server/agent_listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/log.h"
#include "server/admissions.h"
#include "server/background_close.h"
#include "server/complaint.h"
#include "server/session.h"
#include "server/wall_clock.h"
#include "spprof/wire/handshake.h"
#include "spprof/wire/segment.h"

#ifndef SO_PEERPIDFD
#define SO_PEERPIDFD 77 /* Linux 6.5 */
#endif

#define BACKLOG		 64 /* descriptors in flight are charged to the sending user */
#define ACCEPTS_PER_TURN 16
#define MAX_SILENT	 64
#define SILENT_MS	 2000u
#define MAX_UNCLOSABLE	 256
#define MAX_DESCRIPTORS	 253 /* the kernel's SCM_MAX_FD */

struct connection {
	struct agent_listener *listener;
	uv_poll_t poll;
	int fd; /* owns */
	uint64_t accepted_ms;
	struct connection *next;
};

struct agent_listener {
	uv_poll_t poll;
	uv_timer_t timer; /* runs while connections are silent */
	int fd;		  /* owns */
	int spare_fd; /* given up to accept and drop a connection when descriptors have run out */
	struct admissions *admissions; /* owns */
	struct connection *silent;     /* owns; the newest first */
	uint32_t silent_count;
	unsigned open_handles;
	struct complaint complaint;
	struct agent_listener_stats stats;
};

static void on_connectable(uv_poll_t *poll, int status, int events);
static void hang_up(struct agent_listener *listener, int fd);

static bool may_complain(struct agent_listener *listener)
{
	return complaint_allowed(&listener->complaint, wall_clock_monotonic_ns());
}

static int open_spare(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void on_admitted(int result, int pid, void *data);

int agent_listener_new(struct agent_listener **out, struct uv_loop_s *loop, int fd,
	struct session_table *table, struct process_reader *reader)
{
	struct agent_listener *listener = alloc_zeroed(1, sizeof *listener);
	listener->fd = fd;
	listener->spare_fd = open_spare();
	listener->poll.data = listener->timer.data = listener;
	int r = listen(fd, BACKLOG) < 0 ? -errno : 0;
	if (r == 0)
		r = uv_poll_init(loop, &listener->poll, fd);
	if (r < 0) {
		close(fd);
		close(listener->spare_fd);
		free(listener);
		return r;
	}
	uv_timer_init(loop, &listener->timer);
	admissions_new(&listener->admissions, table, reader, on_admitted, listener);
	listener->open_handles = 2;
	*out = listener;
	return uv_poll_start(&listener->poll, UV_READABLE, on_connectable);
}

static void on_listener_closed(uv_handle_t *handle)
{
	struct agent_listener *listener = handle->data;
	if (--listener->open_handles == 0)
		free(listener);
}

static void on_connection_closed(uv_handle_t *handle)
{
	free(handle->data);
}

static void close_connection(struct connection *connection)
{
	struct connection **at = &connection->listener->silent;
	while (*at != connection)
		at = &(*at)->next;
	*at = connection->next;
	connection->listener->silent_count--;
	uv_close((uv_handle_t *)&connection->poll, on_connection_closed);
	hang_up(connection->listener, connection->fd);
}

struct agent_listener *agent_listener_free(struct agent_listener *listener)
{
	if (listener == NULL)
		return NULL;
	while (listener->silent != NULL)
		close_connection(listener->silent);
	admissions_free(listener->admissions);
	uv_close((uv_handle_t *)&listener->poll, on_listener_closed);
	uv_close((uv_handle_t *)&listener->timer, on_listener_closed);
	/* Messages may wait in connections that were never accepted; an end of the process closes
	 * without waiting. */
	background_close(listener->fd);
	close(listener->spare_fd);
	return NULL;
}

/* A memfd can be closed without asking anybody; what else a stranger sends cannot. */
static void discard(struct agent_listener *listener, int fd)
{
	if (fcntl(fd, F_GET_SEALS) >= 0)
		close(fd);
	else if (background_close(fd) < 0)
		listener->stats.unclosable++;
}

/* The one descriptor of a message; surplus ones are discarded. -1: none. */
static int take_descriptor(struct agent_listener *listener, struct msghdr *message)
{
	int taken = -1;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c != NULL; c = CMSG_NXTHDR(message, c)) {
		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		size_t count = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
		for (size_t i = 0; i < count; i++) {
			int fd;
			memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
			if (taken < 0)
				taken = fd;
			else
				discard(listener, fd);
		}
	}
	return taken;
}

struct taken {
	struct wire_handshake handshake;
	int descriptor; /* -1: none */
	int flags;
	bool adorned; /* something came along, of whatever kind */
};

/* The size of the next message, or negative errno. */
static ssize_t take_message(struct agent_listener *listener, int fd, struct taken *taken)
{
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(struct ucred)) +
			   CMSG_SPACE(MAX_DESCRIPTORS * sizeof(int))];
	} control;
	struct iovec piece = {.iov_base = &taken->handshake, .iov_len = sizeof taken->handshake};
	struct msghdr message = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control.bytes,
		.msg_controllen = sizeof control.bytes};
	ssize_t size;
	do
		size = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	while (size < 0 && errno == EINTR);
	if (size < 0)
		return -errno;
	taken->descriptor = take_descriptor(listener, &message);
	taken->flags = message.msg_flags;
	taken->adorned = message.msg_controllen > 0;
	return size;
}

/* -EAGAIN: nothing yet. -EBADMSG: the peer said something else, or went without a word. */
static int receive(struct agent_listener *listener, int fd, int *segment_fd)
{
	struct taken taken;
	ssize_t size = take_message(listener, fd, &taken);
	if (size < 0)
		return size == -EAGAIN ? -EAGAIN : -EBADMSG;
	*segment_fd = taken.descriptor;
	bool complete =
		size == sizeof taken.handshake && (taken.flags & (MSG_TRUNC | MSG_CTRUNC)) == 0;
	if (complete && taken.handshake.magic == WIRE_HANDSHAKE_MAGIC && *segment_fd >= 0) {
		if (taken.handshake.major == WIRE_MAJOR)
			return 0;
		if (may_complain(listener))
			log_warning("an agent speaks version %u of the segment, this spprofd %u: "
				    "install "
				    "the same release of both",
				taken.handshake.major, WIRE_MAJOR);
	}
	if (*segment_fd >= 0)
		discard(listener, *segment_fd);
	return -EBADMSG;
}

/* Closes a connection, of which nothing may be left unread then. */
static void hang_up(struct agent_listener *listener, int fd)
{
	struct taken taken;
	int yes = 1;
	/* The sender's name comes along with each message, but not with their end: that tells it
	 * from an empty one. */
	setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &yes, sizeof yes);
	/* From here on nothing can be added. */
	shutdown(fd, SHUT_RDWR);
	while (take_message(listener, fd, &taken) >= 0 && taken.adorned)
		if (taken.descriptor >= 0)
			discard(listener, taken.descriptor);
	close(fd);
}

/* 0; -ESRCH: the peer has gone, its handle is empty but for the number. */
static int identify_peer(int fd, struct ucred *peer, struct process_handle *process)
{
	*process = PROCESS_HANDLE_INIT;
	socklen_t size = sizeof *peer;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, peer, &size) < 0)
		return -errno;
	if (peer->pid <= 0)
		return -ENXIO;
	int pidfd;
	size = sizeof pidfd;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERPIDFD, &pidfd, &size) < 0)
		pidfd = -1;
	bool proven = pidfd >= 0 || errno != ENOPROTOOPT;
	int r = pidfd < 0 && proven ? -ESRCH : process_handle_open(process, peer->pid, pidfd);
	process->pid = peer->pid;
	return r == 0 && !proven ? 1 : r;
}

static int claim_of(
	struct agent_listener *listener, int fd, int segment_fd, struct session_claim *claim)
{
	const char *why = "";
	struct ucred peer;
	int r = identify_peer(fd, &peer, &claim->process);
	if (r == -ENXIO && may_complain(listener))
		log_warning("an agent in a pid namespace that is hidden from us is not attached");
	if (r < 0 && r != -ESRCH) {
		discard(listener, segment_fd);
		return r;
	}
	claim->unproven = r == 1;
	claim->uid = peer.uid;
	claim->attach = SESSION_HANDSHAKE;
	r = segment_map_new(&claim->segment, segment_fd, &why);
	if (r < 0) {
		if (may_complain(listener))
			log_warning("process %d handed over a segment that is refused: %s",
				(int)peer.pid, why);
		discard(listener, segment_fd);
		return r;
	}
	return 0;
}

static void explain(struct agent_listener *listener, int error, pid_t pid)
{
	if (error == -EBUSY)
		log_info("process %d is served by another spprofd already", (int)pid);
	else if ((error == -EPERM || error == -ECHILD) && may_complain(listener))
		log_warning("process %d handed over the segment of another process: not attached",
			(int)pid);
}

static void on_admitted(int result, int pid, void *data)
{
	struct agent_listener *listener = data;
	listener->stats.adopted += result == 0;
	listener->stats.refused += result < 0;
	explain(listener, result, pid);
}

static void adopt(struct agent_listener *listener, int fd, int segment_fd)
{
	struct session_claim claim = {.process = PROCESS_HANDLE_INIT};
	int r = claim_of(listener, fd, segment_fd, &claim);
	if (r < 0) {
		listener->stats.refused++;
		session_claim_deinit(&claim);
		return;
	}
	admissions_take(listener->admissions, &claim);
}

/* False: the peer has not spoken yet. */
static bool serve(struct agent_listener *listener, int fd)
{
	int segment_fd = -1;
	int r = receive(listener, fd, &segment_fd);
	if (r == -EAGAIN)
		return false;
	if (r == 0)
		adopt(listener, fd, segment_fd);
	else
		listener->stats.malformed++;
	return true;
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
	struct connection *connection = poll->data;
	(void)events;
	if (status < 0 || serve(connection->listener, connection->fd))
		close_connection(connection);
}

static struct connection *oldest(struct agent_listener *listener)
{
	struct connection *connection = listener->silent;
	while (connection != NULL && connection->next != NULL)
		connection = connection->next;
	return connection;
}

static void on_timer(uv_timer_t *timer)
{
	struct agent_listener *listener = timer->data;
	uint64_t now = uv_now(timer->loop);
	struct connection *connection;
	while ((connection = oldest(listener)) != NULL &&
		now - connection->accepted_ms >= SILENT_MS) {
		listener->stats.timed_out++;
		close_connection(connection);
	}
	if (listener->silent == NULL)
		uv_timer_stop(timer);
}

static void wait_for_word(struct agent_listener *listener, int fd)
{
	if (listener->silent_count == MAX_SILENT) {
		listener->stats.timed_out++;
		close_connection(oldest(listener));
	}
	struct connection *connection = alloc_zeroed(1, sizeof *connection);
	connection->listener = listener;
	connection->fd = fd;
	connection->accepted_ms = uv_now(listener->poll.loop);
	connection->poll.data = connection;
	if (uv_poll_init(listener->poll.loop, &connection->poll, fd) < 0) {
		hang_up(listener, fd);
		free(connection);
		return;
	}
	connection->next = listener->silent;
	listener->silent = connection;
	listener->silent_count++;
	uv_poll_start(&connection->poll, UV_READABLE | UV_DISCONNECT, on_readable);
	if (!uv_is_active((uv_handle_t *)&listener->timer))
		uv_timer_start(&listener->timer, on_timer, SILENT_MS, SILENT_MS / 4);
}

/* Without descriptors left, a waiting connection would wake the loop for ever. */
static void drop_one(struct agent_listener *listener)
{
	if (may_complain(listener))
		log_warning("no descriptor is left for an agent's connection: raise the limit "
			    "(ulimit -n)");
	close(listener->spare_fd);
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	/* What is unread cannot be taken now. */
	if (fd >= 0 && background_close(fd) < 0)
		listener->stats.unclosable++;
	listener->spare_fd = open_spare();
}

static void on_connectable(uv_poll_t *poll, int status, int events)
{
	struct agent_listener *listener = poll->data;
	(void)status;
	(void)events;
	if (listener->stats.unclosable > MAX_UNCLOSABLE) {
		log_error("somebody sends files to the agents' socket that cannot be closed: it is "
			  "shut, agents are "
			  "found by scanning from now on");
		uv_poll_stop(poll);
		return;
	}
	for (unsigned i = 0; i < ACCEPTS_PER_TURN; i++) {
		int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				drop_one(listener);
			return;
		}
		listener->stats.connections++;
		if (serve(listener, fd))
			hang_up(listener, fd);
		else
			wait_for_word(listener, fd);
	}
}

void agent_listener_stats(const struct agent_listener *listener, struct agent_listener_stats *out)
{
	*out = listener->stats;
}
