/* What a daemon may say to a client: the input is the byte stream that comes back on its
 * connection. */
#include "config.h"
#include "common/api_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define INPUT_LIMIT (64u << 10) /* what a socket buffer surely takes */

static char dir[] = "/tmp/spprof-fuzz-XXXXXX";
static struct sockaddr_un address = {.sun_family = AF_UNIX};

static void sweep_up(void)
{
	unlink(address.sun_path);
	rmdir(dir);
}

static int listener(void)
{
	static int fd = -1;
	if (fd >= 0)
		return fd;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0 || !mkdtemp(dir))
		abort();
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/api.sock", dir);
	atexit(sweep_up);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0)
		abort();
	return fd;
}

/* Touches every byte that a command would. */
static int take(const Spprof__V1__Response *response, void *data)
{
	unsigned *sum = data;
	const Spprof__V1__SnapshotResponse *piece = response->snapshot;
	for (size_t i = 0; i < piece->data.len; i++)
		*sum += piece->data.data[i];
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct api_client *client;
	int server = listener();
	if (api_client_new(&client, dir) < 0)
		abort();
	int fd = accept(server, NULL, NULL);
	if (size > INPUT_LIMIT)
		size = INPUT_LIMIT;
	if (fd < 0 || (size > 0 && send(fd, data, size, 0) != (ssize_t)size) ||
		shutdown(fd, SHUT_WR) < 0)
		abort();

	unsigned sum = 0;
	Spprof__V1__SnapshotRequest snapshot = SPPROF__V1__SNAPSHOT_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	request.kind_case = SPPROF__V1__REQUEST__KIND_SNAPSHOT;
	request.snapshot = &snapshot;
	api_client_call(client, &request, 1000, take, &sum);
	api_client_free(client);
	close(fd);
	return 0;
}
