/* Bytes are handed on as they come: nothing here looks at them. */
#define _GNU_SOURCE
#include "config.h"
#include "ingest/proc_file.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>
#include "spprof/wire/segment.h"

#define LINK_PREFIX "/memfd:" WIRE_MEMFD_NAME " "

typedef int piece_handler(const void *bytes, size_t size, int fd, void *data);

static const char *const names[PROC_FILES] = {
	[PROC_FILE_MEMORY] = "mem",
	[PROC_FILE_SEGMENTS] = "fd",
	[PROC_FILE_STATUS] = "status",
	[PROC_FILE_COMM] = "comm",
	[PROC_FILE_STAT] = "stat",
	[PROC_FILE_EXE] = "exe",
	[PROC_FILE_EXE_ID] = "exe",
	[PROC_FILE_MAPS] = "maps",
	[PROC_FILE_CMDLINE] = "cmdline",
	[PROC_FILE_ENVIRON] = "environ",
};

bool proc_file_is_passed(enum proc_file file)
{
	return file == PROC_FILE_MEMORY || file == PROC_FILE_SEGMENTS;
}

size_t proc_file_max(enum proc_file file)
{
	switch (file) {
	case PROC_FILE_MEMORY:
	case PROC_FILE_SEGMENTS:
		return 0;
	case PROC_FILE_EXE_ID:
		return sizeof(struct proc_file_id);
	case PROC_FILE_MAPS:
		return PROC_FILE_MAPS_MAX;
	case PROC_FILE_ENVIRON:
		return PROC_FILE_ENVIRON_MAX;
	default:
		return PROC_FILE_TEXT_MAX;
	}
}

static int read_link(int directory, piece_handler *piece, void *data)
{
	char text[PROC_FILE_TEXT_MAX];
	ssize_t size = readlinkat(directory, "exe", text, sizeof text);
	return size < 0 ? -errno : piece(text, (size_t)size, -1, data);
}

/* Without a question to the file system, whatever the program came from. */
static int read_identity(int directory, piece_handler *piece, void *data)
{
	struct statx exe;
	if (statx(directory, "exe", AT_STATX_DONT_SYNC, STATX_INO, &exe) < 0)
		return -errno;
	const struct proc_file_id id = {
		.device = makedev(exe.stx_dev_major, exe.stx_dev_minor), .inode = exe.stx_ino};
	return piece(&id, sizeof id, -1, data);
}

static bool called_segment(int descriptors, const char *name)
{
	char text[sizeof LINK_PREFIX];
	ssize_t size = readlinkat(descriptors, name, text, sizeof text - 1);
	return size == sizeof text - 1 && memcmp(text, LINK_PREFIX, sizeof text - 1) == 0;
}

/* The link's text is asked before anything is opened, and that by O_PATH: it costs nothing that a
 * file's own server is asked for. */
static int find_segments(DIR *descriptors, piece_handler *piece, void *data)
{
	struct dirent *entry;
	unsigned found = 0;
	int r = 0, directory = dirfd(descriptors);
	while (r == 0 && found < PROC_FILE_SEGMENTS_MAX && (entry = readdir(descriptors)) != NULL) {
		if (!called_segment(directory, entry->d_name))
			continue;
		int fd = openat(directory, entry->d_name, O_PATH | O_CLOEXEC);
		if (fd < 0)
			continue;
		found++;
		r = piece("", 0, fd, data);
		close(fd);
	}
	return r;
}

static int read_segments(int directory, piece_handler *piece, void *data)
{
	int fd = openat(directory, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *descriptors = fd < 0 ? NULL : fdopendir(fd);
	if (descriptors == NULL) {
		int r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	int r = find_segments(descriptors, piece, data);
	closedir(descriptors);
	return r;
}

static int read_text(int fd, size_t max, piece_handler *piece, void *data)
{
	_Alignas(8) char bytes[PROC_FILE_PIECE];
	size_t used = 0;
	while (used < max) {
		size_t room = max - used < sizeof bytes ? max - used : sizeof bytes;
		ssize_t size = read(fd, bytes, room);
		if (size < 0 && errno == EINTR)
			continue;
		if (size <= 0)
			return size < 0 ? -errno : 0;
		int r = piece(bytes, (size_t)size, -1, data);
		if (r < 0)
			return r;
		used += (size_t)size;
	}
	return 0;
}

int proc_file_read(int directory, enum proc_file file, piece_handler *piece, void *data)
{
	if (file == PROC_FILE_SEGMENTS)
		return read_segments(directory, piece, data);
	if (file == PROC_FILE_EXE)
		return read_link(directory, piece, data);
	if (file == PROC_FILE_EXE_ID)
		return read_identity(directory, piece, data);
	int fd = openat(directory, names[file], O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = file == PROC_FILE_MEMORY ? piece("", 0, fd, data)
					 : read_text(fd, proc_file_max(file), piece, data);
	close(fd);
	return r;
}
