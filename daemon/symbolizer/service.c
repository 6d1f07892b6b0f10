/*
 * Requests are answered one by one, in order: when the process dies, the daemon knows by the first
 * unanswered one which file it died of. A lookup that takes long sends what it has every FLUSH_MS,
 * which is also the sign of life that the daemon's deadline waits for.
 */
#include "symbolizer/service.h"
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/packet.h"
#include "spprof/v1/symbolizer.pb-c.h"
#include "symbolizer/answer_set.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/file_cache.h"

#ifndef FLUSH_MS /* a test wants each answer at once */
#define FLUSH_MS 100
#endif
#define MAX_CHAIN 64

struct service {
	int socket; /* borrows */
	struct file_cache files;
	struct answer_set answers;
	struct buffer packet;
};

static int take_fd(int *fd)
{
	int taken = *fd;
	*fd = -1;
	return taken;
}

static int send_reply(struct service *service, const Spprof__V1__SymbolizerReply *reply)
{
	buffer_clear(&service->packet);
	size_t size = spprof__v1__symbolizer_reply__get_packed_size(reply);
	spprof__v1__symbolizer_reply__pack(reply, buffer_reserve(&service->packet, size));
	return packet_send(service->socket, service->packet.data, size, -1, 0);
}

static int send_error(struct service *service, uint32_t file, int error)
{
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	reply.file = file;
	reply.error = -error;
	return send_reply(service, &reply);
}

static int send_ready(struct service *service)
{
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	Spprof__V1__SymbolizerReady ready = SPPROF__V1__SYMBOLIZER_READY__INIT;
	ready.protocol = SPPROF__V1__SYMBOLIZER_BOUND__PROTOCOL;
	reply.kind_case = SPPROF__V1__SYMBOLIZER_REPLY__KIND_READY;
	reply.ready = &ready;
	return send_reply(service, &reply);
}

static ProtobufCBinaryData borrow(const void *bytes, size_t size)
{
	return (ProtobufCBinaryData){.len = size, .data = (uint8_t *)bytes};
}

/* NULL if the file names no supplement. */
static Spprof__V1__SymbolizerSupplement *describe_supplement(
	Spprof__V1__SymbolizerSupplement *out, const struct elf_links *links)
{
	spprof__v1__symbolizer_supplement__init(out);
	out->build_id = borrow(links->supplement_id.bytes, links->supplement_id.size);
	out->path = borrow(links->supplement_path, strlen(links->supplement_path));
	return links->supplement_id.size ? out : NULL;
}

static int handle_open(struct service *service, uint32_t key, int *fd)
{
	struct elf_file *file;
	int r = elf_file_new(&file, take_fd(fd));
	if (r < 0)
		return send_error(service, key, r);
	file_cache_put(&service->files, key, file);
	const struct elf_links *links = elf_file_links(file);
	Spprof__V1__SymbolizerSupplement supplement;
	Spprof__V1__SymbolizerOpened opened = SPPROF__V1__SYMBOLIZER_OPENED__INIT;
	opened.build_id = borrow(links->build_id.bytes, links->build_id.size);
	opened.has_lines = links->has_dwarf;
	opened.debug_link = borrow(links->debug_link, strlen(links->debug_link));
	opened.supplement = describe_supplement(&supplement, links);
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	reply.file = key;
	reply.kind_case = SPPROF__V1__SYMBOLIZER_REPLY__KIND_OPENED;
	reply.opened = &opened;
	return send_reply(service, &reply);
}

static int attach(struct elf_file *file, Spprof__V1__SymbolizerAttach__Role role, int *fd,
	struct elf_links *links)
{
	switch (role) {
	case SPPROF__V1__SYMBOLIZER_ATTACH__ROLE__DEBUG:
		return elf_file_attach_debug(file, take_fd(fd), links);
	case SPPROF__V1__SYMBOLIZER_ATTACH__ROLE__SUPPLEMENT:
		return elf_file_attach_supplement(file, take_fd(fd));
	default:
		return -EINVAL;
	}
}

