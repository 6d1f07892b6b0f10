/* One flag serves all levels: a value precedes the next one exactly if the last thing was not an
 * open bracket. */
#include "export/json_writer.h"
#include <inttypes.h>
#include "base/buffer.h"
#include "export/utf8.h"

void json_writer_init(struct json_writer *w, struct buffer *out)
{
	*w = (struct json_writer){.out = out};
}

static void put_escaped(struct buffer *out, const char *s)
{
	buffer_putc(out, '"');
	for (uint32_t c; (c = utf8_next(&s));) {
		if (c == '"' || c == '\\')
			buffer_printf(out, "\\%c", (int)c);
		else if (c == '\n')
			buffer_puts(out, "\\n");
		else if (c == '\t')
			buffer_puts(out, "\\t");
		else if (utf8_is_control(c))
			buffer_printf(out, "\\u%04x", c);
		else
			utf8_append(out, c);
	}
	buffer_putc(out, '"');
}

static void start_line(struct json_writer *w)
{
	if (w->line_break)
		buffer_putc(w->out, '\n');
	w->line_break = false;
}

static void start_value(struct json_writer *w, const char *key)
{
	if (w->comma)
		buffer_putc(w->out, ',');
	w->comma = true;
	start_line(w);
	if (key) {
		put_escaped(w->out, key);
		buffer_putc(w->out, ':');
	}
}

void json_writer_open(struct json_writer *w, const char *key, char bracket)
{
	start_value(w, key);
	buffer_putc(w->out, bracket);
	w->comma = false;
}

void json_writer_close(struct json_writer *w, char bracket)
{
	start_line(w);
	buffer_putc(w->out, bracket);
	w->comma = true;
}

void json_writer_string(struct json_writer *w, const char *key, const char *value)
{
	start_value(w, key);
	put_escaped(w->out, value);
}

void json_writer_integer(struct json_writer *w, const char *key, int64_t value)
{
	start_value(w, key);
	buffer_printf(w->out, "%" PRId64, value);
}

void json_writer_hex(struct json_writer *w, const char *key, uint64_t value)
{
	start_value(w, key);
	buffer_printf(w->out, "\"0x%" PRIx64 "\"", value);
}

void json_writer_bool(struct json_writer *w, const char *key, bool value)
{
	start_value(w, key);
	buffer_puts(w->out, value ? "true" : "false");
}

void json_writer_null(struct json_writer *w, const char *key)
{
	start_value(w, key);
	buffer_puts(w->out, "null");
}

void json_writer_break(struct json_writer *w)
{
	w->line_break = true;
}
