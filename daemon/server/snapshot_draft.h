/*
 * A snapshot in the making: everything but the names is copied out of a session at once, at the end
 * of a round; the names follow when the symbolizer has answered. Independent of the session after
 * that. One thread (the loop's) until it is finished.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "server/snapshot_locations.h"
#include "server/symbol_client.h"

struct session;
struct snapshot;
struct snapshot_draft;
struct snapshot_scope;

/* Without the scope's internals stacks are folded (snapshot_fold.h), and those that become equal are one. */
int snapshot_draft_new(
	struct snapshot_draft **out, struct session *session, const struct snapshot_scope *scope);
struct snapshot_draft *snapshot_draft_free(struct snapshot_draft *draft);

/* The modules that the stacks touch; the caller sets their files. Borrowed. */
struct snapshot_locations_module *snapshot_draft_modules(
	struct snapshot_draft *draft, uint32_t *count);
/* What is to be asked, for locations in modules with a file. Caller frees; NULL: nothing. */
struct symbol_query *snapshot_draft_queries(const struct snapshot_draft *draft, size_t *count);
/* Fills in the names that are known now and bounds the whole. The caller's; the draft is empty
 * after. */
struct snapshot *snapshot_draft_finish(struct snapshot_draft *draft, struct symbol_client *client);
