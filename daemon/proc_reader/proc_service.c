/*
 * The only place that reads what a process's owner can make wait, so whoever does that holds up this
 * process and nobody else. It has the daemon's rights to look at processes, since the kernel asks
 * for them at each opening, so it must not be led astray: it looks at no byte that it reads.
 */
#include "config.h"
#include "proc_reader/proc_service.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "base/packet.h"
#include "ingest/proc_packet.h"

struct service {
	int socket; /* borrows */
	uint64_t number;
	enum proc_file file;
	int error;	 /* of the socket */
	unsigned passed; /* descriptors */
	_Alignas(8) uint8_t packet[PROC_PACKET_MAX_BYTES];
};

static int send_piece(const void *bytes, size_t size, int fd, void *data)
{
	struct service *service = data;
	struct proc_packet_piece *piece = (void *)service->packet;
	if (size == 0 && fd < 0)
		return 0;
	*piece = (struct proc_packet_piece){
		.head = {PROC_PACKET_VERSION, PROC_PACKET_PIECE, service->number},
		.file = service->file,
	};
	memcpy(piece->bytes, bytes, size);
	service->error = packet_send(service->socket, piece, sizeof(*piece) + size, fd, 0);
	service->passed += fd >= 0;
	return service->error;
}

/* Most processes have no segment, and nobody wants to know more of them. */
static bool goes_on(const struct service *service, uint32_t files, unsigned file)
{
	return file <= PROC_FILE_SEGMENTS || service->passed > 0 ||
	       !(files & PROC_FILE_BIT(PROC_FILE_SEGMENTS));
}

static int answer(struct service *service, const struct proc_packet_ask *ask, int directory)
{
	struct proc_packet_end end = {
		.head = {PROC_PACKET_VERSION, PROC_PACKET_END, ask->head.number}};
	service->number = ask->head.number;
	service->passed = 0;
	for (unsigned i = 0; i < PROC_FILES && service->error == 0; i++) {
		service->file = (enum proc_file)i;
		if (ask->files & PROC_FILE_BIT(i))
			end.results[i] = goes_on(service, ask->files, i)
						 ? proc_file_read(directory, service->file,
							   send_piece, service)
						 : -ENODATA;
	}
	if (service->error < 0)
		return service->error;
	return packet_send(service->socket, &end, sizeof(end), -1, 0);
}

/* 1: answered; 0: the daemon has closed the socket. */
static int serve_one(struct service *service)
{
	_Alignas(8) struct proc_packet_ask ask;
	int directory;
	ssize_t size = packet_receive(service->socket, &ask, sizeof(ask), &directory, 0);
	if (size <= 0)
		return (int)size;
	int r = -EPROTO;
	if (directory >= 0 && proc_packet_check(&ask, (size_t)size) == PROC_PACKET_ASK)
		r = answer(service, &ask, directory);
	if (directory >= 0)
		close(directory);
	return r < 0 ? r : 1;
}

int proc_service_run(int socket)
{
	struct service service = {.socket = socket};
	int r;
	while ((r = serve_one(&service)) > 0)
		;
	return r == -EPIPE || r == -ECONNRESET ? 0 : r; /* it did not wait for the answer */
}
