/*
 * A question about one process is an inquiry: it finds the session, by a look at the process itself
 * if need be, checks that the peer may see it, and then answers. Inquiries are in a list, so that
 * those under way when the daemon ends are freed.
 *
 * A pid names the living process. What ended is answered for only while nobody else has its number.
 */
#include "config.h"
#include "server/api_handlers.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "export/export.h"
#include "server/api_access.h"
#include "server/api_answer.h"
#include "server/api_call.h"
#include "server/api_process.h"
#include "server/api_server.h"
#include "server/api_stats.h"
#include "server/attach_scan.h"
#include "server/family.h"
#include "server/process_handle.h"
#include "server/process_info.h"
#include "server/process_list.h"
#include "server/session.h"
#include "server/session_marks.h"
#include "server/session_table.h"
#include "server/snapshot_builder.h"
#include "server/wall_clock.h"

#define DEFAULT_TIMEOUT_MS 2000u
#define MAX_TIMEOUT_MS	   30000u

#define INVALID	  SPPROF__V1__ERROR__CODE__INVALID_REQUEST
#define NO_SUCH	  SPPROF__V1__ERROR__CODE__NO_SUCH_PROCESS
#define DETACHED  SPPROF__V1__ERROR__CODE__NOT_ATTACHED
#define FORBIDDEN SPPROF__V1__ERROR__CODE__PERMISSION_DENIED
#define INTERNAL  SPPROF__V1__ERROR__CODE__INTERNAL

struct api_handlers {
	struct api_handlers_parts parts;
	uint64_t started_unix_ns;
	struct inquiry *inquiries; /* own themselves */
};

struct inquiry {
	struct api_handlers *handlers;
	struct inquiry *next;
	struct api_call *call; /* owns, until answered */
	pid_t pid;
	struct session *session; /* owns a reference, once found */
	struct snapshot_request snapshot;
	char *mark, *since, *until; /* own; names of marks */
	bool descendants;
	void (*proceed)(struct inquiry *inquiry);
};

int api_handlers_new(struct api_handlers **out)
{
	struct api_handlers *handlers = alloc_zeroed(1, sizeof *handlers);
	handlers->started_unix_ns = wall_clock_unix_ns();
	*out = handlers;
	return 0;
}

static void end_inquiry(struct inquiry *inquiry)
{
	struct inquiry **at = &inquiry->handlers->inquiries;
	while (*at != inquiry)
		at = &(*at)->next;
	*at = inquiry->next;
	session_unref(inquiry->session);
	free(inquiry->mark);
	free(inquiry->since);
	free(inquiry->until);
	free(inquiry);
}

struct api_handlers *api_handlers_free(struct api_handlers *handlers)
{
	if (handlers == NULL)
		return NULL;
	while (handlers->inquiries != NULL) {
		api_call_refuse(handlers->inquiries->call, INTERNAL, "spprofd is ending");
		end_inquiry(handlers->inquiries);
	}
	free(handlers);
	return NULL;
}

void api_handlers_set_parts(struct api_handlers *handlers, const struct api_handlers_parts *parts)
{
	handlers->parts = *parts;
}

#define REFUSE(inquiry, ...)                                                                       \
	do {                                                                                       \
		api_call_refuse((inquiry)->call, __VA_ARGS__);                                     \
		end_inquiry(inquiry);                                                              \
	} while (0)

static void answer_inquiry(struct inquiry *inquiry, struct api_answer *answer)
{
	api_call_answer(inquiry->call, answer);
	end_inquiry(inquiry);
}

static void proceed_with(struct inquiry *inquiry, struct session *session)
{
	if (!api_access_session(api_call_peer(inquiry->call), session)) {
		REFUSE(inquiry, FORBIDDEN,
			"process %d belongs to another user: ask as root or as that user",
			(int)inquiry->pid);
		return;
	}
	inquiry->session = session_ref(session);
	inquiry->proceed(inquiry);
}

