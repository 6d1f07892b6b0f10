/*
 * The distinct locations of a snapshot in the making, pairs of module and offset, and the modules that
 * they lie in, numbered anew: only those that a stack touches. Part of the draft; one thread (the
 * loop's) until it is finished.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "base/hash_index.h"
#include "server/module_map.h"
#include "server/symbol_client.h"

struct snapshot;
struct stack_frame;

struct snapshot_location_key {
	uint64_t offset;
	uint32_t module; /* of the session */
	uint32_t reserved;
};

struct snapshot_locations_module {
	struct module_info info; /* path borrows from the snapshot's strings */
	uint32_t index;		 /* in the session's module map */
	uint32_t file;		 /* key at the symbol client; 0: none (yet) */
};

struct snapshot_locations {
	struct snapshot *snapshot;	    /* borrows; its locations are made here */
	struct snapshot_location_key *keys; /* owns; parallel to these: where in a file each is */
	size_t keys_room, locations_room;
	struct hash_index index;		   /* of keys */
	struct snapshot_locations_module *modules; /* owns; parallel to snapshot->modules */
	uint32_t module_count, modules_room;
	uint32_t *module_numbers; /* owns; session's index -> ours, UINT32_MAX: not used yet */
};

/* `known_modules`: how many the session has. */
void snapshot_locations_init(
	struct snapshot_locations *locations, struct snapshot *snapshot, uint32_t known_modules);
void snapshot_locations_deinit(struct snapshot_locations *locations);
/* The location of a frame: its number in the snapshot. */
uint32_t snapshot_locations_add(struct snapshot_locations *locations, const struct module_map *map,
	const struct stack_frame *frame);
/* Of the location's module: as its `file`. */
uint32_t snapshot_locations_file(const struct snapshot_locations *locations, uint32_t location);
/* As snapshot_draft_queries. */
struct symbol_query *snapshot_locations_queries(
	const struct snapshot_locations *locations, size_t *count);
