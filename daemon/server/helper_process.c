/*
 * The process handle must live until the child is reaped, the socket only until the helper is given
 * up: so helper_process_free detaches the object, and it frees itself when libuv has closed its
 * handles.
 *
 * A killed helper that waits for a file system which doesn't answer cannot be reaped. It lingers:
 * after LINGER_MS its handle no longer keeps the loop alive, so that the daemon can end; if the
 * file system answers after all, it is reaped then.
 */
#include "server/helper_process.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>
#include "base/alloc.h"
#include "base/log.h"
#include "base/packet.h"
#include "server/background_close.h"
#include "server/complaint.h"

#define SOCKET_FD	  3
#define LINGER_MS	  1000
#define PACKETS_AT_A_TIME 16 /* then the loop's other handles get their turn */

struct packet {
	STAILQ_ENTRY(packet) next;
	int fd; /* owns, or -1 */
	size_t size;
	uint8_t bytes[];
};

struct helper_process {
	uv_process_t process;
	uv_poll_t poll;
	uv_timer_t linger;
	int socket; /* owns */
	bool takes_descriptors;
	int passed; /* owns: what came with the packet; -1: none */
	const struct helper_process_handlers *handlers; /* borrows */
	void *data;
	const char *name;
	uint8_t *room; /* owns */
	size_t room_bytes;
	STAILQ_HEAD(, packet) queue;
	bool freed; /* by its owner */
	bool exited;
	bool ended; /* no more events */
	unsigned open_handles;
};

/* Of all helpers in this process: the files and processes that they look at can make them die. */
static struct complaint complaint;

static void on_handle_closed(uv_handle_t *handle)
{
	struct helper_process *helper = handle->data;
	if (--helper->open_handles > 0)
		return;
	free(helper->room);
	free(helper);
}

static void on_linger(uv_timer_t *timer)
{
	struct helper_process *helper = timer->data;
	uv_unref((uv_handle_t *)&helper->process);
}

static void close_process(struct helper_process *helper)
{
	uv_close((uv_handle_t *)&helper->process, on_handle_closed);
	uv_close((uv_handle_t *)&helper->linger, on_handle_closed);
}

static void tell_reaped(struct helper_process *helper)
{
	close_process(helper);
	if (helper->handlers->reaped)
		helper->handlers->reaped(helper->data);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal)
{
	struct helper_process *helper = process->data;
	helper->exited = true;
	if (helper->freed)
		tell_reaped(helper);
	else if ((status || signal) && complaint_allowed(&complaint, uv_hrtime()))
		log_warning("%s (pid %d) ended by %s %d", helper->name, process->pid,
			signal ? "signal" : "exit status", signal ? signal : (int)status);
	/* Not freed yet: the socket tells, after what was sent before. */
}

static void end(struct helper_process *helper)
{
	if (helper->ended)
		return;
	helper->ended = true;
	uv_poll_stop(&helper->poll);
	if (!helper->freed)
		helper->handlers->end(helper->data);
}

/* False: nothing more to read for now, or ever. */
static bool read_packet(struct helper_process *helper)
{
	ssize_t size = packet_receive(helper->socket, helper->room, helper->room_bytes,
		helper->takes_descriptors ? &helper->passed : NULL, MSG_DONTWAIT);
	if (size == -EAGAIN)
		return false;
	int r = size > 0 ? helper->handlers->packet(helper->data, helper->room, (size_t)size) : -1;
	int left = helper_process_take_fd(helper);
	if (left >= 0)
		background_close(left);
	if (helper->freed)
		return false;
	if (r < 0)
		end(helper);
	return !helper->ended;
}

static void drop_packet(struct helper_process *helper)
{
	struct packet *packet = STAILQ_FIRST(&helper->queue);
	STAILQ_REMOVE_HEAD(&helper->queue, next);
	if (packet->fd >= 0)
		background_close(packet->fd);
	explicit_bzero(packet->bytes, packet->size); /* it may hold a worker's stack */
	free(packet);
}

static void send_queued(struct helper_process *helper)
{
	struct packet *packet;
	while ((packet = STAILQ_FIRST(&helper->queue))) {
		int r = packet_send(
			helper->socket, packet->bytes, packet->size, packet->fd, MSG_DONTWAIT);
		if (r == -EAGAIN)
			return;
		drop_packet(helper);
		if (r < 0) {
			end(helper);
			return;
		}
	}
}

static void on_poll(uv_poll_t *poll, int status, int events);

static void watch(struct helper_process *helper)
{
	int events = UV_READABLE | (STAILQ_EMPTY(&helper->queue) ? 0 : UV_WRITABLE);
	uv_poll_start(&helper->poll, events, on_poll);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct helper_process *helper = poll->data;
	if (status < 0)
		events = UV_READABLE; /* reading says what it is */
	if (events & UV_READABLE)
		for (int i = 0; i < PACKETS_AT_A_TIME && read_packet(helper); i++)
			;
	if (helper->ended || helper->freed)
		return;
	if (events & UV_WRITABLE)
		send_queued(helper);
	if (!helper->ended && !helper->freed)
		watch(helper);
}

