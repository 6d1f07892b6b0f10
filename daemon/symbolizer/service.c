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
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/packet.h"
#include "spprof/v1/symbolizer.pb-c.h"
#include "symbolizer/answer_set.h"
#include "symbolizer/audit.h"
#include "symbolizer/ballast.h"
#include "symbolizer/elf_file.h"
#include "symbolizer/file_cache.h"

#ifndef FLUSH_MS /* a test wants each answer at once */
#define FLUSH_MS 100
#endif
#define MAX_CHAIN    64
#define AUDIT_MEMORY ((size_t)32 << 20)
#define MOST_MEMORY  ((size_t)4 << 30) /* of the process; see main.c */
#define MAX_MAPPINGS SPPROF__V1__SYMBOLIZER_BOUND__AUDIT_MAPPINGS
#define MAX_FRAMES   SPPROF__V1__SYMBOLIZER_BOUND__AUDIT_FRAMES

struct service {
	int socket; /* borrows */
	struct file_cache files;
	struct answer_set answers;
	struct buffer packet;
	struct audit *audit; /* owns; NULL: none has been asked for yet */
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
	struct stat st;
	/* Before it is mapped: the address space has no room for both. */
	uint64_t size = fstat(*fd, &st) == 0 && st.st_size > 0 ? (uint64_t)st.st_size : 0;
	if (size > service->files.bounds.file_bytes)
		return send_error(service, key, -EFBIG);
	file_cache_make_room(&service->files, size);
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

/* 0, or the error to be told. A file that does not map what it is said to is left out. */
static int find_mappings(struct service *service, const Spprof__V1__SymbolizerAudit *request,
	struct audit_mapping *mappings, size_t *count)
{
	*count = 0;
	for (size_t i = 0; i < request->n_mappings; i++) {
		const Spprof__V1__SymbolizerMapping *mapping = request->mappings[i];
		struct elf_file *file = file_cache_get(&service->files, mapping->file);
		uint64_t address;
		if (!file)
			return -ESTALE;
		if (!elf_file_address(file, mapping->offset, &address))
			continue;
		mappings[*count].file = file;
		mappings[*count].bias = mapping->address - address;
		++*count;
	}
	return 0;
}

static enum audit_end audit_end_of(Spprof__V1__SymbolizerAudit__End end)
{
	switch (end) {
	case SPPROF__V1__SYMBOLIZER_AUDIT__END__OUTERMOST:
		return AUDIT_END_OUTERMOST;
	case SPPROF__V1__SYMBOLIZER_AUDIT__END__LIMIT:
		return AUDIT_END_LIMIT;
	default:
		return AUDIT_END_OTHER;
	}
}

/* libunwind keeps every state that a file's rules tell it to remember. */
static void compare_in_little_memory(
	struct audit *audit, const struct audit_stack *stack, struct audit_result *result)
{
	struct ballast ballast;
	ballast_take(&ballast, MOST_MEMORY, AUDIT_MEMORY);
	audit_compare(audit, stack, result);
	ballast_drop(&ballast);
}

static int compare(struct service *service, const Spprof__V1__SymbolizerAudit *request,
	struct audit_result *result)
{
	struct audit_mapping mappings[MAX_MAPPINGS];
	struct audit_stack stack = {
		.pc = request->pc,
		.sp = request->sp,
		.fp = request->fp,
		.bytes = request->stack.data,
		.size = request->stack.len,
		.whole = request->whole,
		.frames = request->frames,
		.frame_count = request->n_frames,
		.end = audit_end_of(request->end),
		.mappings = mappings,
	};
	if (request->n_mappings > MAX_MAPPINGS || request->n_frames > MAX_FRAMES ||
		request->n_frames == 0)
		return -EINVAL;
	int r = find_mappings(service, request, mappings, &stack.mapping_count);
	if (r == 0 && !service->audit)
		r = audit_new(&service->audit);
	if (r == 0)
		compare_in_little_memory(service->audit, &stack, result);
	return r;
}

static int handle_audit(
	struct service *service, uint32_t number, const Spprof__V1__SymbolizerAudit *request)
{
	struct audit_result result;
	int r = compare(service, request, &result);
	if (r < 0)
		return send_error(service, number, r);
	Spprof__V1__SymbolizerAudited audited = SPPROF__V1__SYMBOLIZER_AUDITED__INIT;
	audited.verdict = (Spprof__V1__SymbolizerAudited__Verdict)result.verdict;
	audited.stop = (Spprof__V1__SymbolizerAudited__Stop)result.stop;
	audited.frames = (uint32_t)result.frames;
	Spprof__V1__SymbolizerReply reply = SPPROF__V1__SYMBOLIZER_REPLY__INIT;
	reply.file = number;
	reply.kind_case = SPPROF__V1__SYMBOLIZER_REPLY__KIND_AUDITED;
	reply.audited = &audited;
	return send_reply(service, &reply);
}

_Static_assert((int)AUDIT_AGREED == SPPROF__V1__SYMBOLIZER_AUDITED__VERDICT__AGREED &&
		       (int)AUDIT_LONGER == SPPROF__V1__SYMBOLIZER_AUDITED__VERDICT__LONGER &&
		       (int)AUDIT_STOP_FAILED == SPPROF__V1__SYMBOLIZER_AUDITED__STOP__FAILED,
	"verdicts and stops travel as they are");

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
	case SPPROF__V1__SYMBOLIZER_REQUEST__KIND_AUDIT:
		return handle_audit(service, request->file, request->audit);
	default:
		return -EPROTO;
	}
}

/* A worker's stack is kept no longer than it takes to judge it. */
static void forget_stack(uint8_t *packet, size_t size, const Spprof__V1__SymbolizerRequest *request)
{
	if (!request || request->kind_case != SPPROF__V1__SYMBOLIZER_REQUEST__KIND_AUDIT)
		return;
	explicit_bzero(packet, size);
	if (request->audit->stack.len > 0)
		explicit_bzero(request->audit->stack.data, request->audit->stack.len);
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
	forget_stack(packet, (size_t)size, request);
	spprof__v1__symbolizer_request__free_unpacked(request, NULL);
	if (fd >= 0)
		close(fd);
	file_cache_trim(&service->files);
	return r < 0 ? r : 1;
}

int service_run(int socket, const struct file_cache_bounds *bounds)
{
	struct service *service = alloc_zeroed(1, sizeof(*service));
	service->socket = socket;
	service->files.bounds = *bounds;
	int r = send_ready(service);
	if (r == 0)
		do
			r = serve_one(service);
		while (r > 0);
	if (r == -EPIPE || r == -ECONNRESET) /* it did not wait for the answer */
		r = 0;
	file_cache_deinit(&service->files);
	audit_free(service->audit);
	answer_set_deinit(&service->answers);
	buffer_deinit(&service->packet);
	free(service);
	return r;
}
