/*
 * Whether a session's process still runs the program that made the segment: looked at now and then,
 * its image first, since that is cheap, and its mappings where the image is another one. What could
 * not be read when it attached is learnt on the way. Part of the session, whose parts it borrows; one
 * thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "server/process_reader.h"

struct process_texts;
struct sample_feed;
struct session_identity;
struct session_maps;

struct session_program {
	struct session_identity *identity; /* borrows */
	struct session_maps *maps;	   /* borrows; `replaced` is what is found out here */
	const struct sample_feed *feed;	   /* borrows */
	uint32_t inner_pid;		   /* as the segment's maker has it */
	void (*learnt)(void *data);	   /* the identity is known by now */
	void *data;
	struct process_ask ask; /* its `uid` is set before, too */
	uint32_t blind;		/* looks since it attached that told nothing */
};

/* Asks unless an answer is under way; where nothing is known yet, ever more seldom. */
void session_program_look(struct session_program *program);
void session_program_end(struct session_program *program);
/* For reading its memory: only what is certain counts. NULL: nothing was read since. */
bool session_program_is_same(struct session_program *program, const struct process_texts *texts);
