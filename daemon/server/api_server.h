/*
 * DIR/api.sock: connections, requests, answers. Knows framing and who asks, not what is asked: each
 * complete request is handed to one handler, which answers it now or later. Bounds: connections,
 * one request at a time for each, silence in the middle of a request or an answer. One thread (the
 * loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct api_call;
struct api_server;
struct uv_loop_s;

struct api_server_options {
	gid_t group; /* (gid_t)-1: none */
	uint32_t max_connections;
	size_t max_held_bytes; /* of answers that clients have not taken yet: a file that would be too much is refused */
	uint32_t stall_ms; /* no progress for so long in the middle of a message: the connection is
			      closed */
	/* Called for each request; ends in exactly one api_call_answer or api_call_refuse, now or
	 * later. */
	void (*handle)(struct api_call *call, const uint8_t *message, uint32_t size, void *data);
	void *data;
};

/* Takes the bound socket `fd` over in every case. */
int api_server_new(struct api_server **out, struct uv_loop_s *loop, int fd,
	const struct api_server_options *options);
/* Accepts nothing more and calls `done` when nothing is under way any more, or after `timeout_ms`.
 */
void api_server_finish(
	struct api_server *server, uint32_t timeout_ms, void (*done)(void *data), void *data);
/* Closes all connections; calls under way may still be answered, into nothing. The loop must run
 * until the handles are closed. */
struct api_server *api_server_free(struct api_server *server);

struct api_server_stats {
	uint64_t connections, requests, malformed, stalled;
	uint32_t open;
	size_t held_bytes; /* of answers that clients have not taken yet */
};
void api_server_stats(const struct api_server *server, struct api_server_stats *out);
/* Any further file would be refused: it need not be made. */
bool api_server_is_full(const struct api_server *server);
extern const char api_server_full_message[];