static int handle_attach(
	struct service *service, uint32_t key, const Spprof__V1__SymbolizerAttach *request, int *fd)
{
	struct elf_links links = {0};
	struct elf_file *file = file_cache_get(&service->files, key);
	int r = file ? attach(file, request->role, fd, &links) : -ESTALE;
	if (r < 0)
		return send_error(service, key, r);
	Spprof__V1__SymbolizerSupplement supplement;
	Spprof__V1__SymbolizerAttached attached = SPPROF__V1__SYMBOLIZER_ATTACHED__INIT;
	attached.supplement = describe_supplement(&supplement, &links);
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	reply.file = key;
	reply.kind_case = SPPROF__V1__SYMBOLIZER_REPLY__KIND_ATTACHED;
	reply.attached = &attached;
	return send_reply(service, &reply);
}

static uint64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static int send_answers(struct service *service, uint32_t key, bool more)
{
	Spprof__V1__SymbolizerAnswers answers = SPPROF__V1__SYMBOLIZER_ANSWERS__INIT;
	answers.answers = service->answers.list;
	answers.n_answers = service->answers.count;
	answers.more = more;
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	reply.file = key;
	reply.kind_case = SPPROF__V1__SYMBOLIZER_REPLY__KIND_ANSWERS;
	reply.answers = &answers;
	int r = send_reply(service, &reply);
	answer_set_clear(&service->answers);
	return r;
}

/* An empty set is no sign of life but a malformed reply: the first offset may take its time. */
static bool should_send(const struct answer_set *answers, uint64_t flushed_ms)
{
	return answer_set_is_full(answers) ||
	       (answers->count > 0 && now_ms() >= flushed_ms + FLUSH_MS);
}

static int handle_lookup(
	struct service *service, uint32_t key, const Spprof__V1__SymbolizerLookup *request)
{
	struct elf_file *file = file_cache_get(&service->files, key);
	if (!file)
		return send_error(service, key, -ESTALE);
	if (request->n_offsets > SPPROF__V1__SYMBOLIZER_BOUND__LOOKUP_OFFSETS)
		return send_error(service, key, -EINVAL);
	uint64_t flushed = now_ms();
	for (size_t i = 0; i < request->n_offsets; i++) {
		struct dwarf_line lines[MAX_CHAIN];
		size_t count = elf_file_resolve(file, request->offsets[i], lines, MAX_CHAIN);
		if (should_send(&service->answers, flushed)) {
			int r = send_answers(service, key, true);
			if (r < 0)
				return r;
			flushed = now_ms();
		}
		answer_set_add(&service->answers, request->offsets[i], lines, count);
	}
	return send_answers(service, key, false);
}

static int handle(struct service *service, const Spprof__V1__SymbolizerRequest *request, int *fd)
{
	if (!request->file)
		return -EPROTO;
	switch (request->kind_case) {
	case SPPROF__V1__SYMBOLIZER_REQUEST__KIND_OPEN:
		return *fd < 0 ? -EPROTO : handle_open(service, request->file, fd);
	case SPPROF__V1__SYMBOLIZER_REQUEST__KIND_ATTACH:
		return *fd < 0 ? -EPROTO
			       : handle_attach(service, request->file, request->attach, fd);
	case SPPROF__V1__SYMBOLIZER_REQUEST__KIND_LOOKUP:
		return handle_lookup(service, request->file, request->lookup);
	default:
		return -EPROTO;
	}
}

/* 1: go on; 0: the daemon has closed the socket. */
static int serve_one(struct service *service)
{
	uint8_t packet[SPPROF__V1__SYMBOLIZER_BOUND__REQUEST_BYTES];
	int fd;
	ssize_t size = packet_receive(service->socket, packet, sizeof(packet), &fd, 0);
	if (size <= 0)
		return (int)size;
	Spprof__V1__SymbolizerRequest *request =
		spprof__v1__symbolizer_request__unpack(NULL, (size_t)size, packet);
	int r = request ? handle(service, request, &fd) : -EPROTO;
	spprof__v1__symbolizer_request__free_unpacked(request, NULL);
	if (fd >= 0)
		close(fd);
	file_cache_trim(&service->files);
	return r < 0 ? r : 1;
}

int service_run(int socket)
{
	struct service *service = alloc_zeroed(1, sizeof(*service));
	service->socket = socket;
	int r = send_ready(service);
	if (r == 0)
		do
			r = serve_one(service);
		while (r > 0);
	if (r == -EPIPE || r == -ECONNRESET) /* it did not wait for the answer */
		r = 0;
	file_cache_deinit(&service->files);
	answer_set_deinit(&service->answers);
	buffer_deinit(&service->packet);
	free(service);
	return r;
}
