/*
 * Text that crosses to a person or a foreign tool: names come from binaries and workers, so they
 * may hold invalid UTF-8, terminal escape sequences and line breaks. Pure; any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct buffer;

#define UTF8_REPLACEMENT 0xfffdu

/* The next code point, 0 at the NUL. Ill-formed bytes give UTF8_REPLACEMENT, one per maximal
 * subpart (Unicode 15, section 3.9, "U+FFFD substitution of maximal subparts"). */
uint32_t utf8_next(const char **at);
/* True for what must not reach a terminal or a line-based file as it is: C0, DEL and C1 controls,
 * line and paragraph separators, and the characters that reorder text. */
bool utf8_is_control(uint32_t c);
void utf8_append(struct buffer *out, uint32_t c);
/* Valid UTF-8 on one line: a control becomes '?'. */
void utf8_append_shown(struct buffer *out, const char *s);
/* ASCII on one line: a control below 0x80 becomes \x1b, anything from 0x80 on \u{e9}. */
void utf8_append_ascii(struct buffer *out, const char *s);
