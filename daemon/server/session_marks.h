/*
 * Names for borders in the row of a worker's samples: those that clients gave, and those that the
 * worker gave itself, in its segment (wire/definitions.h). The former are kept here and in a part of
 * the segment that is the daemon's, so that the next daemon has them, too. Bounded; the oldest make
 * room. Part of the session; one thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "spprof/wire/definitions.h"

struct segment_map;

struct session_mark {
	uint64_t id;
	char name[WIRE_MARK_NAME_MAX + 1];
};

struct session_marks {
	struct session_mark *
		given; /* owns; of clients, WIRE_MARKS_MAX, those without a name are none; NULL: none */
	uint64_t given_count;	      /* struct wire_marks.made */
	struct session_mark *workers; /* owns; as last read, NULL: none */
	uint32_t worker_count;
};

void session_marks_deinit(struct session_marks *marks);
/* 1 to WIRE_MARK_NAME_MAX printable ASCII characters. */
bool session_marks_is_name(const char *name);
/* Those that clients gave to earlier daemons. True: a client had asked for a mark. */
bool session_marks_begin(struct session_marks *marks, const struct segment_map *segment);
/* session_marks_is_name(name), or "": it is remembered that somebody asked. `segment` NULL: the worker has ended. What
 * cannot be written there (an agent of before WIRE_CLIENT_MARKS_MINOR) ends with this daemon. */
void session_marks_give(struct session_marks *marks, const struct segment_map *segment,
	const char *name, uint64_t id);
/* Reads the worker's own anew; those that make no sense are passed over. */
void session_marks_read(struct session_marks *marks, const struct segment_map *segment);
/* The one with the highest id. False: there is none of that name. */
bool session_marks_find(const struct session_marks *marks, const char *name, uint64_t *id);
