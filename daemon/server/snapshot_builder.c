/*
 * A build is a chain of steps, each ending in a callback that begins the next:
 *
 *   queued -> catch_up -> collect -> open_files -> resolve -> finish -> encode (pool thread) ->
 * done
 *
 * Of a family each member goes from catch_up to finish in its turn; what it gave is merged on the pool thread before the
 * next one begins, so one of them is held at a time besides the merged one. Only the samples that were not counted in an
 * earlier member count.
 *
 * One deadline covers opening and resolving: when it passes, the build goes on with the names it
 * has. The builder may be freed at any step; a build then ends at its next callback.
 */
#include "config.h"
#include "server/snapshot_builder.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "model/snapshot.h"
#include "model/snapshot_bound.h"
#include "model/snapshot_merge.h"
#include "server/family.h"
#include "server/family_ledger.h"
#include "server/module_files.h"
#include "server/session.h"
#include "server/session_table.h"
#include "server/snapshot_draft.h"
#include "server/symbol_client.h"

#define MAX_UNDER_WAY 8u
#define LATE_MS	      1000u /* our own deadline comes first */

struct build {
	struct snapshot_builder *builder; /* NULL: freed meanwhile */
	struct build *next;
	struct snapshot_request request; /* session: owns a reference; family: owns */
	uint32_t member;		 /* of the family, whose turn it is */
	struct family_ledger *ledger;	 /* owns; NULL: no family */
	struct snapshot_merge *merge;	 /* owns; NULL: no family */
	uv_timer_t deadline;
	uint64_t deadline_ms;	     /* on the loop's clock */
	uint64_t opening, resolving; /* handles; 0: not in that step */
	uv_work_t work;
	uint32_t *unopened; /* owns: of the draft's modules, those without a file */
	uint32_t unopened_count;
	struct snapshot_draft *draft; /* owns, until finished */
	struct snapshot *snapshot;    /* owns, after that */
	struct buffer body;
	int result;
	bool late;
};

struct snapshot_builder {
	struct uv_loop_s *loop;
	struct session_table *table;
	struct symbol_client *client;
	struct module_files *files;
	struct build *under_way, *queue; /* own the builds; the queue's first is the oldest */
	uv_timer_t starter;		 /* begins what was queued on the next turn */
	struct snapshot_builder_stats stats;
};

static void start_queued(uv_timer_t *starter);

int snapshot_builder_new(struct snapshot_builder **out, struct uv_loop_s *loop,
	struct session_table *table, struct symbol_client *client, struct module_files *files)
{
	struct snapshot_builder *builder = alloc_zeroed(1, sizeof *builder);
	int r = uv_timer_init(loop, &builder->starter);
	if (r < 0) {
		free(builder);
		return r;
	}
	builder->starter.data = builder;
	builder->loop = loop;
	builder->table = table;
	builder->client = client;
	builder->files = files;
	*out = builder;
	return 0;
}

static void on_build_closed(uv_handle_t *deadline)
{
	struct build *build = deadline->data;
	session_unref(build->request.session);
	family_deinit(&build->request.family);
	family_ledger_free(build->ledger);
	snapshot_merge_free(build->merge);
	snapshot_draft_free(build->draft);
	snapshot_free(build->snapshot);
	buffer_deinit(&build->body);
	free(build->unopened);
	free(build);
}

static void free_build(struct build *build)
{
	uv_close((uv_handle_t *)&build->deadline, on_build_closed);
}

static void wake_starter(struct snapshot_builder *builder)
{
	if (builder->queue != NULL)
		uv_timer_start(&builder->starter, start_queued, 0, 0);
}

static void end_build(struct build *build)
{
	struct snapshot_builder *builder = build->builder;
	if (builder != NULL) {
		struct build **at = &builder->under_way;
		while (*at != build)
			at = &(*at)->next;
		*at = build->next;
		builder->stats.under_way--;
		builder->stats.built += build->result == 0;
		builder->stats.failed += build->result != 0;
		builder->stats.timed_out += build->late;
		build->request.done(build->result, &build->body, build->request.data);
		wake_starter(builder);
	}
	free_build(build);
}

static bool is_last(const struct build *build)
{
	return build->member + 1 >= build->request.family.count;
}

