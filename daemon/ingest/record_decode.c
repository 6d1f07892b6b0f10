/*
 * The caller has copied the bytes out of the worker's reach, so they may be looked at as often as
 * need be. A record that is malformed says nothing about where the next one begins: there is no
 * resuming.
 */
#include "config.h"
#include "ingest/record_decode.h"
#include <errno.h>
#include <stdbool.h>
#include "spprof/wire/segment.h"

static bool bytes_plausible(uint64_t bytes)
{
	return bytes > 0 && bytes <= RECORD_DECODE_MAX_BYTES;
}

static bool epoch_valid(uint32_t epoch)
{
	return epoch > 0 && epoch <= WIRE_EPOCH_MAX;
}

static int decode_birth(const struct wire_birth *birth)
{
	size_t size = birth->record.size;

	if (size < sizeof(*birth))
		return -EBADMSG;
	if (size != sizeof(*birth) + birth->frame_count * sizeof(birth->frames[0]))
		return -EBADMSG;
	if (birth->id == 0 || birth->stop >= WIRE_STOP_KINDS)
		return -EBADMSG;
	if (!bytes_plausible(birth->size_bytes) || !bytes_plausible(birth->interval_bytes))
		return -EBADMSG;
	return RECORD_DECODE_BIRTH;
}

static int decode_live(const struct wire_birth *live)
{
	int r = decode_birth(live);

	if (r < 0)
		return r;
	if (!epoch_valid(live->epoch))
		return -EBADMSG;
	if ((live->record.flags & WIRE_STACK_NOT_KEPT) && live->frame_count > 0)
		return -EBADMSG;
	return RECORD_DECODE_LIVE;
}

static int decode_death(const struct wire_death *death)
{
	if (death->record.size != sizeof(*death) || death->id == 0)
		return -EBADMSG;
	if (death->epoch != 0 && !epoch_valid(death->epoch))
		return -EBADMSG;
	return RECORD_DECODE_DEATH;
}

static int decode_end(const struct wire_end *end)
{
	if (end->record.size != sizeof(*end) || !epoch_valid(end->epoch))
		return -EBADMSG;
	return RECORD_DECODE_END;
}

static int decode_audit(const struct wire_audit *part)
{
	size_t size = part->record.size, payload;

	if (size <= sizeof(*part) || size - sizeof(*part) > WIRE_AUDIT_PART_MAX)
		return -EBADMSG;
	if (part->id == 0 || part->stop >= WIRE_STOP_KINDS)
		return -EBADMSG;
	if (part->frame_count == 0 || part->frame_count > WIRE_MAX_FRAMES)
		return -EBADMSG;
	if (part->stack_bytes == 0 || part->stack_bytes > WIRE_AUDIT_STACK_MAX)
		return -EBADMSG;
	if (part->stack_bytes % 8 || part->offset % 8 || part->sp % 8)
		return -EBADMSG;
	if (part->sp > UINT64_MAX - part->stack_bytes)
		return -EBADMSG;
	payload = part->frame_count * sizeof(uint64_t) + part->stack_bytes;
	if (part->offset + (size - sizeof(*part)) > payload)
		return -EBADMSG;
	return RECORD_DECODE_AUDIT;
}

int record_decode(const void *bytes, size_t available, size_t *size)
{
	const struct wire_record *record = bytes;

	if (available < sizeof(*record))
		return -EAGAIN;
	if (record->size < sizeof(*record) || record->size > WIRE_RECORD_MAX || record->size % 8)
		return -EBADMSG;
	if (record->size > available)
		return -EAGAIN;

	*size = record->size;
	switch (record->type) {
	case WIRE_BIRTH:
		return decode_birth(bytes);
	case WIRE_LIVE:
		return decode_live(bytes);
	case WIRE_DEATH:
		return decode_death(bytes);
	case WIRE_END:
		return decode_end(bytes);
	case WIRE_AUDIT:
		return decode_audit(bytes);
	default:
		return RECORD_DECODE_UNKNOWN;
	}
}
