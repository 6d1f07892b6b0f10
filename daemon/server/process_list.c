/*
 * A list of thousands of processes would not fit into one message: it is told in pieces, each a
 * complete ListResponse, `more` set on all but the last.
 */
#include "server/process_list.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "server/api_access.h"
#include "server/api_answer.h"
#include "server/api_call.h"
#include "server/api_handlers.h"
#include "server/api_process.h"
#include "server/attach_scan.h"
#include "server/session.h"
#include "server/session_table.h"

#define PIECE 64u /* processes: each has at most some 9 KiB of strings */

struct list {
	const struct api_peer *peer;
	bool include_exited;
	struct api_process *items; /* owns */
	uint32_t count, room;
};

static struct api_process *append(struct list *list)
{
	ALLOC_GROW(list->items, list->room, list->count);
	list->items[list->count] = (struct api_process){0};
	return &list->items[list->count++];
}

static void add_session(struct session *session, void *data)
{
	struct list *list = data;
	bool exited = session_facts(session)->state == SESSION_EXITED;
	if (api_access_session(list->peer, session) && (list->include_exited || !exited))
		api_process_fill(append(list), session, API_PROCESS_LIST_AGE_NS);
}

static void add_lost(const struct attach_scan_lost *lost, void *data)
{
	struct list *list = data;
	if (!api_access_uid(list->peer, lost->uid, true))
		return;
	struct api_process *process = append(list);
	spprof__v1__process__init(&process->message);
	process->message.pid = lost->pid;
	process->message.uid = lost->uid;
	process->message.comm = (char *)lost->comm;
	process->message.state = SPPROF__V1__PROCESS__STATE__LOST;
	process->message.note = (char *)lost->why;
}

static int compare_pids(const void *a, const void *b)
{
	int32_t x = ((const struct api_process *)a)->message.pid,
		y = ((const struct api_process *)b)->message.pid;
	return (x > y) - (x < y);
}

static void add_piece(struct api_answer *answer, struct list *list, uint32_t first)
{
	Spprof__V1__Process *pointers[PIECE];
	Spprof__V1__ListResponse piece = SPPROF__V1__LIST_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	for (uint32_t i = first; i < list->count && piece.n_processes < PIECE; i++) {
		struct api_process *process = &list->items[i];
		api_process_relink(process);
		pointers[piece.n_processes++] = &process->message;
	}
	piece.processes = pointers;
	response.kind_case = SPPROF__V1__RESPONSE__KIND_LIST;
	response.list = &piece;
	response.more = list->count - first > PIECE;
	api_answer_add(answer, &response);
}

void process_list_answer(
	const struct api_handlers_parts *parts, struct api_call *call, bool include_exited)
{
	struct list list = {.peer = api_call_peer(call), .include_exited = include_exited};
	session_table_each(parts->table, add_session, &list);
	attach_scan_each_lost(parts->scan, add_lost, &list);
	if (list.count > 0)
		qsort(list.items, list.count, sizeof *list.items, compare_pids);
	struct api_answer *answer = api_answer_new();
	uint32_t first = 0;
	do {
		add_piece(answer, &list, first);
		first += PIECE;
	} while (first < list.count);
	free(list.items);
	api_call_answer(call, answer);
}