static void explain_detached(
	struct inquiry *inquiry, enum attach_scan_result result, const char *comm)
{
	int pid = (int)inquiry->pid;
	switch (result) {
	case ATTACH_SCAN_INHERITED:
		REFUSE(inquiry, DETACHED,
			"not attached: process %d (%s) was forked from a profiled process without "
			"exec, what it allocates "
			"itself is not recorded; ask for its parent",
			pid, comm);
		return;
	case ATTACH_SCAN_HIDDEN:
		REFUSE(inquiry, DETACHED,
			"not attached: spprofd (uid %u) may not look at process %d (%s); ask a "
			"spprofd that runs as root or "
			"as that user",
			(unsigned)geteuid(), pid, comm);
		return;
	case ATTACH_SCAN_REFUSED:
		REFUSE(inquiry, DETACHED,
			"not attached: the segment of process %d (%s) is refused; spprofd's "
			"messages say why",
			pid, comm);
		return;
	case ATTACH_SCAN_BUSY:
		REFUSE(inquiry, DETACHED,
			"not attached: process %d (%s) is served by another spprofd; ask that one, "
			"or end it first",
			pid, comm);
		return;
	case ATTACH_SCAN_FULL:
		REFUSE(inquiry, DETACHED,
			"not attached: process %d (%s) is one too many, restart spprofd with a "
			"larger --max-workers",
			pid, comm);
		return;
	default:
		REFUSE(inquiry, DETACHED,
			"not attached: process %d (%s) runs without the agent; start it with "
			"`spprofctl run -- ...` or `eval \"$(spprofctl env)\"` (static and setuid "
			"programs cannot take it)",
			pid, comm);
	}
}

/* A process without a session, or with an old one only. */
static void proceed_without(struct inquiry *inquiry, enum attach_scan_result result)
{
	struct session *old = session_table_find(inquiry->handlers->parts.table, inquiry->pid);
	struct process_handle process;
	struct process_info info = {0};
	char comm[64];
	bool gone = process_handle_open(&process, inquiry->pid, -1) < 0;
	if (old != NULL && (gone || session_has_number(old))) {
		process_handle_close(&process);
		proceed_with(inquiry, old);
		return;
	}
	bool known = !gone && process_handle_comm(&process, comm, sizeof comm) == 0;
	uid_t uid = process_handle_uid(&process);
	process_handle_close(&process);
	if (!known) {
		REFUSE(inquiry, NO_SUCH, "no such process: %d", (int)inquiry->pid);
		return;
	}
	process_info_set_comm(&info, comm);
	if (api_access_uid(api_call_peer(inquiry->call), uid, true))
		explain_detached(inquiry, result, info.comm);
	else
		REFUSE(inquiry, FORBIDDEN,
			"process %d belongs to another user: ask as root or as that user",
			(int)inquiry->pid);
}

static void on_looked(enum attach_scan_result result, void *data)
{
	struct inquiry *inquiry = data;
	struct session_table *table = inquiry->handlers->parts.table;
	if (session_table_attached(table, inquiry->pid))
		proceed_with(inquiry, session_table_find(table, inquiry->pid));
	else
		proceed_without(inquiry, result);
}

static struct inquiry *begin_inquiry(struct api_handlers *handlers, struct api_call *call,
	pid_t pid, void (*proceed)(struct inquiry *inquiry))
{
	struct inquiry *inquiry = alloc_zeroed(1, sizeof *inquiry);
	inquiry->handlers = handlers;
	inquiry->call = call;
	inquiry->pid = pid;
	inquiry->proceed = proceed;
	inquiry->next = handlers->inquiries;
	handlers->inquiries = inquiry;
	return inquiry;
}

static void look_up(struct inquiry *inquiry)
{
	struct session_table *table = inquiry->handlers->parts.table;
	if (session_table_attached(table, inquiry->pid))
		proceed_with(inquiry, session_table_find(table, inquiry->pid));
	else
		attach_scan_process(inquiry->handlers->parts.scan, inquiry->pid,
			api_call_peer(inquiry->call)->uid, on_looked, inquiry);
}

