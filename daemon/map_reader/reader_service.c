/*
 * The only place that touches a worker's memory, so whoever can make that wait holds up this process
 * and nobody else. /proc/PID/mem and not process_vm_readv: both ask the same rights, but this one is
 * bound to the address space by its descriptor, and the other one to whatever has the number, and
 * whatever runs in it, at the moment of each call. It needs no rights here: they were asked for when
 * the daemon opened it.
 */
#include "config.h"
#include "map_reader/reader_service.h"
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include "base/buffer.h"
#include "base/packet.h"
#include "ingest/map_packet.h"
#include "ingest/map_reader.h"

struct service {
	int socket; /* borrows */
	int memory; /* owns, or -1 */
	uint32_t epoch;
	struct map_source source;
	struct map_reader *reader; /* owns */
	struct buffer answer;	   /* owns */
};

_Static_assert(sizeof(struct map_packet_wanted) >= sizeof(struct map_packet_begin),
	"the largest that is received");

/* 0 bytes: the address space is gone. */
static int read_memory(uint64_t address, void *bytes, size_t size, void *data)
{
	const struct service *service = data;
	uint8_t *at = bytes;
	if (address > INT64_MAX - size)
		return -EFAULT;
	while (size > 0) {
		ssize_t n = pread(service->memory, at, size, (off_t)address);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -ESRCH : errno == EIO ? -EFAULT : -errno;
		at += n;
		address += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

/* 1: a packet of this kind; 0: the daemon has closed the socket. */
static int receive(struct service *service, struct map_packet_wanted *room, int wanted, int *fd)
{
	ssize_t size = packet_receive(service->socket, room, sizeof(*room), fd, 0);
	if (size <= 0)
		return (int)size;
	int kind = map_packet_check(room, (size_t)size, 0);
	return kind == wanted ? 1 : -EPROTO;
}

static int begin(struct service *service)
{
	_Alignas(8) struct map_packet_wanted room;
	int r = receive(service, &room, MAP_PACKET_BEGIN, &service->memory);
	if (r <= 0)
		return r;
	if (service->memory < 0)
		return -EPROTO;
	const struct map_packet_begin *packet = (const void *)&room;
	service->epoch = packet->epoch;
	service->source = (struct map_source){read_memory, service};
	r = map_reader_new(&service->reader, &packet->places, &service->source);
	return r < 0 ? r : 1;
}

static int ask(struct service *service, const uint64_t *ids, uint32_t count,
	struct map_packet_wanted *wanted)
{
	const struct map_packet head = {MAP_PACKET_VERSION, MAP_PACKET_ASK};
	buffer_clear(&service->answer);
	buffer_append(&service->answer, &head, sizeof(head));
	buffer_append(&service->answer, ids, count * sizeof(ids[0]));
	int r = packet_send(service->socket, service->answer.data, service->answer.size, -1, 0);
	return r < 0 ? r : receive(service, wanted, MAP_PACKET_WANTED, NULL);
}

static int tell(struct service *service, int result)
{
	struct map_packet_found *found = (void *)service->answer.data;
	struct map_reader_stats stats;
	map_reader_stats(service->reader, &stats);
	if (result < 0)
		service->answer.size = sizeof(*found);
	*found = (struct map_packet_found){
		.head = {MAP_PACKET_VERSION, MAP_PACKET_FOUND},
		.result = result,
		/* The worker may say that there are fewer by now. */
		.slots = stats.slots < stats.slots_in_all ? stats.slots : stats.slots_in_all,
		.slots_in_all = stats.slots_in_all,
		.moved = stats.moved,
	};
	int r = packet_send(service->socket, service->answer.data, service->answer.size, -1, 0);
	return r < 0 ? r : 1;
}

static int read_slice(struct service *service, uint32_t levels)
{
	_Alignas(8) struct map_packet_wanted wanted = {0};
	const uint64_t *ids;
	uint32_t count;
	int result = map_reader_look(service->reader, levels, &ids, &count);
	if (result == 0 && count > 0) {
		int r = ask(service, ids, count, &wanted);
		if (r <= 0)
			return r;
	}
	buffer_clear(&service->answer);
	buffer_reserve(&service->answer, sizeof(struct map_packet_found));
	service->answer.size = sizeof(struct map_packet_found);
	if (result == 0)
		result = map_reader_read(service->reader, wanted.bits, service->epoch,
			MAP_PACKET_RECORDS, &service->answer);
	return tell(service, result);
}

static int serve_one(struct service *service)
{
	_Alignas(8) struct map_packet_wanted room;
	int r = receive(service, &room, MAP_PACKET_NEXT, NULL);
	return r <= 0 ? r : read_slice(service, ((const struct map_packet_next *)&room)->levels);
}

int reader_service_run(int socket)
{
	struct service service = {.socket = socket, .memory = -1};
	int r = begin(&service);
	while (r > 0)
		r = serve_one(&service);
	if (r == -EPIPE || r == -ECONNRESET) /* it did not wait for the answer */
		r = 0;
	map_reader_free(service.reader);
	buffer_deinit(&service.answer);
	if (service.memory >= 0)
		close(service.memory);
	return r;
}
