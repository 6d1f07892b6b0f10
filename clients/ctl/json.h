/*
 * Writes JSON (RFC 8259) to a stdio stream: commas and escapes are its business, balance is the
 * caller's. Bytes that are not UTF-8 become U+FFFD, numbers that JSON cannot say become null. One
 * thread per writer.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define JSON_MAX_DEPTH 8

struct json {
	FILE *stream; /* borrows */
	unsigned depth;
	bool started[JSON_MAX_DEPTH + 1]; /* something stands at this depth already */
};

void json_init(struct json *json, FILE *stream);
/* `key` is NULL inside an array and at the top. */
void json_object(struct json *json, const char *key);
void json_array(struct json *json, const char *key);
void json_end_object(struct json *json);
void json_end_array(struct json *json);
void json_string(struct json *json, const char *key, const char *value);
void json_number(struct json *json, const char *key, double value);
void json_integer(struct json *json, const char *key, uint64_t value);
void json_bool(struct json *json, const char *key, bool value);
