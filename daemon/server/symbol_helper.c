/*
 * The process handle must live until the child is reaped, the socket only until the helper is given
 * up: so symbol_helper_free detaches the object, and it frees itself when libuv has closed its
 * handles.
 *
 * A killed helper that waits for a file system which doesn't answer cannot be reaped. It lingers:
 * after LINGER_MS its handle no longer keeps the loop alive, so that the daemon can end; if the
 * file system answers after all, it is reaped then.
 */
#include "server/symbol_helper.h"
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

#define SOCKET_FD	  3
#define LINGER_MS	  1000
#define REPLIES_AT_A_TIME 16 /* then the loop's other handles get their turn */

struct packet {
	STAILQ_ENTRY(packet) next;
	int fd; /* owns, or -1 */
	size_t size;
	uint8_t bytes[];
};

struct symbol_helper {
	uv_process_t process;
	uv_poll_t poll;
	uv_timer_t linger;
	int socket;				       /* owns */
	const struct symbol_helper_handlers *handlers; /* NULL: freed by its owner */
	void *data;
	STAILQ_HEAD(, packet) queue;
	bool exited;
	bool ended; /* no more events */
	unsigned open_handles;
};

/* Freed and not reaped yet, in this process. */
static unsigned lingering;

static void on_handle_closed(uv_handle_t *handle)
{
	struct symbol_helper *helper = handle->data;
	if (--helper->open_handles == 0)
		free(helper);
}

static void on_linger(uv_timer_t *timer)
{
	struct symbol_helper *helper = timer->data;
	uv_unref((uv_handle_t *)&helper->process);
}

static void close_process(struct symbol_helper *helper)
{
	uv_close((uv_handle_t *)&helper->process, on_handle_closed);
	uv_close((uv_handle_t *)&helper->linger, on_handle_closed);
}

static void on_process_exit(uv_process_t *process, int64_t status, int signal)
{
	struct symbol_helper *helper = process->data;
	helper->exited = true;
	if (helper->handlers && (status || signal))
		log_warning("spprof-symbolizer (pid %d) ended by %s %d", process->pid,
			signal ? "signal" : "exit status", signal ? signal : (int)status);
	if (helper->handlers)
		return; /* the socket tells, after what was sent before */
	lingering--;
	close_process(helper);
}

static void end(struct symbol_helper *helper)
{
	if (helper->ended)
		return;
	helper->ended = true;
	uv_poll_stop(&helper->poll);
	if (helper->handlers)
		helper->handlers->end(helper->data);
}

/* False: nothing more to read for now, or ever. */
static bool read_reply(struct symbol_helper *helper)
{
	uint8_t bytes[SPPROF__V1__SYMBOLIZER_BOUND__REPLY_BYTES];
	ssize_t size = packet_receive(helper->socket, bytes, sizeof(bytes), NULL, MSG_DONTWAIT);
	if (size == -EAGAIN)
		return false;
	Spprof__V1__SymbolizerReply *reply = NULL;
	if (size > 0)
		reply = spprof__v1__symbolizer_reply__unpack(NULL, (size_t)size, bytes);
	if (!reply) {
		end(helper);
		return false;
	}
	helper->handlers->reply(helper->data, reply);
	spprof__v1__symbolizer_reply__free_unpacked(reply, NULL);
	return helper->handlers && !helper->ended;
}

static void drop_packet(struct symbol_helper *helper)
{
	struct packet *packet = STAILQ_FIRST(&helper->queue);
	STAILQ_REMOVE_HEAD(&helper->queue, next);
	if (packet->fd >= 0)
		background_close(packet->fd);
	free(packet);
}

static void send_queued(struct symbol_helper *helper)
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

