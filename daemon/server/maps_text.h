/*
 * The text of /proc/PID/maps, line by line: format of Linux's proc(5). Borrows the text, which may
 * be hostile and need not end in NUL. Pure; any thread; fuzzed.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct maps_text {
	const char *at, *end;
};

struct maps_line {
	uint64_t start, end;  /* start < end */
	uint64_t file_offset; /* file_offset + (end - start) does not overflow */
	dev_t device;
	ino_t inode;
	bool executable;
	const char *path; /* borrows; not terminated; "\012" stands for a newline; may be empty */
	size_t path_size;
};

enum maps_text_result {
	MAPS_TEXT_END,
	MAPS_TEXT_LINE,
	MAPS_TEXT_MALFORMED, /* skipped: no such line, or one that has lost its end */
};

enum maps_text_result maps_text_next(struct maps_text *text, struct maps_line *line);

/* Copies a path of a line with its escapes resolved and a NUL. Returns its length, or
 * -ENAMETOOLONG. */
ssize_t maps_text_path(const struct maps_line *line, char *out, size_t capacity);
