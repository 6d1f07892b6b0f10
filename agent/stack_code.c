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

_Static_assert(
	__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are copied as they lie in memory");

#define unlikely(x) __builtin_expect(!!(x), 0)

struct cursor {
	const struct stack_code *code;
	uint8_t *at, *end; /* in the block */
	uint32_t block;
};

/* What the next frame is counted from: the last of its kind. */
struct last {
	uint64_t same, other;
	bool is_python;
};

static inline struct last first_frames(void)
{
	return (struct last){.same = 0, .other = WIRE_FRAME_PYTHON};
}

static inline void change_kind(struct last *last)
{
	uint64_t same = last->same;

	last->same = last->other;
	last->other = same;
	last->is_python = !last->is_python;
}

/* At most 61 bits, whatever is given. */
static uint64_t number_of(uint64_t delta)
{
	uint64_t number = (delta << 1 ^ (uint64_t)((int64_t)delta >> 63)) + 1;

	return number & UINT64_MAX >> WIRE_NUMBER_SHIFT;
}

static uint64_t delta_of(uint64_t number)
{
	number--;
	return number >> 1 ^ -(number & 1);
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

static uint8_t next_byte(struct cursor *c)
{
	if (c->at == c->end)
		enter(c, next_block(c));
	return *c->at++;
}

static __attribute__((noinline)) uint64_t read_at_end(struct cursor *c)
{
	uint64_t word = next_byte(c);

	for (unsigned i = 1; i <= (word & WIRE_NUMBER_MORE); i++)
		word |= (uint64_t)next_byte(c) << 8 * i;
	return word >> WIRE_NUMBER_SHIFT;
}

static inline uint64_t read_number(struct cursor *c)
{
	uint64_t word;

	if (unlikely(c->end - c->at < 8))
		return read_at_end(c);
	memcpy(&word, c->at, sizeof word);
	unsigned more = word & WIRE_NUMBER_MORE, others = 56 - 8 * more;

	c->at += more + 1;
	return word << others >> others >> WIRE_NUMBER_SHIFT;
}

/* Compares with `wanted`, or if that is NULL writes to `out`. One body, two functions: which one it
 * is, is known where it is called. */
static inline __attribute__((always_inline)) bool each_frame(
	const struct stack_code *code, const uint64_t *wanted, uint64_t *out, uint32_t count)
{
	struct cursor cursor = {.code = code};
	struct last last = first_frames();

	enter(&cursor, code->first);
	for (uint32_t i = 0; i < count; i++) {
		uint64_t number = read_number(&cursor);

		if (unlikely(number == WIRE_NUMBER_OTHER_KIND)) {
			change_kind(&last);
			number = read_number(&cursor);
		}
		last.same += delta_of(number);
		if (!wanted)
			out[i] = last.same;
		else if (last.same != wanted[i])
			return false;
	}
	return true;
}

/* 8 bytes, of which the first ones are its own: it ends before as many frames' room does. Returns where the next one
 * begins. */
static inline uint8_t *put_number(uint8_t *at, uint64_t number)
{
	uint32_t bits = 64 - (uint32_t)__builtin_clzll(number | 1);
	uint32_t more = (bits + WIRE_NUMBER_SHIFT - 1) / 8;
	uint64_t word = number << WIRE_NUMBER_SHIFT | more;

	memcpy(at, &word, sizeof word);
	return at + more + 1;
}

uint32_t stack_code_encode(const uint64_t *frames, uint32_t count, uint8_t *bytes)
{
	struct last last = first_frames();
	uint8_t *at = bytes;

	for (uint32_t i = 0; i < count; i++) {
		if (unlikely(wire_frame_is_python(frames[i]) != last.is_python)) {
			change_kind(&last);
			at = put_number(at, WIRE_NUMBER_OTHER_KIND);
		}
		at = put_number(at, number_of(frames[i] - last.same));
		last.same = frames[i];
	}
	return (uint32_t)(at - bytes);
}

void stack_code_store(const struct stack_code *code, const uint8_t *bytes, uint32_t size)
{
	struct cursor cursor = {.code = code};

	enter(&cursor, code->first);
	for (uint32_t at = 0; at < size; at += WIRE_BLOCK_BYTES) {
		uint32_t left = size - at;

		if (at > 0)
			enter(&cursor, next_block(&cursor));
		memcpy(cursor.at, bytes + at, left < WIRE_BLOCK_BYTES ? left : WIRE_BLOCK_BYTES);
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
