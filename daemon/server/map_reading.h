/*
 * One reading of a worker's heap map: the place it waits for, the memory that is opened for it, the
 * dialogue with its helper. What is opened is the address space of the program that the process runs
 * at that moment: after an exec it is empty and not the next program's, which may be another user's
 * business. Part of a session, which is woken when there is something to do. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "ingest/map_packet.h"
#include "server/map_places.h"
#include "server/process_reader.h"

struct process_handle;
struct process_texts;

enum map_reading_state {
	MAP_READING_NONE,    /* not under way */
	MAP_READING_WAITS,   /* for a place */
	MAP_READING_GRANTED, /* woken: has a place, and is to be opened */
	MAP_READING_OPENS,   /* the memory is being opened */
	MAP_READING_OPENED,  /* woken: it is, and to be read if it is the right one */
	MAP_READING_WORKS,   /* the helper reads a slice */
	MAP_READING_READY,   /* woken: a slice has come */
	MAP_READING_LOST,    /* woken: the place is lost, and the reading with it */
};

struct map_reading_handlers {
	/* There is something to do; not from inside a call. */
	void (*wake)(void *data);
	/* Sets the bits of those ids whose stack is wanted. */
	void (*choose)(const uint64_t *ids, uint32_t count, uint8_t *bits, void *data);
};

struct map_reading {
	struct map_claim claim;
	enum map_reading_state state;
	const struct map_reading_handlers *handlers; /* borrows */
	void *data;
	struct process_reader *opener; /* borrows */
	struct process_ask ask;
	struct process_texts *texts; /* owns; OPENED: whose memory it is, and the memory */
	int error;		     /* LOST */
	bool asked;		     /* by the helper, in this slice */
	uint64_t slots;		     /* looked at before this slice */
	struct map_packet_begin begin;
	uint8_t *found; /* owns; READY: a checked FOUND */
	size_t found_bytes;
};

/* `places` or `opener` NULL: nothing can be read. */
void map_reading_init(struct map_reading *reading, struct map_places *places,
	struct process_reader *opener, uid_t uid, const struct map_reading_handlers *handlers,
	void *data);
/* Ends what is under way; may be begun again. The session is not woken for it any more. */
void map_reading_end(struct map_reading *reading);

/* NONE -> WAITS or GRANTED. Negative errno: -ENOENT: there is no map to be read, or nobody to do it. */
int map_reading_wait(struct map_reading *reading, const struct segment_map_places *places);
/* GRANTED -> OPENS: the memory, and then the texts by which the process is known. 0 or negative errno;
 * LOST later with -EACCES, -EPERM: the kernel forbids it; or other negative errno. */
int map_reading_open(
	struct map_reading *reading, const struct process_handle *process, uint32_t epoch);
/* OPENED: what was read after the opening, until the next call. */
const struct process_texts *map_reading_texts(const struct map_reading *reading);
/* OPENED or READY -> WORKS. `levels`: that the worker says are in use. 0 or negative
 * errno. */
int map_reading_next(struct map_reading *reading, uint32_t levels);
/* READY: what has come; map_packet_records takes it. Valid until the next call. */
struct map_packet_found *map_reading_found(struct map_reading *reading, size_t *size);
/* Whether the session is to do something: GRANTED, OPENED, READY, LOST. */
bool map_reading_is_due(const struct map_reading *reading);
/* The daemon's memory for it. */
size_t map_reading_bytes(const struct map_reading *reading);
