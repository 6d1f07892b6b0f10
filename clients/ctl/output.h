/*
 * A file that is either written whole or not at all: bytes go to a temporary file beside it, which
 * takes its name at the end. Pipes, terminals and devices are written directly, since a rename
 * would replace them. Single-threaded.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct output {
	int fd;		 /* -1: not opened yet */
	char *path;	 /* owns; NULL: standard output. Symbolic links resolved */
	char *temporary; /* owns; NULL: written directly */
};

/*
 * `path` NULL: standard output. Opens nothing yet, but says already whether it could: 0 or negative
 * errno
 * (-EISDIR, -ENOENT: the folder is missing, -EACCES, -EROFS, …).
 */
int output_init(struct output *output, const char *path);
/* Abandons what was not committed: the temporary file is removed. */
void output_deinit(struct output *output);
/* 0 or negative errno. */
int output_write(struct output *output, const void *bytes, size_t size);
/* The file is there under its name. Without a byte written, an empty one. 0 or negative errno. */
int output_commit(struct output *output);
/* Whether a terminal would show what is written. */
bool output_is_terminal(const struct output *output);
