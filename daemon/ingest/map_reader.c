/*
 * Order of reading, per slot: the slot, with many others at once; then its stack, block by block;
 * then the slot again, which must be the same in every word. Nobody knows in which order the words
 * of one copy were read, so an id in the first copy may stand beside the fields of its predecessor.
 * But the second copy begins after that id was there: if its key says that the slot is complete, and
 * the id is still the same, so are the fields. Ids are never used twice, and a stack stays as it is
 * while an entry refers to it.
 *
 * Bounds. Slots: WIRE_MAP_MAX_LEVELS levels. A stack: its own count of bytes, which must fit its
 * count of frames, and as many blocks as these bytes fill. A slice: MAX_READS calls of the source
 * and the caller's room, after which the next one goes on at the same slot.
 */
#include "config.h"
#include "ingest/map_reader.h"
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "ingest/map_decode.h"
#include "ingest/segment_map.h"

#define MAX_READS  4096u
#define RUN_BLOCKS 4u /* read at once: a chain's blocks often follow each other */

struct map_reader {
	struct segment_map_places places;
	const struct map_source *source; /* borrows */
	struct map_reader_stats stats;
	uint64_t reads_left; /* in this slice */
	uint32_t looked;     /* slots of it */
	uint64_t slots[MAP_READER_SLOTS][6];
	uint64_t ids[MAP_READER_SLOTS];
	struct wire_stack_block run[RUN_BLOCKS];
	uint8_t bytes[MAP_DECODE_MAX_BYTES + WIRE_BLOCK_BYTES]; /* of a stack */
};

int map_reader_new(struct map_reader **out, const struct segment_map_places *places,
	const struct map_source *source)
{
	if (places->map_address == 0)
		return -ENOENT;
	struct map_reader *reader = alloc_zeroed(1, sizeof(*reader));
	reader->places = *places;
	reader->source = source;
	*out = reader;
	return 0;
}

struct map_reader *map_reader_free(struct map_reader *reader)
{
	free(reader);
	return NULL;
}

/* The element at `index` of an array in the worker; -EFAULT: there cannot be one. */
static int read_element(struct map_reader *reader, uint64_t array, uint64_t index, void *bytes,
	size_t size, size_t element)
{
	uint64_t distance = index * element; /* index < 2^32 */

	if (array == 0 || array > UINT64_MAX - distance - size)
		return -EFAULT;
	reader->stats.reads++;
	reader->reads_left -= reader->reads_left > 0;
	return reader->source->read(array + distance, bytes, size, reader->source->data);
}

/* Reads the block at `index` and those behind it, as many as there are. Their number or < 0. */
static int read_run(struct map_reader *reader, uint32_t index)
{
	uint32_t left = reader->places.block_count - index;
	uint32_t count = left < RUN_BLOCKS ? left : RUN_BLOCKS;
	int r = read_element(reader, reader->places.blocks_address, index, reader->run,
		count * sizeof(reader->run[0]), sizeof(reader->run[0]));

	if (r < 0 && count > 1) { /* the last ones may lie behind the worker's memory */
		count = 1;
		r = read_element(reader, reader->places.blocks_address, index, reader->run,
			sizeof(reader->run[0]), sizeof(reader->run[0]));
	}
	return r < 0 ? r : (int)count;
}

/* The stack's bytes, put together from their chain. */
static bool read_chain(struct map_reader *reader, uint32_t block, uint32_t size)
{
	uint32_t first = 0, count = 0;

	for (uint32_t at = 0; at < size; at += WIRE_BLOCK_BYTES) {
		if (block == 0 || block >= reader->places.block_count)
			return false;
		if (block - first >= count) {
			int r = read_run(reader, block);
			if (r < 0)
				return false;
			first = block;
			count = (uint32_t)r;
		}
		const struct wire_stack_block *here = &reader->run[block - first];
		memcpy(reader->bytes + at, here->bytes, WIRE_BLOCK_BYTES);
		/* relaxed: our copy */
		block = atomic_load_explicit(&here->next, memory_order_relaxed);
	}
	return true;
}

static bool read_stack(struct map_reader *reader, uint32_t reference, struct wire_birth *birth)
{
	uint8_t bytes[sizeof(struct wire_stack)];
	struct map_decode_stack stack;

	if (reference > reader->places.stack_count ||
		read_element(reader, reader->places.stacks_address, reference - 1, bytes,
			sizeof(bytes), sizeof(bytes)) < 0)
		return false;
	if (!map_decode_stack(bytes, &stack) || !read_chain(reader, stack.block, stack.bytes) ||
		!map_decode_frames(reader->bytes, stack.bytes, stack.frame_count, birth->frames))
		return false;
	birth->module_epoch = stack.module_epoch;
	birth->frame_count = stack.frame_count;
	birth->stop = stack.stop;
	birth->guessed = stack.guessed;
	return true;
}

