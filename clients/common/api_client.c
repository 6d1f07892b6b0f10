/*
 * The daemon is not believed further than needed: a length is checked before anything is allocated
 * for it, a message is unpacked from a private copy, and an answer of another kind than was asked
 * for is a broken protocol. All waiting happens in wait_for(), which alone knows time limit and
 * interrupt.
 */
#include "config.h"
#include "common/api_client.h"

#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/scope.h"

#define API_SOCKET     "api.sock"
#define API_VERSION    1
#define PREAMBLE_SIZE  8
#define REQUEST_LIMIT  (64u << 10)
#define RESPONSE_LIMIT (1u << 20)
#define CONNECT_WAIT_S 5

struct api_client {
	int fd;
	int interrupt_fd;
	uint8_t *message; /* owns; RESPONSE_LIMIT bytes */
	char error[512];
};

static void put_le(uint8_t *at, uint32_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> (8 * i));
}

static uint32_t get_le(const uint8_t *at, size_t bytes)
{
	uint32_t value = 0;
	for (size_t i = 0; i < bytes; i++)
		value |= (uint32_t)at[i] << (8 * i);
	return value;
}

static int connect_to(const char *dir)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int length = snprintf(address.sun_path, sizeof(address.sun_path), "%s/" API_SOCKET, dir);
	if (length < 0 || (size_t)length >= sizeof(address.sun_path))
		return -ENAMETOOLONG;

	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	/* A daemon that accepts no more would hold us in connect for good. */
	struct timeval limit = {.tv_sec = CONNECT_WAIT_S};
	if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == EAGAIN ? -ETIMEDOUT : -errno;
	int connected = fd;
	fd = -1;
	return connected;
}

int api_client_new(struct api_client **out, const char *dir)
{
	int fd = connect_to(dir);
	if (fd < 0)
		return fd;
	struct api_client *client = scope_alloc(sizeof(*client));
	client->fd = fd;
	client->interrupt_fd = -1;
	client->message = scope_alloc(RESPONSE_LIMIT);
	*out = client;
	return 0;
}

struct api_client *api_client_free(struct api_client *client)
{
	if (client) {
		close(client->fd);
		free(client->message);
		free(client);
	}
	return NULL;
}

uid_t api_client_peer_uid(const struct api_client *client)
{
	struct ucred peer = {.uid = (uid_t)-1};
	socklen_t size = sizeof(peer);
	getsockopt(client->fd, SOL_SOCKET, SO_PEERCRED, &peer, &size);
	return peer.uid;
}

void api_client_set_interrupt(struct api_client *client, int fd)
{
	client->interrupt_fd = fd;
}

const char *api_client_error(const struct api_client *client)
{
	return client->error;
}

static int wait_for(struct api_client *client, short events, int silence_ms)
{
	struct pollfd fds[] = {
		{.fd = client->fd, .events = events},
		{.fd = client->interrupt_fd, .events = POLLIN},
	};
	int ready = poll(fds, 2, silence_ms);
	if (ready < 0)
		return -errno;
	if (fds[1].revents)
		return -EINTR;
	return ready == 0 ? -ETIMEDOUT : 0;
}

