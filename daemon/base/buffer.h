/*
 * A growing byte buffer. Not thread-safe. Allocation failure ends the process (base/alloc.h): a
 * daemon that cannot get a few KiB cannot serve, and its workers do not need it to live.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdarg.h>

struct buffer {
	uint8_t *data; /* owns; NULL while empty */
	size_t size;
	size_t capacity;
};

#define BUFFER_INIT ((struct buffer){0})

void buffer_deinit(struct buffer *b);
void buffer_clear(struct buffer *b); /* size 0, memory kept */
uint8_t *buffer_reserve(
	struct buffer *b, size_t more); /* room for `more` bytes at the end; size unchanged */
void buffer_append(struct buffer *b, const void *bytes, size_t size);
void buffer_puts(struct buffer *b, const char *s);
void buffer_putc(struct buffer *b, char c);
void buffer_printf(struct buffer *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buffer_vprintf(struct buffer *b, const char *format, va_list args);
/* Hands the bytes over (caller frees); the buffer is empty after. */
uint8_t *buffer_take(struct buffer *b, size_t *size);
