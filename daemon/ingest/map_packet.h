/*
 * What spprofd and spprof-map-reader say to each other, one packet each over a SOCK_SEQPACKET pair.
 * The daemon leads: BEGIN once, with the worker's memory as a descriptor and without an answer;
 * then NEXT again and again. Each NEXT is answered by one FOUND, between which the helper may put
 * one ASK, answered by WANTED. The helper has read hostile memory: map_packet_check is to be asked
 * about all that it sends, and believes none of it. Pure; any thread; fuzzed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "ingest/map_reader.h"
#include "ingest/segment_map.h"

#define MAP_PACKET_VERSION   1u /* of this header: the two are not always updated at one moment */
#define MAP_PACKET_MAX_BYTES (64u << 10)

enum map_packet_kind {
	MAP_PACKET_BEGIN = 1,
	MAP_PACKET_NEXT,
	MAP_PACKET_ASK,
	MAP_PACKET_WANTED,
	MAP_PACKET_FOUND,
};

struct map_packet {
	uint32_t version;
	uint32_t kind;
};

struct map_packet_begin {
	struct map_packet head;
	uint32_t epoch; /* of the records to be found */
	uint32_t padding;
	struct segment_map_places places;
};

struct map_packet_next {
	struct map_packet head;
	uint32_t levels; /* in use by now, as the worker says */
	uint32_t padding;
};

struct map_packet_ask {
	struct map_packet head;
	uint64_t ids[]; /* 1 … MAP_READER_SLOTS; by the packet's size */
};

struct map_packet_wanted {
	struct map_packet head;
	uint8_t bits[(MAP_READER_SLOTS + 7) / 8]; /* bit i: the stack of ids[i] is wanted */
};

struct map_packet_found {
	struct map_packet head;
	int32_t result; /* 1: something is left; 0: that was all; negative errno: no records */
	uint32_t padding;
	/* since BEGIN */
	uint64_t slots, slots_in_all;
	uint64_t moved; /* entries left out since they changed, or made no sense */
	/* Records follow: WIRE_LIVE was announced, WIRE_BIRTH was not; all of the BEGIN's epoch. */
};

_Static_assert(sizeof(struct map_packet_found) % 8 == 0, "records are aligned");

#define MAP_PACKET_RECORDS (MAP_PACKET_MAX_BYTES - sizeof(struct map_packet_found))

/* The kind of a whole and well-formed packet, or -EBADMSG. `bytes` are 8-aligned; `epoch` is the
 * BEGIN's, and means something for FOUND alone. */
int map_packet_check(const void *bytes, size_t size, uint32_t epoch);
/* The records of a FOUND that was checked, in its own memory, each told like a LIVE. */
void map_packet_records(void *found, size_t size,
	void (*visit)(const struct wire_birth *entry, bool announced, void *data), void *data);
