/* Any bytes as a run of records. What is accepted must be what the sinks rely on. */
#include "config.h"
#include <stdlib.h>
#include <string.h>
#include "ingest/record_decode.h"
#include "spprof/wire/segment.h"

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

static void check_epoch(uint32_t epoch)
{
	check(epoch > 0 && epoch <= WIRE_EPOCH_MAX);
}

static void check_audit(const struct wire_audit *part, size_t size)
{
	size_t payload = part->frame_count * sizeof(uint64_t) + part->stack_bytes;

	check(part->id > 0 && part->stop < WIRE_STOP_KINDS);
	check(part->frame_count > 0 && part->frame_count <= WIRE_MAX_FRAMES);
	check(part->stack_bytes > 0 && part->stack_bytes <= WIRE_AUDIT_STACK_MAX);
	check(part->offset % 8 == 0 && part->stack_bytes % 8 == 0 && part->sp % 8 == 0);
	check(size > sizeof(*part) && payload <= WIRE_AUDIT_PAYLOAD_MAX);
	check(part->offset + size - sizeof(*part) <= payload);
	check(part->sp + part->stack_bytes > part->sp);
}

static void check_kind(int kind, const void *record, size_t size)
{
	const struct wire_birth *birth = record;
	const struct wire_death *death = record;
	const struct wire_end *end = record;

	switch (kind) {
	case RECORD_DECODE_LIVE:
		check_epoch(birth->epoch);
		check(!(birth->record.flags & WIRE_STACK_NOT_KEPT) || birth->frame_count == 0);
		check_birth(birth, size);
		break;
	case RECORD_DECODE_BIRTH:
		check_birth(birth, size);
		break;
	case RECORD_DECODE_DEATH:
		check(size == sizeof(*death) && death->id > 0 && death->epoch <= WIRE_EPOCH_MAX);
		break;
	case RECORD_DECODE_END:
		check(size == sizeof(*end));
		check_epoch(end->epoch);
		break;
	case RECORD_DECODE_AUDIT:
		check_audit(record, size);
		break;
	default:
		check(kind == RECORD_DECODE_UNKNOWN);
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
		check_kind(kind, bytes + at, record_size);
		at += record_size;
	}
	free(bytes);
	return 0;
}
