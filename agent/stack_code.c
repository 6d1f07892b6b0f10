/*
 * Numbers follow each other without regard to the blocks' ends, so that whoever decodes them
 * elsewhere may put the blocks together first. Here the 8 bytes at a number are looked at at once
 * where a block has as many left; the number at its end, which may go on in the next block, is read
 * byte by byte.
 */
#include "stack_code.h"
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#define LEB_MORE UINT64_C(0x8080808080808080)

struct cursor {
	const struct stack_code *code;
	uint8_t *at, *end; /* in the block */
	uint32_t block;
};

static uint64_t zigzag(uint64_t delta)
{
	return delta << 1 ^ (uint64_t)((int64_t)delta >> 63);
}

static uint64_t unzigzag(uint64_t number)
{
	return number >> 1 ^ -(number & 1);
}

static uint32_t leb_bytes(uint64_t number)
{
	uint32_t bits = 64 - (uint32_t)__builtin_clzll(number | 1);

	return (bits * 9 + 64) / 64; /* bits / 7, rounded up, for 1 … 64 */
}

static inline void enter(struct cursor *c, uint32_t block)
{
	c->block = block < c->code->block_count ? block : 0;
	c->at = c->code->blocks[c->block].bytes;
	c->end = c->at + WIRE_BLOCK_BYTES;
}

static uint32_t next_block(const struct cursor *c)
{
	/* relaxed: published with the stack that the chain belongs to. */
	return atomic_load_explicit(&c->code->blocks[c->block].next, memory_order_relaxed);
}

/* Any number; the one that goes on in the next block as well. */
static __attribute__((noinline)) uint64_t read_slowly(struct cursor *c)
{
	uint64_t number = 0;

	for (unsigned shift = 0; shift < 70; shift += 7) {
		if (c->at == c->end)
			enter(c, next_block(c));
		uint64_t byte = *c->at++;

		number |= (byte & 0x7f) << shift;
		if (byte < 0x80)
			break;
	}
	return number;
}

/* The number in the lowest bytes of `word` that `stop` ends: its lowest bit set is the first bit 7
 * that is clear in `word`. */
static inline uint64_t unpack(uint64_t word, uint64_t stop)
{
	word &= stop ^ (stop - 1);
	word = (word & UINT64_C(0x007f007f007f007f)) | (word & UINT64_C(0x7f007f007f007f00)) >> 1;
	word = (word & UINT64_C(0x00003fff00003fff)) | (word & UINT64_C(0x3fff00003fff0000)) >> 2;
	return (word & UINT64_C(0x0fffffff)) | (word & UINT64_C(0x0fffffff00000000)) >> 4;
}

/* A number of at most 8 bytes; NULL: longer. Returns where the next one begins. */
static inline const uint8_t *read_quickly(const uint8_t *at, uint64_t *number)
{
	uint64_t word, stop;

	memcpy(&word, at, sizeof word);
	/* Within a module, 3 bytes as a rule. */
	if ((word & 0x808080) == 0x8080) {
		*number = (word & 0x7f) | (word >> 1 & 0x3f80) | (word >> 2 & 0x1fc000);
		return at + 3;
	}
	stop = ~word & LEB_MORE;
	if (stop == 0)
		return NULL;
	*number = unpack(word, stop);
	return at + (unsigned)__builtin_ctzll(stop) / 8 + 1;
}

/* Compares with `wanted`, or if that is NULL writes to `out`. One body, two functions: which one it
 * is, is known where it is called. */
static inline __attribute__((always_inline)) bool each_frame(
	const struct stack_code *code, const uint64_t *wanted, uint64_t *out, uint32_t count)
{
	const bool quick = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__;
	struct cursor cursor = {.code = code};
	const uint8_t *at, *next, *limit;
	uint64_t frame = 0, number;

	enter(&cursor, code->first);
	at = cursor.at;
	limit = cursor.end - 8;
	for (uint32_t i = 0; i < count; i++) {
		if (quick && at <= limit && (next = read_quickly(at, &number))) {
			at = next;
		} else {
			cursor.at = (uint8_t *)at;
			number = read_slowly(&cursor);
			at = cursor.at;
			limit = cursor.end - 8;
		}
		frame += unzigzag(number);
		if (!wanted)
			out[i] = frame;
		else if (frame != wanted[i])
			return false;
	}
	return true;
}

uint32_t stack_code_bytes(const uint64_t *frames, uint32_t count)
{
	uint64_t previous = 0;
	uint32_t bytes = 0;

	for (uint32_t i = 0; i < count; i++) {
		bytes += leb_bytes(zigzag(frames[i] - previous));
		previous = frames[i];
	}
	return bytes;
}

static void write_number(struct cursor *c, uint64_t number)
{
	for (bool more = true; more; number >>= 7) {
		more = number > 0x7f;
		if (c->at == c->end)
			enter(c, next_block(c));
		*c->at++ = (uint8_t)((number & 0x7f) | (more ? 0x80 : 0));
	}
}

void stack_code_write(const struct stack_code *code, const uint64_t *frames, uint32_t count)
{
	struct cursor cursor = {.code = code};
	uint64_t previous = 0;

	enter(&cursor, code->first);
	for (uint32_t i = 0; i < count; i++) {
		write_number(&cursor, zigzag(frames[i] - previous));
		previous = frames[i];
	}
}

bool stack_code_equals(const struct stack_code *code, const uint64_t *frames, uint32_t count)
{
	return each_frame(code, frames, NULL, count);
}

void stack_code_read(const struct stack_code *code, uint64_t *frames, uint32_t count)
{
	each_frame(code, NULL, frames, count);
}