static void describe_family(struct build *build)
{
	struct family_ledger_sums sums;
	struct snapshot_family *family = &build->snapshot->family;
	family_ledger_sums(build->ledger, &sums);
	family->left_out = build->request.family.left_out;
	family->heirs = sums.heirs;
	family->unmatched = sums.unmatched;
	family->inherited = sums.shared;
}

/* On a pool thread, as the next. The ledger has seen the last member by then. */
static void merge(struct build *build)
{
	build->result = snapshot_merge_add(build->merge, build->snapshot);
	build->snapshot = snapshot_free(build->snapshot);
	if (build->result < 0 || !is_last(build))
		return;
	build->snapshot = snapshot_merge_finish(build->merge);
	describe_family(build);
}

static void encode(uv_work_t *work)
{
	struct build *build = work->data;
	if (build->merge != NULL)
		merge(build);
	if (build->snapshot == NULL)
		return;
	build->result = export_snapshot(
		build->snapshot, build->request.format, &build->request.options, &build->body);
	build->snapshot = snapshot_free(build->snapshot);
}

static void begin(struct build *build);

static void after_encode(uv_work_t *work, int status)
{
	struct build *build = work->data;
	(void)status;
	if (build->builder == NULL || build->result < 0 || is_last(build)) {
		end_build(build);
		return;
	}
	build->member++;
	session_unref(build->request.session);
	build->request.session = session_ref(build->request.family.members[build->member]);
	free(TAKE(build->unopened));
	build->unopened_count = 0;
	begin(build);
}

static void finish(struct build *build)
{
	uv_timer_stop(&build->deadline);
	build->opening = build->resolving = 0;
	build->snapshot = snapshot_draft_finish(build->draft, build->builder->client);
	build->draft = snapshot_draft_free(build->draft);
	build->work.data = build;
	uv_queue_work(build->builder->loop, &build->work, encode, after_encode);
}

static void on_resolved(void *data)
{
	finish(data);
}

static uint32_t time_left(const struct build *build)
{
	uint64_t now = uv_now(build->builder->loop);
	return build->deadline_ms > now ? (uint32_t)(build->deadline_ms - now) : 0;
}

static void resolve(struct build *build)
{
	size_t count;
	_cleanup_free_ struct symbol_query *queries = snapshot_draft_queries(build->draft, &count);
	if (count == 0)
		finish(build);
	else
		build->resolving = symbol_client_resolve(build->builder->client, queries, count,
			time_left(build) + LATE_MS, on_resolved, build);
}

static void on_opened(const uint32_t *keys, const struct symbol_file *identities, void *data)
{
	struct build *build = data;
	uint32_t modules;
	struct snapshot_locations_module *module = snapshot_draft_modules(build->draft, &modules);
	build->opening = 0;
	for (uint32_t i = 0; i < build->unopened_count; i++) {
		struct snapshot_locations_module *opened = &module[build->unopened[i]];
		opened->file = keys[i];
		if (keys[i] != 0)
			*session_file(build->request.session, opened->index) = identities[i];
	}
	resolve(build);
}

static void on_deadline(uv_timer_t *deadline)
{
	struct build *build = deadline->data;
	build->late = true;
	if (build->opening != 0)
		module_files_cancel(build->builder->files, build->opening);
	if (build->resolving != 0)
		symbol_client_cancel(build->builder->client, build->resolving);
	finish(build);
}

/* Modules that have been opened before need not be, as long as the client has them still. */
static void find_opened(struct build *build)
{
	uint32_t count;
	struct snapshot_locations_module *module = snapshot_draft_modules(build->draft, &count);
	build->unopened = alloc_zeroed(count + 1, sizeof *build->unopened);
	for (uint32_t i = 0; i < count; i++) {
		const struct symbol_file *known =
			session_file(build->request.session, module[i].index);
		if (known->inode != 0)
			module[i].file = symbol_client_find(build->builder->client, known);
		if (module[i].file == 0)
			build->unopened[build->unopened_count++] = i;
	}
}

static void open_files(struct build *build)
{
	uint32_t count;
	const struct snapshot_locations_module *module =
		snapshot_draft_modules(build->draft, &count);
	struct session *session = build->request.session;
	struct module_info *infos = alloc_zeroed(build->unopened_count + 1, sizeof *infos);
	for (uint32_t i = 0; i < build->unopened_count; i++)
		infos[i] = module[build->unopened[i]].info;
	build->opening = module_files_open(build->builder->files, session_facts(session)->uid,
		session_process(session)->proc_fd, infos, build->unopened_count, on_opened, build);
	free(infos);
}

