/*
 * A worker's memory as a reader of its heap map finds it:
 *
 *   4 bytes   levels, generation, stacks and blocks said to be there (units of 16)
 *   2 bytes   distance of the stacks, of the blocks, in units of 64 bytes
 *   the rest  memory from an address on, followed by zeros; beyond that nothing can be read
 *
 * Whatever it holds, the reading must end, within its bounds, and what it finds must be a packet
 * that the daemon takes.
 */
#include "config.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "base/buffer.h"
#include "ingest/map_decode.h"
#include "ingest/map_packet.h"
#include "ingest/map_reader.h"
#include "ingest/segment_map.h"

#define ADDRESS UINT64_C(0x7f0000000000)
#define EPOCH	3u
#define MEMORY	(448u << 10) /* a little more than the first level */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct memory {
	const uint8_t *bytes;
	size_t size;
	uint64_t sum;
};

static void check(int condition)
{
	if (!condition)
		abort();
}

static int copy(uint64_t address, void *bytes, size_t size, void *data)
{
	const struct memory *memory = data;
	uint64_t at = address - ADDRESS;

	if (at > MEMORY || size > MEMORY - at)
		return -EFAULT;
	size_t there = at < memory->size ? memory->size - at : 0;
	there = there < size ? there : size;
	memset(bytes, 0, size);
	if (there > 0)
		memcpy(bytes, memory->bytes + at, there);
	return 0;
}

static void found(const struct wire_birth *entry, bool announced, void *data)
{
	struct memory *memory = data;

	check(entry->id > 0 && entry->stop < WIRE_STOP_KINDS);
	for (uint16_t i = 0; i < entry->frame_count; i++)
		memory->sum += entry->frames[i]; /* readable */
	memory->sum += announced;
}

/* As the helper does it; what it makes of any memory is a packet that the daemon takes. */
static int read_slice(struct map_reader *reader, uint32_t levels, struct memory *memory)
{
	uint8_t wanted[(MAP_READER_SLOTS + 7) / 8];
	struct map_packet_found head = {.head = {MAP_PACKET_VERSION, MAP_PACKET_FOUND}};
	struct map_reader_stats stats;
	struct buffer packet = BUFFER_INIT;
	const uint64_t *ids;
	uint32_t count;
	int r = map_reader_look(reader, levels, &ids, &count);

	if (r < 0)
		return r;
	check(count <= MAP_READER_SLOTS);
	for (size_t i = 0; i < sizeof(wanted); i++)
		wanted[i] = (uint8_t)(i * 37);
	buffer_append(&packet, &head, sizeof(head));
	r = map_reader_read(reader, wanted, EPOCH, MAP_PACKET_RECORDS, &packet);
	map_reader_stats(reader, &stats);
	head.result = r;
	head.slots = stats.slots;
	head.slots_in_all = stats.slots_in_all;
	memcpy(packet.data, &head, sizeof(head));
	check(map_packet_check(packet.data, packet.size, EPOCH) == MAP_PACKET_FOUND);
	map_packet_records(packet.data, packet.size, found, memory);
	buffer_deinit(&packet);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t head[6] = {1};
	size_t taken = size < sizeof(head) ? size : sizeof(head);

	if (taken > 0)
		memcpy(head, data, taken);
	struct memory memory = {.bytes = data + taken, .size = size - taken};
	struct segment_map_places places = {
		.map_address = ADDRESS,
		.generation = head[1],
		.stack_count = head[2] * 16u,
		.block_count = head[3] * 16u,
		.stacks_address = head[4] == 255 ? UINT64_MAX - 63 : ADDRESS + head[4] * 64u,
		.blocks_address = head[5] == 255 ? UINT64_MAX - 63 : ADDRESS + head[5] * 64u,
	};
	const struct map_source source = {copy, &memory};
	struct map_reader_stats stats;
	struct map_reader *reader;
	uint64_t slices = 0;
	int r;

	check(map_reader_new(&reader, &places, &source) == 0);
	do {
		r = read_slice(reader, head[0], &memory);
		map_reader_stats(reader, &stats);
		check(++slices <= stats.slots_in_all + 1);
	} while (r == 1);
	check(stats.slots <= map_decode_slots(WIRE_MAP_MAX_LEVELS));
	check(stats.found + stats.moved <= stats.slots && stats.secret <= stats.found);
	map_reader_free(reader);
	return 0;
}
