/* Every field is read up to its separator or the line's end, whichever comes first; nothing is
 * assumed to follow. */
#include "config.h"
#include "server/maps_text.h"
#include <errno.h>
#include <string.h>
#include <sys/sysmacros.h>

#define NEWLINE_ESCAPE	    "\\012" /* the only one: seq_path(m, path, "\n") in fs/proc/task_mmu.c */
#define NEWLINE_ESCAPE_SIZE 4

static int digit(char c, unsigned base)
{
	unsigned value = 16;

	if (c >= '0' && c <= '9')
		value = (unsigned)(c - '0');
	else if (c >= 'a' && c <= 'f')
		value = (unsigned)(c - 'a') + 10;
	return value < base ? (int)value : -1;
}

/* A number and the separator behind it, if the line goes on; what must follow will be missed there.
 */
static bool take_number(struct maps_text *line, unsigned base, char separator, uint64_t *out)
{
	uint64_t value = 0;
	const char *begin = line->at;

	while (line->at < line->end && digit(*line->at, base) >= 0) {
		if (__builtin_mul_overflow(value, base, &value) ||
			__builtin_add_overflow(value, (uint64_t)digit(*line->at, base), &value))
			return false;
		line->at++;
	}
	*out = value;
	if (line->at == begin)
		return false;
	return line->at == line->end || *line->at++ == separator;
}

static bool take_permissions(struct maps_text *line, bool *executable)
{
	const char *p = line->at;

	if (line->end - p < 5 || p[4] != ' ')
		return false;
	if (p[2] != 'x' && p[2] != '-')
		return false;
	*executable = p[2] == 'x';
	line->at += 5;
	return true;
}

static bool parse(struct maps_text line, struct maps_line *out)
{
	uint64_t major, minor, inode, file_end;

	if (!take_number(&line, 16, '-', &out->start) || !take_number(&line, 16, ' ', &out->end) ||
		!take_permissions(&line, &out->executable) ||
		!take_number(&line, 16, ' ', &out->file_offset) ||
		!take_number(&line, 16, ':', &major) || !take_number(&line, 16, ' ', &minor) ||
		!take_number(&line, 10, ' ', &inode))
		return false;
	if (out->start >= out->end ||
		__builtin_add_overflow(out->file_offset, out->end - out->start, &file_end))
		return false;
	if (major > UINT32_MAX || minor > UINT32_MAX)
		return false;
	while (line.at < line.end && *line.at == ' ')
		line.at++;

	out->device = makedev((unsigned)major, (unsigned)minor);
	out->inode = (ino_t)inode;
	out->path = line.at;
	out->path_size = (size_t)(line.end - line.at);
	return !memchr(out->path, '\0', out->path_size);
}

enum maps_text_result maps_text_next(struct maps_text *text, struct maps_line *line)
{
	if (text->at == text->end)
		return MAPS_TEXT_END;

	const char *newline = memchr(text->at, '\n', (size_t)(text->end - text->at));
	struct maps_text one = {text->at, newline ? newline : text->end};
	text->at = newline ? newline + 1 : text->end;
	return newline && parse(one, line) ? MAPS_TEXT_LINE : MAPS_TEXT_MALFORMED;
}

ssize_t maps_text_path(const struct maps_line *line, char *out, size_t capacity)
{
	const char *at = line->path, *end = at + line->path_size;
	size_t size = 0;

	while (at < end) {
		bool escape = (size_t)(end - at) >= NEWLINE_ESCAPE_SIZE &&
			      memcmp(at, NEWLINE_ESCAPE, NEWLINE_ESCAPE_SIZE) == 0;

		if (size + 1 >= capacity)
			return -ENAMETOOLONG;
		out[size++] = escape ? '\n' : *at;
		at += escape ? NEWLINE_ESCAPE_SIZE : 1;
	}
	if (size >= capacity)
		return -ENAMETOOLONG;
	out[size] = '\0';
	return (ssize_t)size;
}
