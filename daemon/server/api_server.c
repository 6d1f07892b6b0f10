/*
 * A connection reads until a request is complete, then not until its answer has been taken: a
 * client that sends without reading fills its own socket, not our memory. Bytes that came with the
 * request wait in `rest`.
 */
#include "config.h"
#include "server/api_server.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "base/log.h"
#include "server/api_answer.h"
#include "server/api_call.h"
#include "server/api_framing.h"

#ifndef SO_PASSRIGHTS
#define SO_PASSRIGHTS 83 /* Linux 6.16 */
#endif

#define BACKLOG	       64
#define READ_BYTES     (64u << 10)
#define MAX_GROUPS     1024u
#define FINISH_TICK_MS 10

struct connection {
	struct api_server *server;
	struct connection *next;
	uv_pipe_t pipe;
	uv_write_t write;
	struct api_peer peer;
	struct api_framing framing;
	struct buffer rest;	   /* owns: came behind the request under way */
	struct api_call *call;	   /* under way; NULL: reading */
	struct api_answer *answer; /* owns: being told */
	size_t answer_bytes;	   /* as counted in the server's held_bytes */
	struct buffer out;	   /* owns: the message being written */
	bool more;		   /* of the answer after it */
	bool last;		   /* close when it is written */
	uint64_t progress_ms;	   /* loop's clock */
	size_t unwritten;	   /* of `out`, when the timer last looked */
};

struct api_server {
	uv_pipe_t pipe;
	uv_timer_t timer;
	struct api_server_options options;
	struct connection *connections; /* own themselves; the newest first */
	uint8_t *input;			/* owns: READ_BYTES, used within one callback */
	unsigned open_handles;
	bool finishing;
	uint64_t finish_by_ms;
	void (*finished)(void *data);
	void *finished_data;
	struct api_server_stats stats;
};

const char api_server_full_message[] =
	"clients have left too many answers untaken; try again later";

static void on_connection(uv_stream_t *stream, int status);
static void on_timer(uv_timer_t *timer);
static void consume(struct connection *connection, const uint8_t *data, size_t size);

/* Nobody sends descriptors here but to harm: giving up the last reference to a file can take for
 * ever. Connections inherit this. Older kernels lack it: there it is left to those who may connect,
 * root, ourselves and the group. */
static void refuse_descriptors(int fd)
{
	int no = 0;
	setsockopt(fd, SOL_SOCKET, SO_PASSRIGHTS, &no, sizeof no);
}

static void on_server_closed(uv_handle_t *handle)
{
	struct api_server *server = handle->data;
	if (--server->open_handles > 0)
		return;
	free(server->input);
	free(server);
}

int api_server_new(struct api_server **out, struct uv_loop_s *loop, int fd,
	const struct api_server_options *options)
{
	struct api_server *server = alloc_zeroed(1, sizeof *server);
	server->options = *options;
	server->input = alloc_zeroed(1, READ_BYTES);
	server->open_handles = 2;
	uv_pipe_init(loop, &server->pipe, 0);
	uv_timer_init(loop, &server->timer);
	server->pipe.data = server->timer.data = server;
	refuse_descriptors(fd);
	int r = uv_pipe_open(&server->pipe, fd);
	if (r < 0)
		close(fd);
	else
		r = uv_listen((uv_stream_t *)&server->pipe, BACKLOG, on_connection);
	if (r == 0)
		r = uv_timer_start(
			&server->timer, on_timer, options->stall_ms / 4, options->stall_ms / 4);
	if (r < 0) {
		api_server_free(server);
		return r;
	}
	*out = server;
	return 0;
}

static void drop_answer(struct connection *connection)
{
	connection->server->stats.held_bytes -= connection->answer_bytes;
	connection->answer_bytes = 0;
	connection->answer = api_answer_free(connection->answer);
	buffer_deinit(&connection->out);
}

static void on_connection_closed(uv_handle_t *handle)
{
	struct connection *connection = handle->data;
	api_framing_deinit(&connection->framing);
	buffer_deinit(&connection->rest);
	buffer_deinit(&connection->out);
	free(connection);
}

static void close_connection(struct connection *connection)
{
	if (uv_is_closing((uv_handle_t *)&connection->pipe))
		return;
	struct connection **at = &connection->server->connections;
	while (*at != connection)
		at = &(*at)->next;
	*at = connection->next;
	connection->server->stats.open--;
	if (connection->call != NULL)
		api_call_abandon(connection->call);
	connection->server->stats.held_bytes -= connection->answer_bytes;
	connection->answer_bytes = 0;
	connection->answer = api_answer_free(connection->answer);
	/* `out` belongs to a write that ends by the close. */
	uv_close((uv_handle_t *)&connection->pipe, on_connection_closed);
}

