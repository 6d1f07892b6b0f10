/* Only compact strings have their characters behind them; before 3.12 there were others, made by old extensions. */
#include "python/unicode.h"
#include <stddef.h>
#include "python/layout.h"

#define REPLACEMENT 0xfffdu

bool unicode_of(const struct layout *layout, const char *object, struct unicode *out)
{
	uint32_t state = *(const uint32_t *)(object + layout->string_state) >> layout->kind_shift;
	uint8_t kind = state & 7;
	bool compact = state >> 3 & 1, ascii = state >> 4 & 1;
	uint64_t length = *(const uint64_t *)(object + layout->string_length);

	*out = (struct unicode){.kind = 1};
	if (!compact || (kind != 1 && kind != 2 && kind != 4) || length > INT64_MAX / 4)
		return false;
	out->data =
		(const uint8_t *)object + (ascii ? layout->string_ascii : layout->string_compact);
	out->length = length;
	out->kind = kind;
	return true;
}

static uint32_t character(const struct unicode *text, uint64_t i)
{
	uint32_t c = text->kind == 1   ? text->data[i]
		     : text->kind == 2 ? ((const uint16_t *)(const void *)text->data)[i]
				       : ((const uint32_t *)(const void *)text->data)[i];

	return (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ? REPLACEMENT : c;
}

static uint32_t encoded_bytes(uint32_t c)
{
	return c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
}

uint64_t unicode_head(const struct unicode *text, uint32_t max_bytes, uint32_t *bytes)
{
	uint64_t i = 0;
	uint32_t size;

	for (*bytes = 0; i < text->length; i++, *bytes += size) {
		size = encoded_bytes(character(text, i));
		if (*bytes + size > max_bytes)
			break;
	}
	return i;
}

uint64_t unicode_tail(const struct unicode *text, uint32_t max_bytes, uint32_t *bytes)
{
	uint64_t i = text->length;
	uint32_t size;

	for (*bytes = 0; i > 0; i--, *bytes += size) {
		size = encoded_bytes(character(text, i - 1));
		if (*bytes + size > max_bytes)
			break;
	}
	return text->length - i;
}

static uint8_t *encode(uint32_t c, uint8_t *out)
{
	static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
	uint32_t size = encoded_bytes(c);

	if (size == 1) {
		*out = (uint8_t)c;
		return out + 1;
	}
	*out = (uint8_t)(lead[size] | c >> 6 * (size - 1));
	for (uint32_t i = 1; i < size; i++)
		out[i] = (uint8_t)(0x80 | (c >> 6 * (size - 1 - i) & 0x3f));
	return out + size;
}

void unicode_encode(const struct unicode *text, uint64_t from, uint64_t to, uint8_t *out)
{
	for (uint64_t i = from; i < to; i++)
		out = encode(character(text, i), out);
}
