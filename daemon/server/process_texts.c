/* A NUL lies behind each text, not counted. */
#include "config.h"
#include "server/process_texts.h"

#include <errno.h>
#include <stdbool.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/alloc.h"
#include "server/background_close.h"

struct process_texts *process_texts_new(void)
{
	struct process_texts *texts = alloc_zeroed(1, sizeof *texts);
	texts->memory_fd = -1;
	for (unsigned i = 0; i < PROC_FILES; i++)
		texts->files[i].result = -ETIMEDOUT;
	return texts;
}

struct process_texts *process_texts_free(struct process_texts *texts)
{
	if (texts == NULL)
		return NULL;
	if (texts->memory_fd >= 0)
		close(texts->memory_fd);
	for (unsigned i = 0; i < texts->segment_count; i++)
		close(texts->segment_fds[i]);
	for (unsigned i = 0; i < PROC_FILES; i++)
		buffer_deinit(&texts->files[i].bytes);
	free(texts);
	return NULL;
}

static int keep(struct process_texts *texts, enum proc_file file, int fd)
{
	if (file == PROC_FILE_MEMORY && texts->memory_fd < 0) {
		texts->memory_fd = fd;
		return 0;
	}
	if (file == PROC_FILE_SEGMENTS && texts->segment_count < PROC_FILE_SEGMENTS_MAX) {
		texts->segment_fds[texts->segment_count++] = fd;
		return 0;
	}
	background_close(fd);
	return -EPROTO;
}

int process_texts_append(
	struct process_texts *texts, enum proc_file file, const void *bytes, size_t size, int fd)
{
	struct buffer *buffer = &texts->files[file].bytes;
	if (fd >= 0)
		return keep(texts, file, fd);
	if (size > proc_file_max(file) - buffer->size)
		return -EPROTO;
	buffer_append(buffer, bytes, size);
	*buffer_reserve(buffer, 1) = '\0';
	return 0;
}

/* Asks for nothing that a hostile file system would answer. */
static bool is_file(int fd, dev_t device, ino_t inode)
{
	struct statx st;
	return statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	       st.stx_ino == inode && makedev(st.stx_dev_major, st.stx_dev_minor) == device;
}

bool process_texts_holds(const struct process_texts *texts, dev_t device, ino_t inode)
{
	for (unsigned i = 0; texts != NULL && i < texts->segment_count; i++)
		if (is_file(texts->segment_fds[i], device, inode))
			return true;
	return false;
}

void process_texts_end(struct process_texts *texts, enum proc_file file, int result)
{
	texts->files[file].result = result;
}

const char *process_texts_begin(
	const struct process_texts *texts, enum proc_file file, size_t *size)
{
	const struct buffer *buffer = texts != NULL ? &texts->files[file].bytes : NULL;
	*size = buffer != NULL ? buffer->size : 0;
	return *size > 0 ? (const char *)buffer->data : "";
}

const char *process_texts_get(const struct process_texts *texts, enum proc_file file, size_t *size)
{
	const char *text = process_texts_begin(texts, file, size);
	return process_texts_result(texts, file) == 0 ? text : NULL;
}

int process_texts_result(const struct process_texts *texts, enum proc_file file)
{
	return texts != NULL ? texts->files[file].result : -ETIMEDOUT;
}
