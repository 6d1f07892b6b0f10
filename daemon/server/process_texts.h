/*
 * What was read of /proc/PID: the files that were asked for, as far as they came. Everything in it
 * was chosen by the process. Owned by whoever asked; any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include "base/buffer.h"
#include "ingest/proc_file.h"

struct process_texts {
	int memory_fd;				 /* owns; -1: none */
	int segment_fds[PROC_FILE_SEGMENTS_MAX]; /* own; by O_PATH */
	unsigned segment_count;
	struct {
		struct buffer bytes;
		int result; /* negative errno: it could not be read, or not to its end */
	} files[PROC_FILES];
};

struct process_texts *process_texts_new(void); /* nothing has come: -ETIMEDOUT */
struct process_texts *process_texts_free(struct process_texts *texts); /* NULL; accepts NULL */

/* More of a file. 0, or -EPROTO: more than there can be; the descriptor is taken over in every case. */
int process_texts_append(
	struct process_texts *texts, enum proc_file file, const void *bytes, size_t size, int fd);
/* `result` is the file's. */
void process_texts_end(struct process_texts *texts, enum proc_file file, int result);

/* The file, ended with NUL, or NULL: it did not come. `texts` NULL: nothing did. */
const char *process_texts_get(const struct process_texts *texts, enum proc_file file, size_t *size);
/* What of it has come, though something may be missing; at worst "". */
const char *process_texts_begin(
	const struct process_texts *texts, enum proc_file file, size_t *size);
/* Whether one of the segments is this file. */
bool process_texts_holds(const struct process_texts *texts, dev_t device, ino_t inode);
/* 0 or negative errno. */
int process_texts_result(const struct process_texts *texts, enum proc_file file);
