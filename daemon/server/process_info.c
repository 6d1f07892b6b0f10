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

#include "base/alloc.h"
#include "server/process_texts.h"

const uint32_t process_info_files = PROC_FILE_BIT(PROC_FILE_STATUS) |
				    PROC_FILE_BIT(PROC_FILE_COMM) | PROC_FILE_BIT(PROC_FILE_EXE) |
				    PROC_FILE_BIT(PROC_FILE_CMDLINE);

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
	field = status_field(text, "PPid");
	out->parent_pid = field != NULL ? (pid_t)strtol(field, NULL, 10) : 0;
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

void process_info_set_comm(struct process_info *info, const char *text)
{
	snprintf(info->comm, sizeof info->comm, "%.*s", (int)strcspn(text, "\n"), text);
	process_info_sanitize(info->comm);
}

static char *printable(const struct process_texts *texts, enum proc_file file)
{
	size_t size;
	const char *text = process_texts_begin(texts, file, &size);
	while (size > 0 && text[size - 1] == '\0')
		size--;
	char *copy = alloc_zeroed(size + 1, 1);
	for (size_t i = 0; i < size; i++)
		copy[i] = text[i] != '\0' ? text[i] : ' ';
	process_info_sanitize(copy);
	return copy;
}

int process_info_of(const struct process_texts *texts, struct process_info *out)
{
	size_t size;
	struct process_info info = {0};
	const char *status = process_texts_get(texts, PROC_FILE_STATUS, &size);
	if (status == NULL || process_info_parse_status(status, &info) < 0)
		return -ESRCH;
	process_info_set_comm(&info, process_texts_begin(texts, PROC_FILE_COMM, &size));
	info.exe = printable(texts, PROC_FILE_EXE);
	info.command_line = printable(texts, PROC_FILE_CMDLINE);
	*out = info;
	return 0;
}

void process_info_deinit(struct process_info *info)
{
	free(info->exe);
	free(info->command_line);
	info->exe = info->command_line = NULL;
}
