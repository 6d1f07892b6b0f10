/*
 * Bounded for each uid, since every claim holds a segment and three descriptors: beyond that a claim
 * is let in at once, as that of a process of which nothing could be read.
 */
#include "config.h"
#include "server/admissions.h"

#include <stdlib.h>
#include <sys/queue.h>

#include "base/alloc.h"
#include "ingest/segment_map.h"
#include "server/process_reader.h"
#include "server/process_texts.h"
#include "server/session.h"
#include "server/session_table.h"

#define MAX_WAITING	    1024u
#define MAX_WAITING_PER_UID 256u

struct admission {
	struct admissions *admissions;
	struct session_claim claim; /* owns */
	struct process_ask ask;
	TAILQ_ENTRY(admission) next;
};

struct admissions {
	struct session_table *table;   /* borrows */
	struct process_reader *reader; /* borrows */
	void (*done)(int result, int pid, void *data);
	void *data;
	TAILQ_HEAD(, admission) waiting; /* owns */
};

int admissions_new(struct admissions **out, struct session_table *table,
	struct process_reader *reader, void (*done)(int result, int pid, void *data), void *data)
{
	struct admissions *admissions = alloc_zeroed(1, sizeof *admissions);
	admissions->table = table;
	admissions->reader = reader;
	admissions->done = done;
	admissions->data = data;
	TAILQ_INIT(&admissions->waiting);
	*out = admissions;
	return 0;
}

struct admissions *admissions_free(struct admissions *admissions)
{
	struct admission *admission;
	if (admissions == NULL)
		return NULL;
	while ((admission = TAILQ_FIRST(&admissions->waiting)) != NULL) {
		TAILQ_REMOVE(&admissions->waiting, admission, next);
		process_reader_forget(&admission->ask);
		session_claim_deinit(&admission->claim);
		free(admission);
	}
	free(admissions);
	return NULL;
}

static void let_in(struct admissions *admissions, struct session_claim *claim,
	const struct process_texts *texts)
{
	int pid = (int)claim->process.pid;
	const struct segment_info *info = segment_map_info(claim->segment);
	if (claim->unproven && !process_texts_holds(texts, info->device, info->inode)) {
		/* Somebody else has the number now. */
		process_handle_close(&claim->process);
		texts = NULL;
	}
	claim->texts = texts;
	int r = session_table_adopt(admissions->table, claim);
	admissions->done(r, pid, admissions->data);
}

static void on_read(struct process_texts *texts, void *data)
{
	struct admission *admission = data;
	TAILQ_REMOVE(&admission->admissions->waiting, admission, next);
	let_in(admission->admissions, &admission->claim, texts);
	process_texts_free(texts);
	free(admission);
}

static bool has_room(const struct admissions *admissions, uid_t uid)
{
	const struct admission *admission;
	uint32_t all = 0, theirs = 0;
	TAILQ_FOREACH (admission, &admissions->waiting, next) {
		all++;
		theirs += admission->claim.uid == uid;
	}
	return all < MAX_WAITING && theirs < MAX_WAITING_PER_UID;
}

void admissions_take(struct admissions *admissions, struct session_claim *claim)
{
	if (!has_room(admissions, claim->uid)) {
		let_in(admissions, claim, NULL);
		return;
	}
	struct admission *admission = alloc_zeroed(1, sizeof *admission);
	admission->admissions = admissions;
	admission->claim = *claim;
	admission->ask.uid = claim->uid;
	admission->ask.files = session_claim_files;
	if (claim->unproven)
		admission->ask.files |= PROC_FILE_BIT(PROC_FILE_SEGMENTS);
	admission->ask.done = on_read;
	admission->ask.data = admission;
	if (process_reader_ask(admissions->reader, &admission->ask, &admission->claim.process) ==
		0) {
		TAILQ_INSERT_TAIL(&admissions->waiting, admission, next);
		return;
	}
	let_in(admissions, &admission->claim, NULL);
	free(admission);
}

uint32_t admissions_waiting(const struct admissions *admissions)
{
	const struct admission *admission;
	uint32_t count = 0;
	TAILQ_FOREACH (admission, &admissions->waiting, next)
		count++;
	return count;
}
