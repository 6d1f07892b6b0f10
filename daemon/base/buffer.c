/* Capacity doubles, so n appended bytes cost O(n). */
#include "base/buffer.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"

#define MIN_CAPACITY 64u

void buffer_deinit(struct buffer *b)
{
	free(b->data);
	*b = BUFFER_INIT;
}

void buffer_clear(struct buffer *b)
{
	b->size = 0;
}

uint8_t *buffer_reserve(struct buffer *b, size_t more)
{
	if (!b->data || more > b->capacity - b->size) {
		size_t needed, capacity = b->capacity < MIN_CAPACITY ? MIN_CAPACITY : b->capacity;
		/* a saturated size is one that alloc_resize refuses */
		if (__builtin_add_overflow(b->size, more, &needed))
			needed = SIZE_MAX;
		while (capacity < needed)
			capacity = capacity > SIZE_MAX / 2 ? SIZE_MAX : capacity * 2;
		b->data = alloc_resize(b->data, capacity, 1);
		b->capacity = capacity;
	}
	return b->data + b->size;
}

void buffer_append(struct buffer *b, const void *bytes, size_t size)
{
	if (!size)
		return;
	memcpy(buffer_reserve(b, size), bytes, size);
	b->size += size;
}

void buffer_puts(struct buffer *b, const char *s)
{
	buffer_append(b, s, strlen(s));
}

void buffer_putc(struct buffer *b, char c)
{
	buffer_append(b, &c, 1);
}

void buffer_printf(struct buffer *b, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	buffer_vprintf(b, format, args);
	va_end(args);
}

void buffer_vprintf(struct buffer *b, const char *format, va_list args)
{
	va_list again;
	va_copy(again, args);
	size_t room = b->capacity - b->size;
	int length = vsnprintf(room ? (char *)b->data + b->size : NULL, room, format, args);
	if (length >= 0 && (size_t)length >= room) {
		/* vsnprintf needs one byte more, for the NUL that is not ours to keep */
		char *end = (char *)buffer_reserve(b, (size_t)length + 1);
		length = vsnprintf(end, (size_t)length + 1, format, again);
	}
	va_end(again);
	if (length > 0)
		b->size += (size_t)length;
}

uint8_t *buffer_take(struct buffer *b, size_t *size)
{
	uint8_t *data = b->data;
	*size = b->size;
	*b = BUFFER_INIT;
	return data;
}
