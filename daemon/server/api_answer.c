/*
 * Small messages are packed at once; a file is cut when its turn comes, so that it is in memory
 * once and not twice.
 */
#include "server/api_answer.h"

#include <stdlib.h>

#include "base/alloc.h"
#include "base/buffer.h"
#include "server/api_framing.h"

/* Leaves room for the process in the first piece: its strings are bounded where they are read. */
#define PIECE_BYTES ((size_t)API_FRAMING_MAX_RESPONSE - (32u << 10))

struct message {
	struct message *next;
	uint32_t size;
	uint8_t bytes[];
};

struct api_answer {
	struct message *first, **end; /* owns */
	size_t message_bytes;
	struct buffer body; /* owns: the file */
	size_t told;	    /* of it */
	uint8_t *process; /* owns: packed Process of the file's first piece; NULL: no file, or told
			   */
	size_t process_size;
	bool has_file;
};

struct api_answer *api_answer_new(void)
{
	struct api_answer *answer = alloc_zeroed(1, sizeof *answer);
	answer->end = &answer->first;
	return answer;
}

static void drop_first(struct api_answer *answer)
{
	struct message *message = answer->first;
	answer->first = message->next;
	if (answer->first == NULL)
		answer->end = &answer->first;
	answer->message_bytes -= message->size;
	free(message);
}

struct api_answer *api_answer_free(struct api_answer *answer)
{
	if (answer == NULL)
		return NULL;
	while (answer->first != NULL)
		drop_first(answer);
	buffer_deinit(&answer->body);
	free(answer->process);
	free(answer);
	return NULL;
}

void api_answer_add(struct api_answer *answer, const Spprof__V1__Response *response)
{
	size_t size = spprof__v1__response__get_packed_size(response);
	struct message *message = alloc_zeroed(1, sizeof *message + size);
	message->size = (uint32_t)size;
	spprof__v1__response__pack(response, message->bytes);
	*answer->end = message;
	answer->end = &message->next;
	answer->message_bytes += size;
}

void api_answer_add_error(
	struct api_answer *answer, Spprof__V1__Error__Code code, const char *message)
{
	Spprof__V1__Error error = SPPROF__V1__ERROR__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	error.code = code;
	error.message = (char *)message;
	response.error = &error;
	api_answer_add(answer, &response);
}

void api_answer_add_file(
	struct api_answer *answer, struct buffer *body, const Spprof__V1__Process *process)
{
	answer->body = *body;
	*body = BUFFER_INIT;
	answer->has_file = true;
	answer->process_size = spprof__v1__process__get_packed_size(process);
	answer->process = alloc_zeroed(1, answer->process_size + 1);
	spprof__v1__process__pack(process, answer->process);
}

static void append_framed(struct buffer *out, const Spprof__V1__Response *response)
{
	size_t size = spprof__v1__response__get_packed_size(response);
	uint8_t *at = buffer_reserve(out, API_FRAMING_PREAMBLE + size);
	api_framing_write_preamble(at, (uint32_t)size);
	spprof__v1__response__pack(response, at + API_FRAMING_PREAMBLE);
	out->size += API_FRAMING_PREAMBLE + size;
}

static bool next_piece(struct api_answer *answer, struct buffer *out)
{
	Spprof__V1__SnapshotResponse snapshot = SPPROF__V1__SNAPSHOT_RESPONSE__INIT;
	Spprof__V1__Response response = SPPROF__V1__RESPONSE__INIT;
	Spprof__V1__Process *process = NULL;
	size_t left = answer->body.size - answer->told;
	snapshot.data.data = answer->body.data + answer->told;
	snapshot.data.len = left < PIECE_BYTES ? left : PIECE_BYTES;
	if (answer->process != NULL)
		process = spprof__v1__process__unpack(NULL, answer->process_size, answer->process);
	snapshot.process = process;
	response.kind_case = SPPROF__V1__RESPONSE__KIND_SNAPSHOT;
	response.snapshot = &snapshot;
	response.more = left > PIECE_BYTES;
	append_framed(out, &response);
	spprof__v1__process__free_unpacked(process, NULL);
	free(TAKE(answer->process));
	answer->told += snapshot.data.len;
	return response.more;
}

bool api_answer_next(struct api_answer *answer, struct buffer *out)
{
	if (answer->first == NULL)
		return answer->has_file && next_piece(answer, out);
	uint8_t *at = buffer_reserve(out, API_FRAMING_PREAMBLE + answer->first->size);
	api_framing_write_preamble(at, answer->first->size);
	out->size += API_FRAMING_PREAMBLE;
	buffer_append(out, answer->first->bytes, answer->first->size);
	drop_first(answer);
	return answer->first != NULL || answer->has_file;
}

bool api_answer_is_file(const struct api_answer *answer)
{
	return answer->has_file;
}

size_t api_answer_bytes(const struct api_answer *answer)
{
	return answer->message_bytes + answer->body.size;
}
