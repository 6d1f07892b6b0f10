#include "config.h"
#include "unit/clients/fake_server.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PREAMBLE_SIZE 8

struct fake_server {
	int listener;
	fake_server_answer *answer;
	void *data;
};

static void require(bool condition, const char *what)
{
	if (!condition) {
		perror(what);
		exit(99);
	}
}

char *fake_server_make_dir(void)
{
	char *dir = strdup("/tmp/spprof-test-XXXXXX");
	require(dir && mkdtemp(dir), "mkdtemp");
	return dir;
}

struct fake_server *fake_server_new(const char *dir, fake_server_answer *answer, void *data)
{
	struct fake_server *server = calloc(1, sizeof(*server));
	require(server, "calloc");
	server->answer = answer;
	server->data = data;
	server->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/api.sock", dir);
	require(bind(server->listener, (struct sockaddr *)&address, sizeof(address)) == 0,
		address.sun_path);
	require(listen(server->listener, 8) == 0, "listen");
	return server;
}

static bool read_all(int fd, void *bytes, size_t size)
{
	return size == 0 || recv(fd, bytes, size, MSG_WAITALL) == (ssize_t)size;
}

static void serve(struct fake_server *server, int fd)
{
	uint8_t preamble[PREAMBLE_SIZE], message[1 << 16];
	while (read_all(fd, preamble, sizeof(preamble))) {
		uint32_t size =
			preamble[0] | (uint32_t)preamble[1] << 8 | (uint32_t)preamble[2] << 16;
		if (size > sizeof(message) || !read_all(fd, message, size))
			return;
		Spprof__V1__Request *request = spprof__v1__request__unpack(NULL, size, message);
		int result = request ? server->answer(fd, request, server->data) : -1;
		if (request)
			spprof__v1__request__free_unpacked(request, NULL);
		if (result != 0)
			return;
	}
}

void fake_server_run(struct fake_server *server)
{
	for (;;) {
		int fd = accept(server->listener, NULL, NULL);
		require(fd >= 0, "accept");
		serve(server, fd);
		close(fd);
	}
}

static void *run_thread(void *data)
{
	fake_server_run(data);
	return NULL;
}

void fake_server_start(struct fake_server *server)
{
	pthread_t thread;
	require(pthread_create(&thread, NULL, run_thread, server) == 0, "pthread_create");
	pthread_detach(thread);
}

int fake_server_send_bytes(int fd, const void *bytes, size_t size)
{
	for (const uint8_t *at = bytes; size > 0;) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
		if (sent <= 0)
			return -1;
		at += sent;
		size -= (size_t)sent;
	}
	return 0;
}

int fake_server_send(int fd, const Spprof__V1__Response *response)
{
	size_t size = spprof__v1__response__get_packed_size(response);
	uint8_t *bytes = calloc(1, PREAMBLE_SIZE + size);
	require(bytes, "calloc");
	for (size_t i = 0; i < 4; i++)
		bytes[i] = (uint8_t)(size >> (8 * i));
	bytes[4] = 1;
	spprof__v1__response__pack(response, bytes + PREAMBLE_SIZE);
	int result = fake_server_send_bytes(fd, bytes, PREAMBLE_SIZE + size);
	free(bytes);
	return result;
}

int fake_server_send_error(int fd, Spprof__V1__Error__Code code, const char *message)
{
	Spprof__V1__Error error = SPPROF__V1__ERROR__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	error.code = code;
	error.message = (char *)message;
	response.error = &error;
	return fake_server_send(fd, &response);
}

int fake_server_send_snapshot(int fd, const char *text, unsigned pieces)
{
	size_t size = strlen(text), step = size / pieces + 1;
	int result = 0;
	for (size_t at = 0; at <= size && result == 0; at += step) {
		Spprof__V1__SnapshotResponse piece = SPPROF__V1__SNAPSHOT_RESPONSE__INIT;
		Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
		piece.data.data = (uint8_t *)text + at;
		piece.data.len = size - at < step ? size - at : step;
		response.more = at + step <= size;
		response.kind_case = SPPROF__V1__RESPONSE__KIND_SNAPSHOT;
		response.snapshot = &piece;
		result = fake_server_send(fd, &response);
	}
	return result;
}

int fake_server_send_ping(int fd)
{
	Spprof__V1__PingResponse ping = SPPROF__V1__PING_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	ping.version = (char *)"9.8.7";
	response.kind_case = SPPROF__V1__RESPONSE__KIND_PING;
	response.ping = &ping;
	return fake_server_send(fd, &response);
}
