/*
 * The decoder follows table 3-7 of the Unicode standard: the range of the second byte depends on
 * the first, which rules out overlong forms, surrogates and values past U+10FFFF in one comparison.
 */
#include "export/utf8.h"
#include "base/buffer.h"

struct lead {
	uint8_t more;	   /* continuation bytes */
	uint8_t low, high; /* range of the first of them */
};

static struct lead classify(uint8_t byte)
{
	if (byte >= 0xc2 && byte <= 0xdf)
		return (struct lead){1, 0x80, 0xbf};
	if (byte >= 0xe0 && byte <= 0xef)
		return (struct lead){2, byte == 0xe0 ? 0xa0 : 0x80, byte == 0xed ? 0x9f : 0xbf};
	if (byte >= 0xf0 && byte <= 0xf4)
		return (struct lead){3, byte == 0xf0 ? 0x90 : 0x80, byte == 0xf4 ? 0x8f : 0xbf};
	return (struct lead){0};
}

uint32_t utf8_next(const char **at)
{
	const uint8_t *p = (const uint8_t *)*at;
	uint8_t byte = *p;
	if (!byte)
		return 0;
	*at += 1;
	if (byte < 0x80)
		return byte;
	struct lead lead = classify(byte);
	if (!lead.more)
		return UTF8_REPLACEMENT;
	uint32_t c = byte & (0x3fu >> lead.more);
	for (int i = 1; i <= lead.more; i++) {
		uint8_t low = i == 1 ? lead.low : 0x80, high = i == 1 ? lead.high : 0xbf;
		if (p[i] < low || p[i] > high)
			return UTF8_REPLACEMENT;
		c = c << 6 | (p[i] & 0x3f);
		*at += 1;
	}
	return c;
}

bool utf8_is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c <= 0x9f) || c == 0x61c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

void utf8_append(struct buffer *out, uint32_t c)
{
	if (c < 0x80) {
		buffer_putc(out, (char)c);
		return;
	}
	int more = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
	static const uint8_t marks[] = {0, 0xc0, 0xe0, 0xf0};
	buffer_putc(out, (char)(marks[more] | c >> 6 * more));
	while (more-- > 0)
		buffer_putc(out, (char)(0x80 | (c >> 6 * more & 0x3f)));
}

void utf8_append_shown(struct buffer *out, const char *s)
{
	for (uint32_t c; (c = utf8_next(&s));)
		utf8_append(out, utf8_is_control(c) ? '?' : c);
}

void utf8_append_ascii(struct buffer *out, const char *s)
{
	for (uint32_t c; (c = utf8_next(&s));) {
		if (c >= 0x80)
			buffer_printf(out, "\\u{%x}", c);
		else if (utf8_is_control(c))
			buffer_printf(out, "\\x%02x", c);
		else
			buffer_putc(out, (char)c);
	}
}
