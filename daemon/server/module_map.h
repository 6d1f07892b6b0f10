/*
 * What a worker has mapped executable, and had: the text of /proc/PID/maps turned into modules
 * (distinct files), which keep their index while the session lives, and address ranges, of which
 * the newest wins. The session resolves return addresses to {module, file offset} as records
 * arrive, so that a stack keeps its meaning after dlclose. Reading the text and limiting how often
 * is the caller's. Not thread-safe. The text is hostile input: bounded, malformed lines are skipped
 * and counted. Opening a module's file is server/module_file's.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "model/stack_table.h"

#define MODULE_MAP_MAX_MODULES	  (16u << 10)
#define MODULE_MAP_MAX_RANGES	  (16u << 10) /* mapped now; as many again of those gone */
#define MODULE_MAP_MAX_PATH_BYTES ((size_t)1 << 20)

struct module_map;

struct module_info {
	const char *path; /* borrows from the map, stable while it lives; unescaped; "[vdso]" */
	dev_t device;
	ino_t inode;			  /* 0: not a file */
	uint64_t start, end, file_offset; /* its first executable mapping when last seen mapped */
	bool deleted;			  /* unlinked when last seen */
	bool from_kernel; /* seen in the kernel's text; else only the worker says so */
};

enum module_map_source {
	MODULE_MAP_KERNEL, /* /proc/PID/maps as the daemon read it */
	MODULE_MAP_WORKER, /* what the agent left in the segment at load */
};

enum module_map_result {
	MODULE_MAP_FOUND,
	MODULE_MAP_STALE, /* the outputs are the best guess, but the record knows of a dlclose that
			     the text does not: refresh if possible, then ask again */
	MODULE_MAP_UNKNOWN, /* in no mapping ever seen: refresh likewise; outputs are NONE and the
			       address */
};

struct module_map_stats {
	uint64_t updates;
	uint64_t malformed_lines; /* skipped */
	uint64_t dropped; /* ranges and modules over the bounds: their frames stay unresolved */
};

int module_map_new(struct module_map **out);
struct module_map *module_map_free(struct module_map *map);

/* Replaces what is mapped now; what the text no longer names becomes history. `epoch` is the
 * highest wire_birth.module_epoch that the caller had read when it began to read the text. */
void module_map_update(struct module_map *map, const char *text, size_t size,
	enum module_map_source source, uint32_t epoch);
/* Likewise, by a text whose end is missing: what was mapped behind it counts as mapped still. */
void module_map_update_beginning(struct module_map *map, const char *text, size_t size,
	enum module_map_source source, uint32_t epoch);

/* `address` lies inside an instruction (for a frame: return address - 1); `epoch` is the record's
 * module_epoch. Executable memory that is no file (JIT) is FOUND with module STACK_MODULE_NONE and
 * *offset = address. */
enum module_map_result module_map_resolve(const struct module_map *map, uint64_t address,
	uint32_t epoch, uint32_t *module, uint64_t *offset);

uint32_t module_map_count(const struct module_map *map); /* indices are 0 … count-1 */
/* Valid until the next update (copy it to keep it; the path lives as long as the map). */
const struct module_info *module_map_get(const struct module_map *map, uint32_t index);
void module_map_stats(const struct module_map *map, struct module_map_stats *out);
size_t module_map_bytes(const struct module_map *map);