static void begin_member(struct build *build)
{
	const struct family *family = &build->request.family;
	build->request.scope.nothing =
		family->count > 1 && session_facts(build->request.session)->state == SESSION_EXITED;
	family_ledger_begin(
		build->ledger, build->request.session, family_has_heirs(family, build->member));
}

/* The model is at the end of a round. */
static void collect(struct build *build)
{
	if (build->member == 0)
		build->deadline_ms = uv_now(build->builder->loop) + build->request.timeout_ms;
	if (build->ledger != NULL)
		begin_member(build);
	build->result =
		snapshot_draft_new(&build->draft, build->request.session, &build->request.scope);
	if (build->result < 0) {
		end_build(build);
		return;
	}
	uv_timer_start(&build->deadline, on_deadline, time_left(build), 0);
	find_opened(build);
	if (build->unopened_count > 0)
		open_files(build);
	else
		resolve(build);
}

static void on_caught_up(void *data)
{
	struct build *build = data;
	if (build->builder == NULL)
		free_build(build);
	else
		collect(build);
}

static void begin(struct build *build)
{
	const struct snapshot_request *request = &build->request;
	if (request->wanted != NULL && !request->wanted(request->data)) {
		build->builder->stats.unwanted++;
		build->result = -ECANCELED;
		end_build(build);
		return;
	}
	/* All of a family are hurried at once, so that this takes a second in all, and not in each. */
	for (uint32_t i = 0; build->member == 0 && i < request->family.count; i++)
		session_hurry(request->family.members[i]);
	if (build->member == 0)
		session_hurry(request->session);
	if (!session_table_drain(
		    build->builder->table, build->request.session, on_caught_up, build))
		collect(build);
}

static void start_queued(uv_timer_t *starter)
{
	struct snapshot_builder *builder = starter->data;
	while (builder->queue != NULL && builder->stats.under_way < MAX_UNDER_WAY) {
		struct build *build = builder->queue;
		builder->queue = build->next;
		builder->stats.waiting--;
		build->next = builder->under_way;
		builder->under_way = build;
		builder->stats.under_way++;
		begin(build);
	}
}

void snapshot_builder_start(
	struct snapshot_builder *builder, const struct snapshot_request *request)
{
	struct build *build = alloc_zeroed(1, sizeof *build);
	build->builder = builder;
	build->request = *request;
	build->request.session = session_ref(request->session);
	if (request->family.count > 0) {
		family_ledger_new(&build->ledger);
		snapshot_merge_new(&build->merge, SNAPSHOT_BOUND_MAX_TEXT);
		build->request.scope.ledger = build->ledger;
	}
	uv_timer_init(builder->loop, &build->deadline);
	build->deadline.data = build;
	struct build **end = &builder->queue;
	while (*end != NULL)
		end = &(*end)->next;
	*end = build;
	builder->stats.waiting++;
	wake_starter(builder);
}

static void on_builder_closed(uv_handle_t *starter)
{
	free(starter->data);
}

struct snapshot_builder *snapshot_builder_free(struct snapshot_builder *builder)
{
	if (builder == NULL)
		return NULL;
	while (builder->queue != NULL) {
		struct build *build = builder->queue;
		builder->queue = build->next;
		free_build(build);
	}
	while (builder->under_way != NULL) {
		struct build *build = builder->under_way;
		builder->under_way = build->next;
		build->builder = NULL;
		/* In these two steps nobody will call back; in the others the callback ends the
		 * build. */
		bool abandoned = build->opening != 0 || build->resolving != 0;
		if (build->opening != 0)
			module_files_cancel(builder->files, build->opening);
		if (build->resolving != 0)
			symbol_client_cancel(builder->client, build->resolving);
		if (abandoned)
			free_build(build);
	}
	uv_close((uv_handle_t *)&builder->starter, on_builder_closed);
	return NULL;
}

void snapshot_builder_stats(
	const struct snapshot_builder *builder, struct snapshot_builder_stats *out)
{
	*out = builder->stats;
}
