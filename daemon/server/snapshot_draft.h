/*
 * A snapshot in the making: everything but the names is copied out of a session at once, at the end
 * of a round; the names follow when the symbolizer has answered. Independent of the session after
 * that. One thread (the loop's) until it is finished.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "server/module_map.h"
#include "server/symbol_client.h"

struct session;
struct snapshot;
struct snapshot_draft;
struct snapshot_scope;

struct snapshot_draft_module {
	struct module_info info; /* path borrows from the snapshot's strings */
	uint32_t index;		 /* in the session's module map */
	uint32_t file;		 /* key at the symbol client; 0: none (yet) */
};

/* Without the scope's internals stacks are folded (snapshot_fold.h), and those that become equal are one. */
int snapshot_draft_new(
	struct snapshot_draft **out, struct session *session, const struct snapshot_scope *scope);
struct snapshot_draft *snapshot_draft_free(struct snapshot_draft *draft);

/* The modules that the stacks touch; the caller sets their files. Borrowed. */
struct snapshot_draft_module *snapshot_draft_modules(struct snapshot_draft *draft, uint32_t *count);
/* What is to be asked, for locations in modules with a file. Caller frees; NULL: nothing. */
struct symbol_query *snapshot_draft_queries(const struct snapshot_draft *draft, size_t *count);
/* Fills in the names that are known now and bounds the whole. The caller's; the draft is empty
 * after. */
struct snapshot *snapshot_draft_finish(struct snapshot_draft *draft, struct symbol_client *client);

/* At most so many bytes of names are told in one answer: a stack repeats them, and a worker chooses
 * its stacks and names. The sites with the fewest live bytes are folded into "[other]". */
#define SNAPSHOT_DRAFT_MAX_TEXT (UINT64_C(256) << 20)
/* For tests: the same with another bound. */
void snapshot_draft_bound(struct snapshot *snapshot, uint64_t max_text);
