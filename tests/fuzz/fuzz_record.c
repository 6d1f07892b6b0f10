/* Any bytes as a run of records. What is accepted must be what the sinks rely on. */
#include "config.h"
#include <stdlib.h>
#include <string.h>
#include "ingest/record_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition)
{
	if (!condition)
		abort();
}

static void check_birth(const struct wire_birth *birth, size_t size)
{
	check(size == sizeof(*birth) + birth->frame_count * sizeof(uint64_t));
	check(birth->frame_count <= WIRE_MAX_FRAMES);
	check(birth->id > 0 && birth->stop < WIRE_STOP_KINDS);
	check(birth->size_bytes > 0 && birth->size_bytes <= RECORD_DECODE_MAX_BYTES);
	check(birth->interval_bytes > 0 && birth->interval_bytes <= RECORD_DECODE_MAX_BYTES);
	for (uint16_t i = 0; i < birth->frame_count; i++) {
		uint64_t frame;
		memcpy(&frame, &birth->frames[i], sizeof(frame)); /* readable */
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *bytes = malloc(size ? size : 1); /* aligned, and of exactly this size */
	size_t at = 0, record_size = 0;
	int kind;

	memcpy(bytes, data, size);
	while ((kind = record_decode(bytes + at, size - at, &record_size)) > 0) {
		check(record_size > 0 && record_size % 8 == 0 && record_size <= WIRE_RECORD_MAX);
		check(record_size <= size - at);
		if (kind == RECORD_DECODE_BIRTH)
			check_birth((const void *)(bytes + at), record_size);
		at += record_size;
	}
	free(bytes);
	return 0;
}
