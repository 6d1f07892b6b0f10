/*
 * The caller has copied the bytes out of the worker's reach, so they may be looked at as often as
 * need be. A record that is malformed says nothing about where the next one begins: there is no
 * resuming.
 */
#include "config.h"
#include "ingest/record_decode.h"
#include <errno.h>
#include <stdbool.h>

static bool bytes_plausible(uint64_t bytes)
{
	return bytes > 0 && bytes <= RECORD_DECODE_MAX_BYTES;
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

static int decode_death(const struct wire_death *death)
{
	if (death->record.size != sizeof(*death) || death->id == 0)
		return -EBADMSG;
	return RECORD_DECODE_DEATH;
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
	case WIRE_LIVE:
		return decode_birth(bytes);
	case WIRE_DEATH:
		return decode_death(bytes);
	default:
		return RECORD_DECODE_UNKNOWN;
	}
}
