/* The one place that turns mapped bytes into numbers: every access goes through cursor_take(). */
#include "unwind/cursor.h"

uint16_t cursor_read_u16(struct cursor *c)
{
	uint16_t value = 0;
	const uint8_t *bytes = cursor_take(c, sizeof(value));
	if (bytes)
		__builtin_memcpy(&value, bytes, sizeof(value));
	return value;
}

uint32_t cursor_read_u32(struct cursor *c)
{
	uint32_t value = 0;
	const uint8_t *bytes = cursor_take(c, sizeof(value));
	if (bytes)
		__builtin_memcpy(&value, bytes, sizeof(value));
	return value;
}

uint64_t cursor_read_u64(struct cursor *c)
{
	uint64_t value = 0;
	const uint8_t *bytes = cursor_take(c, sizeof(value));
	if (bytes)
		__builtin_memcpy(&value, bytes, sizeof(value));
	return value;
}

static uint64_t read_leb(struct cursor *c, bool is_signed)
{
	uint64_t value = 0;
	unsigned shift = 0;
	uint8_t byte;
	do {
		if (shift >= 70) { /* ten bytes hold 64 bits; this bounds the work, too */
			cursor_break(c);
			return 0;
		}
		byte = cursor_read_u8(c);
		if (shift < 64)
			value |= (uint64_t)(byte & 0x7f) << shift;
		shift += 7;
	} while (byte & 0x80);
	if (is_signed && shift < 64 && (byte & 0x40))
		value |= ~(uint64_t)0 << shift;
	return value;
}

uint64_t cursor_read_uleb(struct cursor *c)
{
	return read_leb(c, false);
}

int64_t cursor_read_sleb(struct cursor *c)
{
	return (int64_t)read_leb(c, true);
}

uint64_t cursor_read_format(struct cursor *c, uint8_t format)
{
	switch (format) {
	case CURSOR_ENC_ABSOLUTE:
	case CURSOR_ENC_U64:
	case CURSOR_ENC_S64:
		return cursor_read_u64(c);
	case CURSOR_ENC_U32:
		return cursor_read_u32(c);
	case CURSOR_ENC_S32:
		return (uint64_t)(int64_t)(int32_t)cursor_read_u32(c);
	case CURSOR_ENC_U16:
		return cursor_read_u16(c);
	case CURSOR_ENC_S16:
		return (uint64_t)(int64_t)(int16_t)cursor_read_u16(c);
	case CURSOR_ENC_ULEB:
		return cursor_read_uleb(c);
	case CURSOR_ENC_SLEB:
		return (uint64_t)cursor_read_sleb(c);
	}
	cursor_break(c);
	return 0;
}

uintptr_t cursor_read_pointer(struct cursor *c, uint8_t encoding)
{
	uintptr_t here = (uintptr_t)c->at;
	uintptr_t value = cursor_read_format(c, encoding & CURSOR_ENC_FORMAT_BITS);
	switch (encoding & ~CURSOR_ENC_FORMAT_BITS) {
	case CURSOR_ENC_ABSOLUTE:
		return value;
	case CURSOR_ENC_PC_RELATIVE:
		return value + here;
	}
	cursor_break(c);
	return 0;
}

struct cursor cursor_read_block(struct cursor *c)
{
	uint64_t size = cursor_read_uleb(c);
	const uint8_t *bytes = cursor_take(c, size);
	return (struct cursor){bytes, bytes ? bytes + size : 0};
}
