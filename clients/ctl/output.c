/*
 * The temporary file is opened at the first byte: while the daemon still thinks, an interrupt
 * leaves nothing behind.
 */
#include "config.h"
#include "ctl/output.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/scope.h"

static char *folder_of(const char *path)
{
	_cleanup_free_ char *copy = scope_strdup(path);
	return scope_strdup(dirname(copy));
}

int output_init(struct output *output, const char *path)
{
	*output = (struct output){.fd = -1};
	if (!path)
		return 0;
	if (!*path)
		return -ENOENT;
	struct stat st;
	if (stat(path, &st) == 0) {
		if (S_ISDIR(st.st_mode))
			return -EISDIR;
		char *resolved = realpath(path, NULL);
		if (!resolved)
			return -errno;
		output->path = resolved;
		if (!S_ISREG(st.st_mode))
			return access(resolved, W_OK) < 0 ? -errno : 0;
	} else if (errno != ENOENT) {
		return -errno;
	} else {
		output->path = scope_strdup(path);
	}
	output->temporary = scope_printf("%s.XXXXXX", output->path);
	_cleanup_free_ char *folder = folder_of(output->path);
	if (access(folder, W_OK | X_OK) < 0)
		return -errno;
	return 0;
}

void output_deinit(struct output *output)
{
	if (output->fd >= 0) {
		close(output->fd);
		if (output->temporary)
			unlink(output->temporary);
	}
	free(output->path);
	free(output->temporary);
	*output = (struct output){.fd = -1};
}

static int open_temporary(struct output *output)
{
	output->fd = mkostemp(output->temporary, O_CLOEXEC);
	if (output->fd < 0)
		return -errno;
	/* mkostemp makes it private; the file is to get what any new file gets. */
	mode_t mask = umask(0);
	umask(mask);
	return fchmod(output->fd, 0666 & ~mask) < 0 ? -errno : 0;
}

static int ensure_open(struct output *output)
{
	if (output->fd >= 0)
		return 0;
	if (output->temporary)
		return open_temporary(output);
	output->fd = output->path ? open(output->path, O_WRONLY | O_CLOEXEC)
				  : fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
	return output->fd < 0 ? -errno : 0;
}

int output_write(struct output *output, const void *bytes, size_t size)
{
	int result = ensure_open(output);
	if (result < 0)
		return result;
	const char *at = bytes;
	while (size > 0) {
		ssize_t written = write(output->fd, at, size);
		if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			at += written;
			size -= (size_t)written;
		}
	}
	return 0;
}

int output_commit(struct output *output)
{
	int result = ensure_open(output);
	if (result < 0)
		return result;
	int closed = close(output->fd);
	output->fd = -1;
	if (closed == 0 && (!output->temporary || rename(output->temporary, output->path) == 0))
		return 0;
	result = -errno;
	if (output->temporary)
		unlink(output->temporary);
	return result;
}

bool output_is_terminal(const struct output *output)
{
	if (!output->path)
		return isatty(STDOUT_FILENO);
	/* Opening a named pipe and closing it again would tell its reader that all is over. */
	struct stat st;
	if (stat(output->path, &st) < 0 || !S_ISCHR(st.st_mode))
		return false;
	_cleanup_close_ int fd = open(output->path, O_WRONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	return fd >= 0 && isatty(fd);
}
