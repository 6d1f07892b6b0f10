/* Both sides check with the same function what the other one sent: the helper loses nothing by it. */
#include "config.h"
#include "ingest/map_packet.h"
#include <errno.h>
#include "ingest/map_decode.h"
#include "ingest/record_decode.h"

#define MAX_ERRNO 4095

static bool check_record(const struct wire_birth *entry, int kind, uint32_t epoch)
{
	if (kind != RECORD_DECODE_LIVE && kind != RECORD_DECODE_BIRTH)
		return false;
	if ((entry->record.flags & WIRE_STACK_NOT_KEPT) && entry->frame_count > 0)
		return false;
	return entry->epoch == epoch && entry->frame_count <= WIRE_MAX_FRAMES;
}

static bool check_records(const uint8_t *bytes, size_t size, uint32_t epoch)
{
	for (size_t at = 0, taken = 0; at < size; at += taken) {
		int kind = record_decode(bytes + at, size - at, &taken);

		if (kind < 0 || !check_record((const void *)(bytes + at), kind, epoch))
			return false;
	}
	return true;
}

static bool check_found(const struct map_packet_found *found, size_t size, uint32_t epoch)
{
	size_t records = size - sizeof(*found);

	if (found->result > 1 || found->result < -MAX_ERRNO)
		return false;
	if (found->slots > found->slots_in_all ||
		found->slots_in_all > map_decode_slots(WIRE_MAP_MAX_LEVELS))
		return false;
	if (found->result < 0)
		return records == 0;
	return check_records((const uint8_t *)(found + 1), records, epoch);
}

static bool check_ask(size_t size)
{
	size_t ids = size - sizeof(struct map_packet_ask);

	return ids > 0 && ids % sizeof(uint64_t) == 0 && ids / sizeof(uint64_t) <= MAP_READER_SLOTS;
}

static bool check_body(const void *bytes, uint32_t kind, size_t size, uint32_t epoch)
{
	switch (kind) {
	case MAP_PACKET_BEGIN:
		return size == sizeof(struct map_packet_begin);
	case MAP_PACKET_NEXT:
		return size == sizeof(struct map_packet_next);
	case MAP_PACKET_ASK:
		return check_ask(size);
	case MAP_PACKET_WANTED:
		return size == sizeof(struct map_packet_wanted);
	case MAP_PACKET_FOUND:
		return size >= sizeof(struct map_packet_found) && check_found(bytes, size, epoch);
	default:
		return false;
	}
}

int map_packet_check(const void *bytes, size_t size, uint32_t epoch)
{
	const struct map_packet *head = bytes;

	if (size < sizeof(*head) || size > MAP_PACKET_MAX_BYTES ||
		head->version != MAP_PACKET_VERSION)
		return -EBADMSG;
	return check_body(bytes, head->kind, size, epoch) ? (int)head->kind : -EBADMSG;
}

void map_packet_records(void *found, size_t size,
	void (*visit)(const struct wire_birth *entry, bool announced, void *data), void *data)
{
	uint8_t *bytes = found;

	for (size_t at = sizeof(struct map_packet_found); at < size;) {
		struct wire_birth *entry = (void *)(bytes + at);
		bool announced = entry->record.type == WIRE_LIVE;

		at += entry->record.size;
		entry->record.type = WIRE_LIVE;
		visit(entry, announced, data);
	}
}
