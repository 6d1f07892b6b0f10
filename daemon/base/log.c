/*
 * A message is put together on the stack and leaves in one write, so lines of several threads do
 * not mix and running out of memory can still be reported. Names in messages come from workers:
 * control bytes are shown as '?', lest a process name moves the cursor of the operator's terminal.
 */
#include "base/log.h"
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_MAX_BYTES 1024

/* relaxed everywhere: a stale level or name costs one line, nothing is published through them */
static _Atomic(const char *) log_program = "spprof";
static _Atomic(enum log_level) log_threshold = LOG_LEVEL_WARNING;

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_init(const char *program, enum log_level level)
{
	atomic_store_explicit(&log_program, program, memory_order_relaxed);
	atomic_store_explicit(&log_threshold, level, memory_order_relaxed);
}

int log_parse_level(const char *name, enum log_level *out)
{
	for (size_t i = 0; i < sizeof(level_names) / sizeof(level_names[0]); i++) {
		if (strcmp(name, level_names[i]) == 0) {
			*out = (enum log_level)i;
			return 0;
		}
	}
	return -EINVAL;
}

static void mask_control_bytes(char *text, size_t size)
{
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f)
			text[i] = '?';
	}
}

static void write_whole(const char *text, size_t size)
{
	while (size > 0) {
		ssize_t written = write(STDERR_FILENO, text, size);
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return;
		text += written;
		size -= (size_t)written;
	}
}

void log_print(enum log_level level, const char *format, ...)
{
	if (level > atomic_load_explicit(&log_threshold, memory_order_relaxed))
		return;
	int saved_errno = errno;
	char line[LINE_MAX_BYTES];
	const size_t room = sizeof(line) - 1; /* the last byte is the newline's */
	int prefix = snprintf(
		line, room, "%s: ", atomic_load_explicit(&log_program, memory_order_relaxed));
	size_t size = prefix < 0 ? 0 : (size_t)prefix < room ? (size_t)prefix : room - 1;
	va_list args;
	va_start(args, format);
	int body = vsnprintf(line + size, room - size, format, args);
	va_end(args);
	if (body > 0 && (size_t)body >= room - size) {
		size = room - 1;
		memcpy(line + size - 3, "...", 3);
	} else if (body > 0) {
		size += (size_t)body;
	}
	mask_control_bytes(line, size);
	line[size++] = '\n';
	write_whole(line, size);
	errno = saved_errno;
}
