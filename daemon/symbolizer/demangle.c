/*
 * A mangled name of a few hundred bytes can describe terabytes of text, each back-reference
 * doubling what came before. libiberty's callback interface keeps all of its state on the stack and
 * has no way to stop, so the callback leaves by longjmp as soon as the room is used up.
 */
#include "symbolizer/demangle.h"
#include <setjmp.h>
#include <stdbool.h>
#include <string.h>
#include <libiberty/demangle.h>

/* The longest name handed to the demangler, whose stack use grows with it. */
#define MAX_MANGLED 8192

struct sink {
	char *out;
	size_t room; /* the final NUL aside */
	size_t used;
	jmp_buf full;
};

static void sink_write(const char *bytes, size_t size, void *opaque)
{
	struct sink *sink = opaque;
	size_t left = sink->room - sink->used;
	memcpy(sink->out + sink->used, bytes, size < left ? size : left);
	sink->used += size < left ? size : left;
	if (size > left)
		longjmp(sink->full, 1);
}

/* How much of a cut text is whole UTF-8 characters. */
static size_t whole_characters(const char *text, size_t size)
{
	size_t tail = 0; /* continuation bytes at the end */
	while (tail < 3 && tail < size && ((unsigned char)text[size - 1 - tail] & 0xc0) == 0x80)
		tail++;
	if (tail == size)
		return size;
	unsigned char lead = (unsigned char)text[size - 1 - tail];
	size_t wanted = lead >= 0xf0 ? 3 : lead >= 0xe0 ? 2 : lead >= 0xc0 ? 1 : 0;
	return wanted > tail ? size - tail - 1 : size;
}

static size_t finish(struct sink *sink, bool cut)
{
	if (cut)
		sink->used = whole_characters(sink->out, sink->used);
	sink->out[sink->used] = '\0';
	return sink->used;
}

static size_t copy_plain(const char *symbol, size_t size, struct sink *sink)
{
	sink->used = size < sink->room ? size : sink->room;
	memcpy(sink->out, symbol, sink->used);
	return finish(sink, size > sink->room);
}

enum outcome { NOT_MANGLED, WHOLE, CUT };

/* Rust's first: its older mangling is valid C++, but with a hash for the last name. */
static enum outcome demangle_into(const char *mangled, struct sink *sink)
{
	const int options = DMGL_PARAMS | DMGL_ANSI;
	if (setjmp(sink->full))
		return CUT;
	if (rust_demangle_callback(mangled, options, sink_write, sink))
		return WHOLE;
	sink->used = 0;
	return cplus_demangle_v3_callback(mangled, options, sink_write, sink) ? WHOLE : NOT_MANGLED;
}

size_t demangle_name(const char *symbol, char *out, size_t room)
{
	if (!room)
		return 0;
	struct sink sink = {.out = out, .room = room - 1};
	size_t size = strcspn(symbol, "@");
	if (symbol[0] != '_' || size >= MAX_MANGLED)
		return copy_plain(symbol, size, &sink);
	char mangled[MAX_MANGLED];
	memcpy(mangled, symbol, size);
	mangled[size] = '\0';
	enum outcome outcome = demangle_into(mangled, &sink);
	if (outcome == NOT_MANGLED)
		return copy_plain(symbol, size, &sink);
	return finish(&sink, outcome == CUT);
}
