/*
 * Reading the numbers of DWARF from hostile memory. A cursor never leaves [at, end); a read that
 * would gives 0 and breaks the cursor for good, so that one check can stand where it matters:
 * before a value is used to find more data, and before a row is believed. For eh_frame and cfi
 * alone; no state, any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct cursor {
	const uint8_t *at, *end; /* both NULL: broken */
};

/* Pointer encodings: the format in the low bits, what it is relative to in the high ones. */
enum {
	CURSOR_ENC_ABSOLUTE = 0x00,
	CURSOR_ENC_ULEB = 0x01,
	CURSOR_ENC_U16 = 0x02,
	CURSOR_ENC_U32 = 0x03,
	CURSOR_ENC_U64 = 0x04,
	CURSOR_ENC_SLEB = 0x09,
	CURSOR_ENC_S16 = 0x0a,
	CURSOR_ENC_S32 = 0x0b,
	CURSOR_ENC_S64 = 0x0c,
	CURSOR_ENC_FORMAT_BITS = 0x0f,
	CURSOR_ENC_PC_RELATIVE = 0x10,
	CURSOR_ENC_HEADER_RELATIVE = 0x30,
};

static inline bool cursor_is_broken(const struct cursor *c)
{
	return !c->at;
}

static inline void cursor_break(struct cursor *c)
{
	c->at = c->end = 0;
}

/* The next `size` bytes, NULL if there are fewer. */
static inline const uint8_t *cursor_take(struct cursor *c, uint64_t size)
{
	const uint8_t *bytes = c->at;
	if (!bytes || (uint64_t)(c->end - bytes) < size) {
		cursor_break(c);
		return 0;
	}
	c->at += size;
	return bytes;
}

static inline uint8_t cursor_read_u8(struct cursor *c)
{
	const uint8_t *bytes = cursor_take(c, 1);
	return bytes ? *bytes : 0;
}

uint16_t cursor_read_u16(struct cursor *c);
uint32_t cursor_read_u32(struct cursor *c);
uint64_t cursor_read_u64(struct cursor *c);

/* Variable length (LEB128). Bits beyond the 64th are dropped, numbers padded beyond them are
 * broken. */
uint64_t cursor_read_uleb(struct cursor *c);
int64_t cursor_read_sleb(struct cursor *c);

/* A number in one of the formats; sign-extended where it is signed. */
uint64_t cursor_read_format(struct cursor *c, uint8_t format);

/* An absolute or pc-relative pointer; other relations, and indirect ones, are broken. */
uintptr_t cursor_read_pointer(struct cursor *c, uint8_t encoding);

/* A size and as many bytes: a cursor over those. */
struct cursor cursor_read_block(struct cursor *c);