static bool unchanged(struct map_reader *reader, uint64_t slot, const uint64_t words[6])
{
	uint64_t now[6];

	return read_element(reader, reader->places.map_address, slot, now, sizeof(now),
		       sizeof(now)) == 0 &&
	       memcmp(now, words, sizeof(now)) == 0;
}

static bool lives(enum map_decode_slot kind)
{
	return kind == MAP_DECODE_ANNOUNCED || kind == MAP_DECODE_SECRET;
}

/* Of the slice. */
static enum map_decode_slot decode(
	const struct map_reader *reader, uint32_t index, struct map_decode_entry *out)
{
	return map_decode_slot(reader->slots[index], reader->places.generation, out);
}

static void make_record(
	struct wire_birth *birth, const struct map_decode_entry *entry, bool announced)
{
	*birth = (struct wire_birth){
		.record = {.type = announced ? WIRE_LIVE : WIRE_BIRTH},
		.id = entry->id,
		.size_bytes = entry->size_bytes,
		.interval_bytes = entry->interval_bytes,
		.time_ns = entry->birth_ns,
		.address = entry->address,
		.tid = entry->tid,
	};
}

static void fill_stack(struct map_reader *reader, struct wire_birth *birth,
	const struct map_decode_entry *entry, bool wanted)
{
	bool read = false;

	if (wanted && entry->stack != 0) {
		read = read_stack(reader, entry->stack, birth);
		reader->stats.lost_stacks += !read;
	}
	if (!read) {
		birth->frame_count = 0;
		birth->record.flags = WIRE_STACK_NOT_KEPT;
	}
	birth->record.size =
		(uint32_t)(sizeof(*birth) + birth->frame_count * sizeof(birth->frames[0]));
}

/* The slice's slot at `index`, which lives. */
static void read_entry(struct map_reader *reader, uint32_t index, bool wanted, uint32_t epoch,
	struct buffer *records)
{
	struct wire_birth *birth = (void *)buffer_reserve(records, WIRE_RECORD_MAX);
	struct map_decode_entry entry;
	bool announced = decode(reader, index, &entry) == MAP_DECODE_ANNOUNCED;

	make_record(birth, &entry, announced);
	birth->epoch = epoch;
	fill_stack(reader, birth, &entry, wanted);
	/* `slots` is that of this one: it counts those behind us. */
	if (!unchanged(reader, reader->stats.slots, reader->slots[index])) {
		reader->stats.moved++;
		return;
	}
	records->size += birth->record.size;
	reader->stats.found++;
	reader->stats.secret += !announced;
}

int map_reader_look(
	struct map_reader *reader, uint32_t levels, const uint64_t **ids, uint32_t *count)
{
	struct map_decode_entry entry;
	uint64_t first = reader->stats.slots;

	*ids = reader->ids;
	*count = reader->looked = 0;
	if (levels < 1 || levels > WIRE_MAP_MAX_LEVELS)
		return -EBADMSG;
	reader->reads_left = MAX_READS;
	reader->stats.slots_in_all = map_decode_slots(levels);
	if (first >= reader->stats.slots_in_all)
		return 0;
	uint64_t left = reader->stats.slots_in_all - first;
	uint32_t looked = left < MAP_READER_SLOTS ? (uint32_t)left : MAP_READER_SLOTS;
	int r = read_element(reader, reader->places.map_address, first, reader->slots,
		looked * sizeof(reader->slots[0]), sizeof(reader->slots[0]));
	if (r < 0)
		return r;
	reader->looked = looked;
	for (uint32_t i = 0; i < looked; i++)
		if (lives(decode(reader, i, &entry)))
			reader->ids[(*count)++] = entry.id;
	return 0;
}

int map_reader_read(struct map_reader *reader, const uint8_t *wanted, uint32_t epoch, size_t room,
	struct buffer *records)
{
	size_t begin = records->size;

	for (uint32_t i = 0, live = 0; i < reader->looked; i++) {
		struct map_decode_entry entry;
		enum map_decode_slot kind = decode(reader, i, &entry);

		if (reader->reads_left == 0 || records->size - begin + WIRE_RECORD_MAX > room)
			return 1;
		if (lives(kind)) {
			bool stack = wanted[live / 8] >> live % 8 & 1;
			live++;
			read_entry(reader, i, stack, epoch, records);
		}
		reader->stats.moved += kind == MAP_DECODE_NONSENSE;
		reader->stats.slots++;
	}
	return reader->stats.slots < reader->stats.slots_in_all;
}

void map_reader_stats(const struct map_reader *reader, struct map_reader_stats *out)
{
	*out = reader->stats;
}