struct api_server *api_server_free(struct api_server *server)
{
	if (server == NULL)
		return NULL;
	while (server->connections != NULL)
		close_connection(server->connections);
	uv_close((uv_handle_t *)&server->pipe, on_server_closed);
	uv_close((uv_handle_t *)&server->timer, on_server_closed);
	return NULL;
}

static void touch(struct connection *connection)
{
	connection->progress_ms = uv_now(connection->pipe.loop);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
	struct connection *connection = handle->data;
	(void)suggested;
	*buf = uv_buf_init((char *)connection->server->input, READ_BYTES);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
	struct connection *connection = stream->data;
	if (size < 0) {
		close_connection(connection);
		return;
	}
	touch(connection);
	if (size > 0)
		consume(connection, (const uint8_t *)buf->base, (size_t)size);
}

static bool idle(const struct connection *connection)
{
	return connection->call == NULL && connection->answer == NULL;
}

/* The answer has been taken as a whole: on to the next request. */
static void resume(struct connection *connection)
{
	drop_answer(connection);
	api_framing_next(&connection->framing);
	if (connection->rest.size > 0) {
		size_t size;
		_cleanup_free_ uint8_t *rest = buffer_take(&connection->rest, &size);
		consume(connection, rest, size);
	}
	if (idle(connection) && !uv_is_closing((uv_handle_t *)&connection->pipe))
		uv_read_start((uv_stream_t *)&connection->pipe, on_alloc, on_read);
}

static void write_next(struct connection *connection);

static void on_written(uv_write_t *write, int status)
{
	struct connection *connection = write->data;
	if (status < 0)
		close_connection(connection);
	/* A write may have succeeded just before the close for another reason. */
	if (uv_is_closing((uv_handle_t *)&connection->pipe))
		return;
	touch(connection);
	if (connection->more)
		write_next(connection);
	else if (connection->last)
		close_connection(connection);
	else
		resume(connection);
}

static void write_next(struct connection *connection)
{
	buffer_clear(&connection->out);
	connection->more = api_answer_next(connection->answer, &connection->out);
	connection->write.data = connection;
	uv_buf_t piece = uv_buf_init((char *)connection->out.data, (unsigned)connection->out.size);
	touch(connection);
	if (uv_write(&connection->write, (uv_stream_t *)&connection->pipe, &piece, 1, on_written) <
		0)
		close_connection(connection);
}

static void tell(struct connection *connection, struct api_answer *answer)
{
	connection->answer = answer;
	connection->answer_bytes = api_answer_bytes(answer);
	connection->server->stats.held_bytes += connection->answer_bytes;
	write_next(connection);
}

static void reject(struct connection *connection, int error)
{
	struct api_answer *answer = api_answer_new();
	connection->server->stats.malformed++;
	connection->last = true;
	uv_read_stop((uv_stream_t *)&connection->pipe);
	const char *message = error == -EPROTONOSUPPORT ? "this spprofd speaks version 1 of the "
							  "API: use a client of the same release"
			      : error == -EMSGSIZE
				      ? "the request is longer than 64 KiB"
				      : "what was sent is not a request of the spprof API";
	api_answer_add_error(answer, SPPROF__V1__ERROR__CODE__INVALID_REQUEST, message);
	tell(connection, answer);
}

/* The only one may be of any size. */
static bool may_hold(const struct api_server *server, size_t bytes)
{
	size_t max = server->options.max_held_bytes, held = server->stats.held_bytes;
	return held == 0 || (bytes <= max && held <= max - bytes);
}

static void deliver(struct api_answer *answer, void *data)
{
	struct connection *connection = data;
	connection->call = NULL;
	if (api_answer_is_file(answer) && !may_hold(connection->server, api_answer_bytes(answer))) {
		api_answer_free(answer);
		answer = api_answer_new();
		api_answer_add_error(
			answer, SPPROF__V1__ERROR__CODE__INTERNAL, api_server_full_message);
	}
	tell(connection, answer);
}

static void begin_call(struct connection *connection)
{
	uv_os_fd_t fd = -1;
	uv_fileno((uv_handle_t *)&connection->pipe, &fd);
	struct api_call *call = api_call_new(&connection->peer, fd, deliver, connection);
	connection->call = call;
	connection->server->stats.requests++;
	const struct api_server_options *options = &connection->server->options;
	options->handle(
		call, connection->framing.message, connection->framing.length, options->data);
}

