/*
 * Strings of CPython as UTF-8. Reads immutable memory that somebody keeps alive; pure, any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct layout;

struct unicode {
	const uint8_t *data;
	uint64_t length; /* in characters */
	uint8_t kind;	 /* bytes of each: 1, 2 or 4 */
};

/* False, and empty: a string of another form, which is none that names code. */
bool unicode_of(const struct layout *layout, const char *object, struct unicode *out);
/* How many characters from the beginning, or from the end, have room in max_bytes; *bytes is what they take. */
uint64_t unicode_head(const struct unicode *text, uint32_t max_bytes, uint32_t *bytes);
uint64_t unicode_tail(const struct unicode *text, uint32_t max_bytes, uint32_t *bytes);
/* Characters [from, to) to `out`, which has room. What is no character (a lone surrogate stands for a byte that could
 * not be decoded) becomes U+FFFD. */
void unicode_encode(const struct unicode *text, uint64_t from, uint64_t to, uint8_t *out);
