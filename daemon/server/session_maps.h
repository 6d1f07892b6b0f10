/*
 * What a session's process has mapped: the text that the worker left in its segment, and the
 * kernel's, read again when a record names unknown code. Part of the session; one thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "server/process_reader.h"

struct module_map;
struct process_handle;
struct process_texts;
struct segment_map;
struct symbol_file;

struct session_maps {
	const struct process_handle *process; /* borrows */
	struct process_reader *reader;	      /* borrows; NULL: nothing is read */
	struct process_ask ask;
	void (*wake)(void *data); /* what was asked for has come, or will not */
	void *data;
	struct module_map *modules; /* owns */
	struct symbol_file *files;  /* owns; by module */
	uint32_t file_count;
	dev_t device; /* of the segment */
	ino_t inode;
	bool replaced;	  /* the process runs another program by now */
	uint32_t epoch;	  /* of the records when it was asked */
	uint64_t hold_ns; /* so long records wait for it */
	uint64_t refreshes, asked_ns, refresh_after_ns, refresh_pause_ns;
};

int session_maps_init(struct session_maps *maps, const struct process_handle *process,
	const struct segment_map *segment);
void session_maps_deinit(struct session_maps *maps);
/* Both texts, at the beginning; `texts` may be without, or NULL. */
void session_maps_begin(struct session_maps *maps, const struct segment_map *segment,
	const struct process_texts *texts);
/* For sample_feed_new; `data` is the session_maps. */
bool session_maps_refresh(uint32_t epoch, void *data);
/* A text that was read anew: 0: the segment is among the mappings; -ESTALE: it is not, and `replaced`
 * is set; -EFBIG: not among those that there was room for; other negative errno: they could not be looked at. */
int session_maps_take(struct session_maps *maps, const struct process_texts *texts, uint32_t epoch);
/* As session_file. */
struct symbol_file *session_maps_file(struct session_maps *maps, uint32_t module);
size_t session_maps_bytes(const struct session_maps *maps);
/* Whether a text of /proc/PID/maps has a mapping of this file. */
bool session_maps_has(const char *text, size_t size, dev_t device, ino_t inode);
