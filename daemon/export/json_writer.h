/*
 * JSON (RFC 8259), written straight into a buffer: commas and escapes are done here, nesting is the
 * caller's. Strings come out as valid UTF-8 with every control character escaped, so that printing
 * a file to a terminal is harmless. `key` is NULL inside arrays. Not thread-safe.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct buffer;

struct json_writer {
	struct buffer *out; /* borrows */
	bool comma;	    /* something precedes on this level */
	bool line_break;    /* before the next value */
};

void json_writer_init(struct json_writer *w, struct buffer *out);
void json_writer_open(struct json_writer *w, const char *key, char bracket);
void json_writer_close(struct json_writer *w, char bracket);
void json_writer_string(struct json_writer *w, const char *key, const char *value);
void json_writer_integer(struct json_writer *w, const char *key, int64_t value);
void json_writer_hex(struct json_writer *w, const char *key, uint64_t value); /* "0x7f12" */
void json_writer_bool(struct json_writer *w, const char *key, bool value);
void json_writer_null(struct json_writer *w, const char *key);
/* The next value, or the next bracket that closes, starts a line of its own. */
void json_writer_break(struct json_writer *w);
