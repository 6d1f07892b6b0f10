/* The two lines are near the end of some 1,500 bytes, too many for the host's stack: the text goes
 * through in pieces. */
#define _GNU_SOURCE
#include "seccomp_state.h"
#include <fcntl.h>
#include <string.h>
#include "raw_syscall.h"

#define LINE_MAX_BYTES 96 /* of a line that is looked at; the longer ones are none of ours */

struct line {
	char text[LINE_MAX_BYTES];
	unsigned length; /* may be more than was kept */
};

static int64_t number_after(const char *line, const char *name)
{
	size_t length = strlen(name);
	int64_t value = 0;

	if (strncmp(line, name, length) != 0)
		return -1;
	const char *p = line + length;
	while (*p == ' ' || *p == '\t')
		p++;
	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++)
		value = value < INT32_MAX ? value * 10 + (*p - '0') : value;
	return value;
}

static void take_line(struct line *line, struct seccomp_state *out)
{
	int64_t value;

	if (line->length < sizeof line->text) {
		line->text[line->length] = '\0';
		if ((value = number_after(line->text, "Seccomp:")) >= 0)
			out->mode = value;
		if ((value = number_after(line->text, "Seccomp_filters:")) >= 0)
			out->filters = value;
	}
	line->length = 0;
}

static void take(struct line *line, const char *bytes, size_t size, struct seccomp_state *out)
{
	for (size_t i = 0; i < size; i++) {
		if (bytes[i] == '\n')
			take_line(line, out);
		else if (line->length < sizeof line->text)
			line->text[line->length++] = bytes[i];
	}
}

void seccomp_state_parse(const char *text, struct seccomp_state *out)
{
	struct line line = {.length = 0};

	*out = (struct seccomp_state){.mode = -1, .filters = -1};
	take(&line, text, strlen(text), out);
}

void seccomp_state_read(struct seccomp_state *out)
{
	struct line line = {.length = 0};
	char piece[256];
	long got;

	*out = (struct seccomp_state){.mode = -1, .filters = -1};
	long fd = raw_syscall4(SYS_openat, AT_FDCWD, "/proc/self/status", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	while ((got = raw_syscall3(SYS_read, fd, piece, sizeof piece)) > 0)
		take(&line, piece, (size_t)got, out);
	raw_syscall1(SYS_close, fd);
}

bool seccomp_state_same(const struct seccomp_state *before, const struct seccomp_state *now)
{
	if (now->mode == 0)
		return true;
	return now->mode == 2 && before->mode == 2 && now->filters > 0 &&
	       now->filters == before->filters;
}
