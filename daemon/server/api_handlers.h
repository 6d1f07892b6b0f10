/*
 * What the API can be asked: list, snapshot, stats, ping. Decides who may see what: a user their
 * own processes, a peer with sees_all everything. One thread (the loop's).
 */
#pragma once
#include <stdint.h>

struct agent_listener;
struct api_call;
struct api_handlers;
struct api_server;
struct attach_scan;
struct auditor;
struct drain_scheduler;
struct map_places;
struct process_reader;
struct session_table;
struct snapshot_builder;
struct symbol_client;

/* All are borrowed. `server` and `listener` may be NULL: their numbers are left out then. */
struct api_handlers_parts {
	struct session_table *table;
	struct attach_scan *scan;
	struct snapshot_builder *builder;
	struct drain_scheduler *scheduler;
	struct symbol_client *symbols;
	struct map_places *places;
	struct process_reader *reader;
	struct agent_listener *listener;
	struct api_server *server;
	struct auditor *auditor; /* may be NULL too */
};

int api_handlers_new(struct api_handlers **out);
struct api_handlers *api_handlers_free(struct api_handlers *handlers);
/* Must be called before the first request arrives. */
void api_handlers_set_parts(struct api_handlers *handlers, const struct api_handlers_parts *parts);

/* For struct api_server_options: `data` is the struct api_handlers. */
void api_handlers_handle(struct api_call *call, const uint8_t *message, uint32_t size, void *data);