static int send_all(struct api_client *client, const uint8_t *bytes, size_t size, int silence_ms)
{
	while (size > 0) {
		ssize_t sent = send(client->fd, bytes, size, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (sent > 0) {
			bytes += sent;
			size -= (size_t)sent;
			continue;
		}
		if (sent < 0 && errno == EPIPE)
			return -ECONNRESET;
		if (sent < 0 && errno != EAGAIN)
			return -errno;
		int result = wait_for(client, POLLOUT, silence_ms);
		if (result < 0)
			return result;
	}
	return 0;
}

static int receive_all(struct api_client *client, uint8_t *bytes, size_t size, int silence_ms)
{
	while (size > 0) {
		int result = wait_for(client, POLLIN, silence_ms);
		if (result < 0)
			return result;
		ssize_t got = recv(client->fd, bytes, size, MSG_DONTWAIT);
		if (got == 0)
			return -ECONNRESET;
		if (got < 0 && errno != EAGAIN)
			return -errno;
		if (got > 0) {
			bytes += got;
			size -= (size_t)got;
		}
	}
	return 0;
}

static int send_request(
	struct api_client *client, const Spprof__V1__Request *request, int silence_ms)
{
	size_t size = spprof__v1__request__get_packed_size(request);
	if (size > REQUEST_LIMIT)
		return -EMSGSIZE;
	_cleanup_free_ uint8_t *bytes = scope_alloc(PREAMBLE_SIZE + size);
	put_le(bytes, (uint32_t)size, 4);
	put_le(bytes + 4, API_VERSION, 2);
	spprof__v1__request__pack(request, bytes + PREAMBLE_SIZE);
	return send_all(client, bytes, PREAMBLE_SIZE + size, silence_ms);
}

static int receive_response(struct api_client *client, int silence_ms, Spprof__V1__Response **out)
{
	uint8_t preamble[PREAMBLE_SIZE];
	int result = receive_all(client, preamble, sizeof(preamble), silence_ms);
	if (result < 0)
		return result;
	uint32_t size = get_le(preamble, 4);
	if (size > RESPONSE_LIMIT || get_le(preamble + 4, 2) != API_VERSION ||
		get_le(preamble + 6, 2) != 0)
		return -EPROTO;
	result = receive_all(client, client->message, size, silence_ms);
	if (result < 0)
		return result;
	*out = spprof__v1__response__unpack(NULL, size, client->message);
	return *out ? 0 : -EPROTO;
}

static bool answers(const Spprof__V1__Response *response, const Spprof__V1__Request *request)
{
	switch (request->kind_case) {
	case SPPROF__V1__REQUEST__KIND_LIST:
		return response->kind_case == SPPROF__V1__RESPONSE__KIND_LIST;
	case SPPROF__V1__REQUEST__KIND_SNAPSHOT:
		return response->kind_case == SPPROF__V1__RESPONSE__KIND_SNAPSHOT;
	case SPPROF__V1__REQUEST__KIND_STATS:
		return response->kind_case == SPPROF__V1__RESPONSE__KIND_STATS;
	case SPPROF__V1__REQUEST__KIND_PING:
		return response->kind_case == SPPROF__V1__RESPONSE__KIND_PING;
	case SPPROF__V1__REQUEST__KIND_MARK:
		return response->kind_case == SPPROF__V1__RESPONSE__KIND_MARK;
	default:
		return false;
	}
}

/* A newer daemon may know reasons that we don't. */
static int known_code(const Spprof__V1__Error *error)
{
	switch (error->code) {
	case SPPROF__V1__ERROR__CODE__INVALID_REQUEST:
	case SPPROF__V1__ERROR__CODE__NO_SUCH_PROCESS:
	case SPPROF__V1__ERROR__CODE__NOT_ATTACHED:
	case SPPROF__V1__ERROR__CODE__PERMISSION_DENIED:
		return (int)error->code;
	default:
		return SPPROF__V1__ERROR__CODE__INTERNAL;
	}
}

int api_client_call(struct api_client *client, const Spprof__V1__Request *request, int silence_ms,
	int (*take)(const Spprof__V1__Response *response, void *data), void *data)
{
	client->error[0] = '\0';
	int result = send_request(client, request, silence_ms);
	bool more = true;
	while (result == 0 && more) {
		Spprof__V1__Response *response = NULL;
		result = receive_response(client, silence_ms, &response);
		if (result < 0)
			break;
		more = response->more;
		if (response->error) {
			snprintf(client->error, sizeof(client->error), "%s",
				response->error->message);
			result = known_code(response->error);
		} else if (!answers(response, request)) {
			result = -EPROTO;
		} else {
			result = take(response, data);
		}
		spprof__v1__response__free_unpacked(response, NULL);
	}
	return result;
}
