/*
 * Finds debug information that distributions and builders keep apart from programs: by build id
 * under a root
 * (/usr/lib/debug), by name (.gnu_debuglink), and what dwz moved out of it. Only opens; whether the
 * file is the right one is checked by the symbolizer, by build id or checksum. May wait for a disk:
 * any thread but the loop's.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define DEBUG_FILE_ID_BYTES 64

struct debug_file_id {
	uint8_t bytes[DEBUG_FILE_ID_BYTES];
	size_t size; /* 0: none */
};

/* `link`: a file name or ""; `binary_fd`: the program itself, borrowed. A descriptor or -ENOENT. */
int debug_file_open(
	const char *root, const struct debug_file_id *id, const char *link, int binary_fd);
/* `path` as .gnu_debugaltlink names it. A descriptor or -ENOENT. */
int debug_file_open_supplement(const char *root, const struct debug_file_id *id, const char *path);