static void consume(struct connection *connection, const uint8_t *data, size_t size)
{
	int r = api_framing_feed(&connection->framing, &data, &size);
	if (r == 0)
		return;
	if (r < 0) {
		reject(connection, r);
		return;
	}
	uv_read_stop((uv_stream_t *)&connection->pipe);
	buffer_append(&connection->rest, data, size);
	begin_call(connection);
}

static bool in_group(int fd, gid_t primary, gid_t group)
{
	if (group == (gid_t)-1)
		return false;
	gid_t groups[MAX_GROUPS];
	socklen_t size = sizeof groups;
	if (primary == group)
		return true;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &size) < 0)
		return false;
	for (size_t i = 0; i < size / sizeof groups[0]; i++)
		if (groups[i] == group)
			return true;
	return false;
}

static int identify(struct connection *connection)
{
	uv_os_fd_t fd;
	struct ucred credentials;
	socklen_t size = sizeof credentials;
	if (uv_fileno((uv_handle_t *)&connection->pipe, &fd) < 0)
		return -EBADF;
	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	uid_t uid = credentials.uid;
	connection->peer = (struct api_peer){
		.pid = credentials.pid,
		.uid = uid,
		.sees_all = uid == 0 || uid == geteuid() ||
			    in_group(fd, credentials.gid, connection->server->options.group),
	};
	return 0;
}

/* Among those that wait for nothing from us, the one that has been silent for longest. */
static struct connection *pick_idle(struct api_server *server)
{
	struct connection *found = NULL;
	for (struct connection *c = server->connections; c != NULL; c = c->next)
		if (idle(c) && (found == NULL || c->progress_ms <= found->progress_ms))
			found = c;
	return found;
}

static void make_room(struct api_server *server)
{
	struct connection *silent;
	if (server->stats.open >= server->options.max_connections &&
		(silent = pick_idle(server)) != NULL)
		close_connection(silent);
}

static void on_connection(uv_stream_t *stream, int status)
{
	struct api_server *server = stream->data;
	if (status < 0) {
		log_warning("a client's connection was not accepted: %s", uv_strerror(status));
		return;
	}
	make_room(server);
	struct connection *connection = alloc_zeroed(1, sizeof *connection);
	connection->server = server;
	uv_pipe_init(stream->loop, &connection->pipe, 0);
	connection->pipe.data = connection;
	connection->next = server->connections;
	server->connections = connection;
	server->stats.open++;
	server->stats.connections++;
	touch(connection);
	int r = uv_accept(stream, (uv_stream_t *)&connection->pipe);
	if (r == 0 && (server->finishing || server->stats.open > server->options.max_connections))
		r = -EMFILE;
	if (r == 0)
		r = identify(connection);
	if (r == 0)
		r = uv_read_start((uv_stream_t *)&connection->pipe, on_alloc, on_read);
	if (r < 0)
		close_connection(connection);
}

/* A request that does not end, an answer that is not taken. */
static bool stalled(const struct connection *connection, uint64_t now)
{
	bool waiting = connection->answer != NULL ||
		       (connection->call == NULL && api_framing_partial(&connection->framing));
	return waiting && now - connection->progress_ms >= connection->server->options.stall_ms;
}

static void on_timer(uv_timer_t *timer)
{
	struct api_server *server = timer->data;
	uint64_t now = uv_now(timer->loop);
	for (struct connection *c = server->connections, *next; c != NULL; c = next) {
		next = c->next;
		size_t unwritten = uv_stream_get_write_queue_size((uv_stream_t *)&c->pipe);
		if (unwritten != c->unwritten)
			touch(c);
		c->unwritten = unwritten;
		if (!stalled(c, now))
			continue;
		server->stats.stalled++;
		close_connection(c);
	}
}

static bool all_idle(const struct api_server *server)
{
	for (const struct connection *c = server->connections; c != NULL; c = c->next)
		if (!idle(c))
			return false;
	return true;
}

static void on_finish_timer(uv_timer_t *timer)
{
	struct api_server *server = timer->data;
	if (!all_idle(server) && uv_now(timer->loop) < server->finish_by_ms)
		return;
	uv_timer_stop(timer);
	server->finished(server->finished_data);
}

void api_server_finish(
	struct api_server *server, uint32_t timeout_ms, void (*done)(void *data), void *data)
{
	server->finished = done;
	server->finished_data = data;
	server->finish_by_ms = uv_now(server->timer.loop) + timeout_ms;
	server->finishing = true;
	uv_timer_start(&server->timer, on_finish_timer, 0, FINISH_TICK_MS);
}

bool api_server_is_full(const struct api_server *server)
{
	return server->stats.held_bytes >= server->options.max_held_bytes;
}

void api_server_stats(const struct api_server *server, struct api_server_stats *out)
{
	*out = server->stats;
}
