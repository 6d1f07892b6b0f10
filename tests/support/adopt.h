/* A process as if it were the worker that a segment made by hand belongs to. */
#pragma once
#include <unistd.h>
#include "server/session.h"
#include "server/session_table.h"
#include "support/fake_segment.h"
#include "support/read_texts.h"
#include "support/tap_main.h"

/* As session_table_adopt. */
static inline int adopt_process(
	struct session_table *table, pid_t pid, const struct fake_segment *segment)
{
	struct session_claim claim = {.uid = geteuid(), .attach = SESSION_HANDSHAKE};
	ck_assert_int_eq(process_handle_open(&claim.process, pid, -1), 0);
	ck_assert_int_eq(segment_map_new(&claim.segment, fake_segment_dup(segment), NULL), 0);
	struct process_texts *texts = read_texts(&claim.process, session_claim_files);
	claim.texts = texts;
	int r = session_table_adopt(table, &claim);
	process_texts_free(texts);
	return r;
}

/* The table's. */
static inline struct session *adopt_self(
	struct session_table *table, const struct fake_segment *segment)
{
	ck_assert_int_eq(adopt_process(table, getpid(), segment), 0);
	return session_table_find(table, getpid());
}
