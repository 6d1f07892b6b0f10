/*
 * From a session, or a family of them, to the bytes of a file: catches up with the rings, copies the
 * model, opens the binaries, waits for names at most so long, encodes on a pool thread. Nothing blocks the loop. Few
 * are under way at a time, the others wait in order. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "export/export.h"
#include "server/family.h"
#include "server/snapshot_scope.h"

struct buffer;
struct module_files;
struct session;
struct session_table;
struct snapshot_builder;
struct symbol_client;
struct uv_loop_s;

/* All are borrowed. */
int snapshot_builder_new(struct snapshot_builder **out, struct uv_loop_s *loop,
	struct session_table *table, struct symbol_client *client, struct module_files *files);
/* Answers under way are thrown away; the loop must run until they have noticed. */
struct snapshot_builder *snapshot_builder_free(struct snapshot_builder *builder);

struct snapshot_request {
	struct session *session; /* borrowed during the call */
	struct family family;	 /* taken over: of these, in one snapshot; count 0: of `session` */
	enum export_format format;
	struct export_options options;
	struct snapshot_scope scope;
	uint32_t timeout_ms; /* for names */
	/* Asked when its turn has come: false: it ends with -ECANCELED. NULL: wanted. */
	bool (*wanted)(void *data);
	/* Called once, never from inside snapshot_builder_start: 0 and the bytes, to be taken, or
	 * negative errno. Not called after snapshot_builder_free. */
	void (*done)(int result, struct buffer *body, void *data);
	void *data;
};
void snapshot_builder_start(
	struct snapshot_builder *builder, const struct snapshot_request *request);

struct snapshot_builder_stats {
	uint64_t built, failed;
	uint64_t unwanted;  /* of those that failed: nobody waited any more */
	uint64_t timed_out; /* answered before all names were there */
	uint32_t under_way, waiting;
};
void snapshot_builder_stats(
	const struct snapshot_builder *builder, struct snapshot_builder_stats *out);
