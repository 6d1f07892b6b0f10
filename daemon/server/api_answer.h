/*
 * An answer on its way to a client: one or several packed Response messages, or the pieces of a
 * file, framed one by one as the client takes them. Owned by whoever holds it. One thread (the
 * loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "spprof/v1/api.pb-c.h"

struct api_answer;
struct buffer;

struct api_answer *api_answer_new(void);
struct api_answer *api_answer_free(struct api_answer *answer);

/* Packs another message; the caller sets `more` on all but the last. At most
 * API_FRAMING_MAX_RESPONSE long. */
void api_answer_add(struct api_answer *answer, const Spprof__V1__Response *response);
/* Takes the bytes of `body` over, to be told as SnapshotResponse pieces, the first one with
 * `process`. */
void api_answer_add_file(
	struct api_answer *answer, struct buffer *body, const Spprof__V1__Process *process);
/* Makes an Error of it. */
void api_answer_add_error(
	struct api_answer *answer, Spprof__V1__Error__Code code, const char *message);

/* Appends the next message with its preamble to `out`. False: it was the last one, or there was
 * none. */
bool api_answer_next(struct api_answer *answer, struct buffer *out);
/* It has one, however small. */
bool api_answer_is_file(const struct api_answer *answer);
/* Memory that waits for the client. */
size_t api_answer_bytes(const struct api_answer *answer);