static void on_snapshot(int result, struct buffer *body, void *data)
{
	struct inquiry *inquiry = data;
	if (result < 0) {
		REFUSE(inquiry, INTERNAL, "the snapshot of process %d could not be made: %s",
			(int)inquiry->pid, strerror(-result));
		return;
	}
	struct api_process process;
	struct api_answer *answer = api_answer_new();
	api_process_fill(&process, inquiry->session, 0);
	api_answer_add_file(answer, body, &process.message);
	answer_inquiry(inquiry, answer);
}

static bool is_wanted(void *data)
{
	const struct inquiry *inquiry = data;
	return api_call_wanted(inquiry->call);
}

/* False: the inquiry has ended. */
static bool find_mark(struct inquiry *inquiry, const char *name, uint64_t *id)
{
	if (*name == '\0' || session_find_mark(inquiry->session, name, id))
		return true;
	REFUSE(inquiry, INVALID,
		"process %d has no mark '%s'%s; `spprofctl mark %d NAME` makes one",
		(int)inquiry->pid, session_marks_is_name(name) ? name : "?",
		session_keeps_marks(inquiry->session)
			? ""
			: " (those that an earlier spprofd was given ended with it: the process's "
			  "agent is of an older release)",
		(int)inquiry->pid);
	return false;
}

static void take_snapshot(struct inquiry *inquiry)
{
	struct snapshot_scope *scope = &inquiry->snapshot.scope;
	if (!find_mark(inquiry, inquiry->since, &scope->since_id) ||
		!find_mark(inquiry, inquiry->until, &scope->until_id))
		return;
	if (inquiry->descendants)
		family_init(&inquiry->snapshot.family, inquiry->handlers->parts.table,
			inquiry->session, api_call_peer(inquiry->call));
	inquiry->snapshot.session = inquiry->session;
	inquiry->snapshot.wanted = is_wanted;
	inquiry->snapshot.done = on_snapshot;
	inquiry->snapshot.data = inquiry;
	snapshot_builder_start(inquiry->handlers->parts.builder, &inquiry->snapshot);
}

static const enum export_format formats[] = {
	[SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__TEXT] = EXPORT_TEXT,
	[SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__JSON] = EXPORT_JSON,
	[SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__PPROF] = EXPORT_PPROF,
	[SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__COLLAPSED] = EXPORT_COLLAPSED,
	[SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__SPEEDSCOPE] = EXPORT_SPEEDSCOPE,
};

static bool is_for_one(const Spprof__V1__SnapshotRequest *request)
{
	return request->since_id > 0 || request->until_id > 0 || *request->since != '\0' ||
	       *request->until != '\0' || request->tid > 0;
}

static void handle_snapshot(struct api_handlers *handlers, struct api_call *call,
	const Spprof__V1__SnapshotRequest *request)
{
	if (request->pid <= 0) {
		api_call_refuse(call, INVALID, "%d is not a process id", request->pid);
		return;
	}
	if (request->format < 0 || (size_t)request->format >= sizeof formats / sizeof formats[0]) {
		api_call_refuse(call, INVALID, "format %d is not known to this spprofd",
			(int)request->format);
		return;
	}
	if (request->descendants && is_for_one(request)) {
		api_call_refuse(call, INVALID,
			"marks, sample ids and threads are a process's own: ask for each process "
			"by itself");
		return;
	}
	if (handlers->parts.server != NULL && api_server_is_full(handlers->parts.server)) {
		api_call_refuse(call, INTERNAL, "%s", api_server_full_message);
		return;
	}
	struct inquiry *inquiry = begin_inquiry(handlers, call, request->pid, take_snapshot);
	inquiry->since = alloc_strdup(request->since);
	inquiry->until = alloc_strdup(request->until);
	uint32_t timeout = request->timeout_ms > 0 ? request->timeout_ms : DEFAULT_TIMEOUT_MS;
	inquiry->descendants = request->descendants;
	inquiry->snapshot = (struct snapshot_request){
		.format = formats[request->format],
		.options = {.top = request->top,
			.depth = request->depth,
			.width = request->width,
			.color = request->color,
			.cumulative = request->cumulative},
		.scope = {.since_id = request->since_id,
			.until_id = request->until_id,
			.thread = request->tid,
			.internals = request->native_internals,
			.samples = request->samples &&
				   request->format == SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__JSON},
		.timeout_ms = timeout < MAX_TIMEOUT_MS ? timeout : MAX_TIMEOUT_MS,
	};
	look_up(inquiry);
}

