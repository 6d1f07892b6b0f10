#include "config.h"
#include "ctl/json.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>

/* Bytes of the well-formed UTF-8 sequence at `at`, 0 if it is none (Unicode 15, table 3-7). */
static unsigned utf8_length(const unsigned char *at)
{
	static const struct {
		unsigned char first_low, first_high, second_low, second_high, length;
	} forms[] = {
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	if (at[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (at[0] < forms[i].first_low || at[0] > forms[i].first_high)
			continue;
		if (at[1] < forms[i].second_low || at[1] > forms[i].second_high)
			return 0;
		for (unsigned j = 2; j < forms[i].length; j++) {
			if ((at[j] & 0xc0) != 0x80)
				return 0;
		}
		return forms[i].length;
	}
	return 0;
}

static void put_quoted(FILE *stream, const char *value)
{
	fputc('"', stream);
	for (const unsigned char *at = (const unsigned char *)value; *at;) {
		unsigned length = utf8_length(at);
		if (length == 0) {
			fputs("\\ufffd", stream);
			length = 1;
		} else if (*at == '"' || *at == '\\') {
			fprintf(stream, "\\%c", *at);
		} else if (*at < ' ' || *at == 0x7f) {
			fprintf(stream, "\\u%04x", *at);
		} else {
			fwrite(at, 1, length, stream);
		}
		at += length;
	}
	fputc('"', stream);
}

static void begin(struct json *json, const char *key)
{
	if (json->started[json->depth])
		fputc(',', json->stream);
	json->started[json->depth] = true;
	if (json->depth > 0)
		fprintf(json->stream, "\n%*s", 2 * (int)json->depth, "");
	if (key) {
		put_quoted(json->stream, key);
		fputs(": ", json->stream);
	}
}

static void open_level(struct json *json, const char *key, char bracket)
{
	begin(json, key);
	fputc(bracket, json->stream);
	assert(json->depth < JSON_MAX_DEPTH);
	json->started[++json->depth] = false;
}

static void close_level(struct json *json, char bracket)
{
	assert(json->depth > 0);
	bool filled = json->started[json->depth--];
	if (filled)
		fprintf(json->stream, "\n%*s", 2 * (int)json->depth, "");
	fputc(bracket, json->stream);
	if (json->depth == 0)
		fputc('\n', json->stream);
}

void json_init(struct json *json, FILE *stream)
{
	*json = (struct json){.stream = stream};
}

void json_object(struct json *json, const char *key)
{
	open_level(json, key, '{');
}

void json_array(struct json *json, const char *key)
{
	open_level(json, key, '[');
}

void json_end_object(struct json *json)
{
	close_level(json, '}');
}

void json_end_array(struct json *json)
{
	close_level(json, ']');
}

void json_string(struct json *json, const char *key, const char *value)
{
	begin(json, key);
	put_quoted(json->stream, value);
}

void json_number(struct json *json, const char *key, double value)
{
	begin(json, key);
	if (isfinite(value))
		fprintf(json->stream, "%.15g", value);
	else
		fputs("null", json->stream);
}

void json_integer(struct json *json, const char *key, uint64_t value)
{
	begin(json, key);
	fprintf(json->stream, "%" PRIu64, value);
}

void json_bool(struct json *json, const char *key, bool value)
{
	begin(json, key);
	fputs(value ? "true" : "false", json->stream);
}
