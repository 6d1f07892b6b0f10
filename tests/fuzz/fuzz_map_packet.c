/*
 * What spprof-map-reader sends, which has read hostile memory: the first byte is the epoch, the rest
 * one packet. What passes the check must be what the session relies on.
 */
#include "config.h"
#include <stdlib.h>
#include <string.h>
#include "ingest/map_packet.h"
#include "ingest/record_decode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t sum;

static void check(int condition)
{
	if (!condition)
		abort();
}

static void found(const struct wire_birth *entry, bool announced, void *data)
{
	check(entry->record.type == WIRE_LIVE && entry->epoch == *(const uint32_t *)data);
	check(entry->record.size == sizeof(*entry) + entry->frame_count * sizeof(uint64_t));
	check(entry->id > 0 && entry->stop < WIRE_STOP_KINDS);
	check(entry->frame_count <= WIRE_MAX_FRAMES);
	check(entry->size_bytes > 0 && entry->size_bytes <= RECORD_DECODE_MAX_BYTES);
	check(entry->interval_bytes > 0 && entry->interval_bytes <= RECORD_DECODE_MAX_BYTES);
	check(!(entry->record.flags & WIRE_STACK_NOT_KEPT) || entry->frame_count == 0);
	for (uint16_t i = 0; i < entry->frame_count; i++)
		sum += entry->frames[i]; /* readable */
	sum += announced;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint32_t epoch = size > 0 ? data[0] : 0;
	size_t bytes = size > 0 ? size - 1 : 0;
	void *packet = malloc(bytes > 0 ? bytes : 1); /* aligned, and exactly so large */

	if (bytes > 0)
		memcpy(packet, data + 1, bytes);
	int kind = map_packet_check(packet, bytes, epoch);
	if (kind == MAP_PACKET_FOUND) {
		const struct map_packet_found *head = packet;
		check(head->result <= 1 && head->slots <= head->slots_in_all);
		map_packet_records(packet, bytes, found, &epoch);
	} else if (kind == MAP_PACKET_ASK) {
		check((bytes - sizeof(struct map_packet_ask)) / 8 <= MAP_READER_SLOTS);
	}
	free(packet);
	return 0;
}
