/*
 * The code objects that a session's stacks name: fetched from the segment when a stack first names one, checked,
 * and kept with name, file and decoded lines, so that frames can be named when the process has ended. Bounded in
 * number by the wire and in bytes here. Part of the session; one thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct segment_map;
struct session_codes;

#define SESSION_CODES_MAX_BYTES ((size_t)8 << 20) /* for the usual session */

struct session_code {
	const char *name; /* qualified where the interpreter has that; any bytes but controls */
	const char *file;
	uint32_t first_line; /* 0: not known */
};

/* `segment` is borrowed until session_codes_detach. `max_bytes` bounds session_codes_bytes. */
int session_codes_new(
	struct session_codes **out, const struct segment_map *segment, size_t max_bytes);
struct session_codes *session_codes_free(struct session_codes *codes);
/* The segment is given back: nothing is fetched from now on. */
void session_codes_detach(struct session_codes *codes);
/* At the beginning of a round: what was not there may be looked for again. */
void session_codes_round(struct session_codes *codes);

/* Any number and unit, as a frame says it. True, and the line that is executed there (0: none): it is kept from now
 * on. False: it is not there, makes no sense, or there is no room for it. */
bool session_codes_line(struct session_codes *codes, uint64_t code, uint32_t unit, uint32_t *line);
/* One that session_codes_line has found. The strings live as long as the codes. */
struct session_code session_codes_get(const struct session_codes *codes, uint32_t code);
size_t session_codes_bytes(const struct session_codes *codes);
