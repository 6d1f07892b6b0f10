/*
 * The memory of one worker, opened for as long as its heap map is read. What is opened is the
 * address space of the program that the process runs at that moment: after an exec it is empty and
 * not the next program's, which may be another user's business. Part of a session; one thread.
 */
#pragma once
#include <stdbool.h>
#include "ingest/map_reader.h"
#include "server/resync.h"

struct process_handle;

struct map_reading {
	struct map_source source;
	struct map_reader *reader; /* owns; NULL: not under way */
	int memory_fd;		   /* owns; -1 likewise */
};

void map_reading_init(struct map_reading *reading);
void map_reading_deinit(struct map_reading *reading); /* may be begun again */
/* -ENOENT: there is no map to be read; -EACCES, -EPERM: the kernel forbids it; other negative
 * errno. */
int map_reading_begin(struct map_reading *reading, const struct process_handle *process,
	const struct segment_map_places *places);
/* Reads one slice and hands it to the sink; ends the reading after the last one. */
struct resync_slice map_reading_slice(
	struct map_reading *reading, uint32_t levels, const struct map_sink *sink);