static void watch(struct symbol_helper *helper)
{
	int events = UV_READABLE | (STAILQ_EMPTY(&helper->queue) ? 0 : UV_WRITABLE);
	uv_poll_start(&helper->poll, events, on_poll);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
	struct symbol_helper *helper = poll->data;
	if (status < 0)
		events = UV_READABLE; /* reading says what it is */
	if (events & UV_READABLE)
		for (int i = 0; i < REPLIES_AT_A_TIME && read_reply(helper); i++)
			;
	if (helper->ended || !helper->handlers)
		return;
	if (events & UV_WRITABLE)
		send_queued(helper);
	if (!helper->ended && helper->handlers)
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

static int spawn(struct symbol_helper *helper, uv_loop_t *loop, const char *program, int socket)
{
	char *environment[8], *arguments[] = {"spprof-symbolizer", NULL};
	uv_stdio_container_t stdio[SOCKET_FD + 1] = {
		{.flags = UV_IGNORE},
		{.flags = UV_IGNORE},
		{.flags = UV_INHERIT_FD, .data.fd = STDERR_FILENO},
		{.flags = UV_INHERIT_FD, .data.fd = socket},
	};
	uv_process_options_t options = {
		.exit_cb = on_process_exit,
		.file = program,
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

int symbol_helper_new(struct symbol_helper **out, struct uv_loop_s *loop, const char *program,
	const struct symbol_helper_handlers *handlers, void *data)
{
	int sockets[2], r = make_sockets(sockets);
	if (r < 0)
		return r;
	struct symbol_helper *helper = alloc_zeroed(1, sizeof(*helper));
	helper->handlers = handlers;
	helper->data = data;
	helper->socket = sockets[0];
	helper->process.data = helper->poll.data = helper->linger.data = helper;
	STAILQ_INIT(&helper->queue);
	r = uv_poll_init(loop, &helper->poll, helper->socket);
	if (r < 0) {
		close(sockets[0]);
		close(sockets[1]);
		free(helper);
		return r;
	}
	uv_timer_init(loop, &helper->linger);
	helper->open_handles = 3;
	r = spawn(helper, loop, program, sockets[1]);
	close(sockets[1]);
	if (r < 0) {
		helper->exited = true;
		symbol_helper_free(helper);
		return r;
	}
	watch(helper);
	*out = helper;
	return 0;
}

struct symbol_helper *symbol_helper_free(struct symbol_helper *helper)
{
	if (!helper)
		return NULL;
	helper->handlers = NULL;
	while (!STAILQ_EMPTY(&helper->queue))
		drop_packet(helper);
	uv_poll_stop(&helper->poll);
	uv_close((uv_handle_t *)&helper->poll, on_handle_closed);
	close(helper->socket);
	if (helper->exited) {
		close_process(helper);
		return NULL;
	}
	lingering++;
	uv_process_kill(&helper->process, SIGKILL);
	uv_timer_start(&helper->linger, on_linger, LINGER_MS, 0);
	return NULL;
}

unsigned symbol_helper_lingering(void)
{
	return lingering;
}

static int enqueue(struct symbol_helper *helper, const uint8_t *bytes, size_t size, int fd)
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

int symbol_helper_send(
	struct symbol_helper *helper, const Spprof__V1__SymbolizerRequest *request, int fd)
{
	uint8_t bytes[SPPROF__V1__SYMBOLIZER_BOUND__REQUEST_BYTES];
	if (spprof__v1__symbolizer_request__get_packed_size(request) > sizeof(bytes))
		return -EMSGSIZE;
	size_t size = spprof__v1__symbolizer_request__pack(request, bytes);
	if (!STAILQ_EMPTY(&helper->queue))
		return enqueue(helper, bytes, size, fd);
	int r = packet_send(helper->socket, bytes, size, fd, MSG_DONTWAIT);
	if (r == -EAGAIN)
		return enqueue(helper, bytes, size, fd);
	return r == -EPIPE || r == -ECONNRESET ? 0 : r; /* `end` tells that, from the loop */
}

pid_t symbol_helper_pid(const struct symbol_helper *helper)
{
	return uv_process_get_pid(&helper->process);
}
