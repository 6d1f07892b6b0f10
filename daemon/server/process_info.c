/*
 * Everything here was chosen by the process itself: bounded, and made safe for terminals and for
 * protobuf strings before anybody sees it.
 */
#include "config.h"
#include "server/process_info.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/process_handle.h"

#define TEXT_MAX 4096u

/* The length of the UTF-8 sequence at `s`, 0 if there is none (RFC 3629, section 4). */
static unsigned utf8_length(const unsigned char *s)
{
	unsigned length = s[0] < 0x80			? 1
			  : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
			  : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
			  : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
							: 0;
	for (unsigned i = 1; i < length; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
		(s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return length;
}

void process_info_sanitize(char *text)
{
	for (unsigned char *s = (unsigned char *)text; *s != '\0';) {
		unsigned length = utf8_length(s);
		/* U+0080 … U+009F are control characters as well. */
		bool control = length <= 1 ? *s < ' ' || *s == 0x7f
					   : length == 2 && s[0] == 0xc2 && s[1] < 0xa0;
		if (length == 0 || control) {
			*s++ = '?';
			continue;
		}
		s += length;
	}
}

static const char *status_field(const char *text, const char *name)
{
	size_t length = strlen(name);
	for (const char *line = text; line != NULL; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && line[length] == ':')
			return line + length + 1;
	}
	return NULL;
}

int process_info_parse_status(const char *text, struct process_info *out)
{
	unsigned real, effective, saved;
	const char *field = status_field(text, "Uid");
	if (field == NULL || sscanf(field, "%u %u %u", &real, &effective, &saved) != 3)
		return -EBADMSG;
	out->uid = effective;
	out->single_uid = real == effective && effective == saved;
	out->inner_pid = 0;
	field = status_field(text, "NSpid");
	char *end;
	while (field != NULL && *field != '\n' && *field != '\0') {
		long pid = strtol(field, &end, 10);
		if (end == field)
			break;
		out->inner_pid = (pid_t)pid;
		field = end;
	}
	return 0;
}

static char *read_exe(const struct process_handle *handle)
{
	char path[TEXT_MAX];
	ssize_t size = readlinkat(handle->proc_fd, "exe", path, sizeof path - 1);
	path[size > 0 ? size : 0] = '\0';
	process_info_sanitize(path);
	return alloc_strdup(path);
}

static char *read_command_line(const struct process_handle *handle)
{
	char text[TEXT_MAX];
	ssize_t size = process_handle_read(handle, "cmdline", text, sizeof text);
	while (size > 0 && text[size - 1] == '\0')
		size--;
	for (ssize_t i = 0; i < size; i++)
		if (text[i] == '\0')
			text[i] = ' ';
	process_info_sanitize(text);
	return alloc_strdup(text);
}

int process_info_read(const struct process_handle *handle, struct process_info *out)
{
	if (handle->proc_fd < 0)
		return -ESRCH;
	char text[TEXT_MAX];
	struct process_info info = {0};
	ssize_t size = process_handle_read(handle, "status", text, sizeof text);
	if (size < 0 || process_info_parse_status(text, &info) < 0)
		return -ESRCH;
	size = process_handle_read(handle, "comm", info.comm, sizeof info.comm);
	if (size > 0 && info.comm[size - 1] == '\n')
		info.comm[size - 1] = '\0';
	process_info_sanitize(info.comm);
	info.exe = read_exe(handle);
	info.command_line = read_command_line(handle);
	*out = info;
	return 0;
}

void process_info_deinit(struct process_info *info)
{
	free(info->exe);
	free(info->command_line);
	info->exe = info->command_line = NULL;
}