/* The daemon's end doesn't wait; the helper's does. */
static int make_sockets(int sockets[2])
{
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) < 0)
		return -errno;
	int flags = fcntl(sockets[0], F_GETFL);
	if (flags < 0 || fcntl(sockets[0], F_SETFL, flags | O_NONBLOCK) < 0) {
		int r = -errno;
		close(sockets[0]);
		close(sockets[1]);
		return r;
	}
	return 0;
}

/* The helper's environment is its log level: nothing that could load code into it. Sanitizers'
 * options are for builds that have them. */
static char **make_environment(char *storage[], size_t room)
{
	static const char *const names[] = {
		"SPPROF_LOG", "ASAN_OPTIONS", "UBSAN_OPTIONS", "TSAN_OPTIONS", "LSAN_OPTIONS"};
	size_t count = 0;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]) && count + 1 < room; i++) {
		const char *value = getenv(names[i]);
		if (!value)
			continue;
		size_t size = strlen(names[i]) + strlen(value) + 2;
		storage[count] = alloc_zeroed(1, size);
		stpcpy(stpcpy(stpcpy(storage[count], names[i]), "="), value);
		count++;
	}
	storage[count] = NULL;
	return storage;
}

static int spawn(struct helper_process *helper, uv_loop_t *loop,
	const struct helper_process_options *helper_options, int socket)
{
	char *environment[8], *arguments[] = {(char *)helper_options->name,
				      (char *)helper_options->argument, NULL};
	uv_stdio_container_t stdio[SOCKET_FD + 1] = {
		{.flags = UV_IGNORE},
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
		{.flags = UV_INHERIT_FD, .data.fd = socket},
	};
	uv_process_options_t options = {
		.exit_cb = on_process_exit,
		.file = helper_options->program,
		.args = arguments,
		.env = make_environment(environment, sizeof(environment) / sizeof(environment[0])),
		.stdio_count = SOCKET_FD + 1,
		.stdio = stdio,
	};
	int r = uv_spawn(loop, &helper->process, &options);
	for (char **variable = environment; *variable; variable++)
		free(*variable);
	return r;
}

/* Of one that never ran. */
static const struct helper_process_handlers nobody;

int helper_process_new(struct helper_process **out, struct uv_loop_s *loop,
	const struct helper_process_options *options,
	const struct helper_process_handlers *handlers, void *data)
{
	int sockets[2], r = make_sockets(sockets);
	if (r < 0)
		return r;
	struct helper_process *helper = alloc_zeroed(1, sizeof(*helper));
	helper->handlers = handlers;
	helper->data = data;
	helper->name = options->name;
	helper->room_bytes = options->max_packet_bytes;
	helper->room = alloc_zeroed(1, helper->room_bytes);
	helper->socket = sockets[0];
	helper->takes_descriptors = options->takes_descriptors;
	helper->passed = -1;
	helper->process.data = helper->poll.data = helper->linger.data = helper;
	STAILQ_INIT(&helper->queue);
	r = uv_poll_init(loop, &helper->poll, helper->socket);
	if (r < 0) {
		close(sockets[0]);
		close(sockets[1]);
		free(helper->room);
		free(helper);
		return r;
	}
	uv_timer_init(loop, &helper->linger);
	helper->open_handles = 3;
	r = spawn(helper, loop, options, sockets[1]);
	close(sockets[1]);
	if (r < 0) {
		helper->exited = true;
		helper->handlers = &nobody;
		helper_process_free(helper);
		return r;
	}
	watch(helper);
	*out = helper;
	return 0;
}

struct helper_process *helper_process_free(struct helper_process *helper)
{
	if (!helper)
		return NULL;
	helper->freed = true;
	while (!STAILQ_EMPTY(&helper->queue))
		drop_packet(helper);
	uv_poll_stop(&helper->poll);
	uv_close((uv_handle_t *)&helper->poll, on_handle_closed);
	close(helper->socket);
	if (helper->exited) {
		tell_reaped(helper);
		return NULL;
	}
	uv_process_kill(&helper->process, SIGKILL);
	uv_timer_start(&helper->linger, on_linger, LINGER_MS, 0);
	return NULL;
}

static int enqueue(struct helper_process *helper, const void *bytes, size_t size, int fd)
{
	int copy = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (fd >= 0 && copy < 0)
		return -errno;
	struct packet *packet = alloc_zeroed(1, sizeof(*packet) + size);
	packet->fd = copy;
	packet->size = size;
	memcpy(packet->bytes, bytes, size);
	STAILQ_INSERT_TAIL(&helper->queue, packet, next);
	watch(helper);
	return 0;
}

int helper_process_send(struct helper_process *helper, const void *bytes, size_t size, int fd)
{
	if (!STAILQ_EMPTY(&helper->queue))
		return enqueue(helper, bytes, size, fd);
	int r = packet_send(helper->socket, bytes, size, fd, MSG_DONTWAIT);
	if (r == -EAGAIN)
		return enqueue(helper, bytes, size, fd);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r; /* `end` tells that, from the loop */
}

int helper_process_take_fd(struct helper_process *helper)
{
	int fd = helper->passed;
	helper->passed = -1;
	return fd;
}

pid_t helper_process_pid(const struct helper_process *helper)
{
	return uv_process_get_pid(&helper->process);
}
