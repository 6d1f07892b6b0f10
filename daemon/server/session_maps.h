/*
 * What a session's process has mapped: the text that the worker left in its segment, and the
 * kernel's, read again when a record names unknown code. Part of the session; one thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct module_map;
struct process_handle;
struct segment_map;

struct session_maps {
	const struct process_handle *process; /* borrows */
	struct module_map *modules;	      /* owns */
	dev_t device;			      /* of the segment */
	ino_t inode;
	bool replaced; /* the process runs another program by now */
	uint64_t refreshes, refresh_after_ns, refresh_pause_ns;
};

int session_maps_init(struct session_maps *maps, const struct process_handle *process,
	const struct segment_map *segment);
void session_maps_deinit(struct session_maps *maps);
/* Both texts, at the beginning. */
void session_maps_read(struct session_maps *maps, const struct segment_map *segment);
/* For sample_feed_new; `data` is the session_maps. */
bool session_maps_refresh(uint32_t epoch, void *data);
/* A look at the mappings: 0: the segment is among them; -ESTALE: it is not, and `replaced` is set;
 * other negative errno: they could not be looked at. */
int session_maps_look(struct session_maps *maps);
/* Whether a text of /proc/PID/maps has a mapping of this file. */
bool session_maps_has(const char *text, size_t size, dev_t device, ino_t inode);