static void answer_stats(void *data)
{
	struct inquiry *inquiry = data;
	answer_inquiry(inquiry, api_stats_of_process(inquiry->session));
}

static void take_stats(struct inquiry *inquiry)
{
	if (!session_table_catch_up(
		    inquiry->handlers->parts.table, inquiry->session, answer_stats, inquiry))
		answer_stats(inquiry);
}

static void handle_stats(struct api_handlers *handlers, struct api_call *call,
	const Spprof__V1__StatsRequest *request)
{
	if (request->pid < 0)
		api_call_refuse(call, INVALID, "%d is not a process id", request->pid);
	else if (request->pid == 0)
		api_call_answer(call, api_stats_of_daemon(&handlers->parts, api_call_peer(call)));
	else
		look_up(begin_inquiry(handlers, call, request->pid, take_stats));
}

static void answer_mark(void *data)
{
	struct inquiry *inquiry = data;
	Spprof__V1__MarkResponse mark = SPPROF__V1__MARK_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	mark.id = session_mark(inquiry->session, inquiry->mark);
	response.kind_case = SPPROF__V1__RESPONSE__KIND_MARK;
	response.mark = &mark;
	struct api_answer *answer = api_answer_new();
	api_answer_add(answer, &response);
	answer_inquiry(inquiry, answer);
}

static void take_mark(struct inquiry *inquiry)
{
	if (!session_table_catch_up(
		    inquiry->handlers->parts.table, inquiry->session, answer_mark, inquiry))
		answer_mark(inquiry);
}

static void handle_mark(struct api_handlers *handlers, struct api_call *call,
	const Spprof__V1__MarkRequest *request)
{
	if (request->pid <= 0) {
		api_call_refuse(call, INVALID, "%d is not a process id", request->pid);
		return;
	}
	if (*request->name != '\0' && !session_marks_is_name(request->name)) {
		api_call_refuse(call, INVALID, "a mark's name is 1 to %u characters of ASCII",
			WIRE_MARK_NAME_MAX);
		return;
	}
	struct inquiry *inquiry = begin_inquiry(handlers, call, request->pid, take_mark);
	inquiry->mark = alloc_strdup(request->name);
	look_up(inquiry);
}

static void handle_ping(struct api_handlers *handlers, struct api_call *call)
{
	Spprof__V1__PingResponse ping = SPPROF__V1__PING_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	ping.version = (char *)PACKAGE_VERSION;
	ping.pid = getpid();
	ping.started_unix_ns = handlers->started_unix_ns;
	response.kind_case = SPPROF__V1__RESPONSE__KIND_PING;
	response.ping = &ping;
	struct api_answer *answer = api_answer_new();
	api_answer_add(answer, &response);
	api_call_answer(call, answer);
}

void api_handlers_handle(struct api_call *call, const uint8_t *message, uint32_t size, void *data)
{
	struct api_handlers *handlers = data;
	Spprof__V1__Request *request = spprof__v1__request__unpack(NULL, size, message);
	switch (request != NULL ? request->kind_case : SPPROF__V1__REQUEST__KIND__NOT_SET) {
	case SPPROF__V1__REQUEST__KIND_LIST:
		process_list_answer(&handlers->parts, call, request->list->include_exited);
		break;
	case SPPROF__V1__REQUEST__KIND_SNAPSHOT:
		handle_snapshot(handlers, call, request->snapshot);
		break;
	case SPPROF__V1__REQUEST__KIND_STATS:
		handle_stats(handlers, call, request->stats);
		break;
	case SPPROF__V1__REQUEST__KIND_MARK:
		handle_mark(handlers, call, request->mark);
		break;
	case SPPROF__V1__REQUEST__KIND_PING:
		handle_ping(handlers, call);
		break;
	default:
		api_call_refuse(call, INVALID, "the request is none that this spprofd knows");
	}
	if (request != NULL)
		spprof__v1__request__free_unpacked(request, NULL);
}
