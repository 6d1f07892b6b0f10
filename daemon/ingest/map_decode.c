/*
 * A slot is six words that were not copied at one instant. What is decoded from them holds only if
 * they are found unchanged afterwards, which is the caller's to check.
 */
#include "config.h"
#include "ingest/map_decode.h"
#include <string.h>
#include "ingest/record_decode.h"

_Static_assert(sizeof(struct wire_slot) == 6 * sizeof(uint64_t), "a slot is six words");

enum { KEY, ID_MARK, SIZE, INTERVAL, BIRTH, META };

uint64_t map_decode_slots(uint32_t levels)
{
	if (levels > WIRE_MAP_MAX_LEVELS)
		return 0;
	return ((UINT64_C(1) << levels) - 1) << WIRE_MAP_LEVEL0_BITS;
}

/* A BUSY one with a mark is a death that has not been told yet. */
static bool lives(const uint64_t *words, bool announced)
{
	uint64_t tag = words[KEY] & WIRE_SLOT_TAG_MASK;

	if (words[ID_MARK] >> WIRE_SLOT_MARK_BITS == 0)
		return false;
	return tag == WIRE_SLOT_FINAL || tag == WIRE_SLOT_LIMBO || announced;
}

static bool plausible(uint64_t bytes)
{
	return bytes > 0 && bytes <= RECORD_DECODE_MAX_BYTES;
}

enum map_decode_slot map_decode_slot(
	const uint64_t words[6], uint32_t generation, struct map_decode_entry *out)
{
	uint64_t mark = words[ID_MARK] & WIRE_SLOT_MARK_MASK;
	bool announced = mark != 0 && mark == (generation & WIRE_SLOT_MARK_MASK);

	if (!lives(words, announced))
		return MAP_DECODE_NONE;
	if (!plausible(words[SIZE]) || !plausible(words[INTERVAL]))
		return MAP_DECODE_NONSENSE;
	*out = (struct map_decode_entry){
		.id = words[ID_MARK] >> WIRE_SLOT_MARK_BITS,
		.address = words[KEY] >> 3,
		.size_bytes = words[SIZE],
		.interval_bytes = words[INTERVAL],
		.birth_ns = words[BIRTH],
		.tid = (uint32_t)words[META],
		.stack = (uint32_t)(words[META] >> 32),
	};
	return announced ? MAP_DECODE_ANNOUNCED : MAP_DECODE_SECRET;
}

bool map_decode_stack(const uint8_t bytes[sizeof(struct wire_stack)], struct map_decode_stack *out)
{
	struct wire_stack stack;

	memcpy(&stack, bytes, sizeof(stack));
	*out = (struct map_decode_stack){
		.module_epoch = stack.module_epoch,
		.block = stack.block,
		.bytes = stack.bytes,
		.frame_count = stack.frame_count,
		.stop = stack.stop,
		.guessed = stack.guessed,
	};
	return out->frame_count <= WIRE_MAX_FRAMES && out->stop < WIRE_STOP_KINDS &&
	       out->bytes >= out->frame_count &&
	       out->bytes <= (uint32_t)out->frame_count * MAP_DECODE_MAX_FRAME;
}

/* The bytes it took. 0: there are not so many, and what there is is no frame's. */
static size_t decode_number(const uint8_t *bytes, size_t size, uint64_t *out)
{
	uint64_t word = 0;
	size_t count = size > 0 ? (bytes[0] & WIRE_NUMBER_MORE) + 1u : 0;

	if (count > size)
		count = 0;
	for (size_t i = 0; i < count; i++)
		word |= (uint64_t)bytes[i] << 8 * i;
	*out = word >> WIRE_NUMBER_SHIFT;
	return count;
}

bool map_decode_frames(const uint8_t *bytes, size_t size, uint16_t count, uint64_t *frames)
{
	uint64_t last[] = {0, WIRE_FRAME_PYTHON}, number = 0;
	unsigned kind = 0;
	size_t at = 0;

	for (uint16_t i = 0; i < count; i++) {
		at += decode_number(bytes + at, size - at, &number);
		if (number == WIRE_NUMBER_OTHER_KIND) {
			kind ^= 1;
			at += decode_number(bytes + at, size - at, &number);
		}
		if (number == WIRE_NUMBER_OTHER_KIND)
			return false;
		number--;
		last[kind] += (number >> 1) ^ -(number & 1);
		frames[i] = last[kind];
	}
	return at == size;
}
