/*
 * Names come out of hostile files, and the daemon may be root: a build id is spelled in hex below a
 * root that belongs to the system; a link is one file name without a slash. Beside the program
 * itself, in a folder that may be anybody's, only a file of the program's own owner is taken, so
 * that a symlink does not lend the daemon's rights to read what the owner may not.
 */
#define _GNU_SOURCE
#include "server/debug_file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FD_PATH	      "/proc/self/fd/%d"
#define FD_PATH_BYTES 32

/* A regular file, of owner `owner` unless that is NULL. Looked at before it is opened: opening a
 * device or a FIFO can do things. */
static int open_regular(const char *path, const uid_t *owner)
{
	struct stat st;
	int fd = -1, found = open(path, O_PATH | O_CLOEXEC);
	if (found < 0)
		return -ENOENT;
	if (fstat(found, &st) == 0 && S_ISREG(st.st_mode) && (!owner || st.st_uid == *owner)) {
		char name[FD_PATH_BYTES];
		snprintf(name, sizeof(name), FD_PATH, found);
		fd = open(name, O_RDONLY | O_CLOEXEC);
	}
	close(found);
	return fd < 0 ? -ENOENT : fd;
}

static bool is_file_name(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int open_by_id(const char *root, const struct debug_file_id *id)
{
	char path[PATH_MAX];
	if (id->size < 2 || id->size > DEBUG_FILE_ID_BYTES)
		return -ENOENT;
	int size = snprintf(path, sizeof(path), "%s/.build-id/%02x/", root, id->bytes[0]);
	if (size < 0 || (size_t)size + 2 * DEBUG_FILE_ID_BYTES + sizeof(".debug") > sizeof(path))
		return -ENOENT;
	for (size_t i = 1; i < id->size; i++)
		size += sprintf(path + size, "%02x", id->bytes[i]);
	strcpy(path + size, ".debug");
	return open_regular(path, NULL);
}

/* The folder of an open file, as the kernel knows it. */
static bool folder_of(int fd, char *folder, size_t room)
{
	char name[FD_PATH_BYTES];
	snprintf(name, sizeof(name), FD_PATH, fd);
	ssize_t size = readlink(name, folder, room - 1);
	if (size <= 0 || (size_t)size == room - 1 || folder[0] != '/')
		return false;
	folder[size] = '\0';
	*strrchr(folder, '/') = '\0';
	return true;
}

static int open_joined(const char *a, const char *b, const char *name, const uid_t *owner)
{
	char path[PATH_MAX];
	int size = snprintf(path, sizeof(path), "%s%s/%s", a, b, name);
	return size < 0 || (size_t)size >= sizeof(path) ? -ENOENT : open_regular(path, owner);
}

static int open_by_link(const char *root, const char *link, int binary_fd)
{
	char folder[PATH_MAX];
	struct stat binary;
	if (!is_file_name(link) || !folder_of(binary_fd, folder, sizeof(folder)) ||
		fstat(binary_fd, &binary) < 0)
		return -ENOENT;
	int fd = open_joined(root, folder, link, NULL);
	if (fd < 0)
		fd = open_joined(folder, "/.debug", link, &binary.st_uid);
	if (fd < 0)
		fd = open_joined(folder, "", link, &binary.st_uid);
	return fd;
}

int debug_file_open(
	const char *root, const struct debug_file_id *id, const char *link, int binary_fd)
{
	int fd = open_by_id(root, id);
	return fd >= 0 ? fd : open_by_link(root, link, binary_fd);
}

/* dwz's output is in .dwz/ below the root, named from wherever the .debug file is: "../../.dwz/x".
 */
static int open_by_path(const char *root, const char *path)
{
	const char *rest = strstr(path, ".dwz/");
	if (!rest)
		return -ENOENT;
	for (const char *part = rest; part; part = strchr(part, '/')) {
		part += *part == '/';
		if (strncmp(part, "..", 2) == 0)
			return -ENOENT;
	}
	return open_joined(root, "", rest, NULL);
}

int debug_file_open_supplement(const char *root, const struct debug_file_id *id, const char *path)
{
	int fd = open_by_id(root, id);
	return fd >= 0 ? fd : open_by_path(root, path);
}
