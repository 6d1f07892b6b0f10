/*
 * Each way to the file ends in the same gate: a regular file, examined by O_PATH before it is
 * opened, with the device and inode of the maps line. Paths of mappings have no symbolic links, so
 * none is followed: what a worker puts on the way later leads nowhere.
 */
#include "config.h"
#include "server/module_file.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buffer.h"
#include "server/maps_text.h"

#define MAPS_READ (64u << 10)

static void close_keeping_errno(int fd)
{
	int error = errno;

	close(fd);
	errno = error;
}

static void read_own_maps(struct buffer *out)
{
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return;
	while ((n = read(fd, buffer_reserve(out, MAPS_READ), MAPS_READ)) > 0)
		out->size += (size_t)n;
	close(fd);
}

/*
 * On btrfs and overlayfs, stat gives another device than the maps of a process do. What they would
 * say of this file is seen by mapping it here; nothing is read through the mapping.
 */
static bool maps_like(int fd, const struct module_info *module)
{
	struct buffer text = BUFFER_INIT;
	struct maps_line line;
	bool same = false;
	void *at = mmap(NULL, 1, PROT_READ, MAP_PRIVATE, fd, 0);

	if (at == MAP_FAILED)
		return false;
	read_own_maps(&text);
	struct maps_text lines = {(const char *)text.data, (const char *)text.data + text.size};
	for (int r; (r = maps_text_next(&lines, &line)) != MAPS_TEXT_END;)
		if (r == MAPS_TEXT_LINE && line.start == (uintptr_t)at)
			same = line.device == module->device && line.inode == module->inode;
	buffer_deinit(&text);
	munmap(at, 1);
	return same;
}

/* Takes `path_fd` over. procfs and its like have files without a size; opening these may do
 * something. */
static int open_examined(int path_fd, const struct module_info *module, bool public)
{
	struct stat st;
	char link[64];
	int fd = -1;

	if (path_fd < 0)
		return -errno;
	if (fstat(path_fd, &st) < 0)
		goto out;
	errno = EACCES;
	if (!S_ISREG(st.st_mode) || st.st_size == 0 || (public && !(st.st_mode & S_IROTH)))
		goto out;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	fd = open(link, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		goto out;
	if ((st.st_dev != module->device || st.st_ino != module->inode) && !maps_like(fd, module)) {
		close(fd);
		fd = -1;
		errno = ESTALE;
	}
out:
	close_keeping_errno(path_fd);
	return fd < 0 ? -errno : fd;
}

/* The next component of `path`, or false at its end. */
static bool next_component(const char **path, char *out, size_t capacity)
{
	const char *begin = *path + strspn(*path, "/");
	size_t size = strcspn(begin, "/");

	if (size == 0 || size >= capacity)
		return false;
	memcpy(out, begin, size);
	out[size] = '\0';
	*path = begin + size;
	return true;
}

/* Whether everybody may pass through this directory. */
static bool passable(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISDIR(st.st_mode) && (st.st_mode & S_IXOTH);
}

/* O_PATH descriptor of a path below `root_fd` (taken over), or -1 and errno. */
static int walk(int root_fd, const char *path, bool public)
{
	char name[NAME_MAX + 1];
	int fd = root_fd;

	while (fd >= 0 && next_component(&path, name, sizeof(name))) {
		int below = -1;

		errno = EACCES;
		if (strcmp(name, "..") != 0 && (!public || passable(fd)))
			below = openat(fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
		close_keeping_errno(fd);
		fd = below;
	}
	return fd;
}

static int open_mapped(const struct module_info *module, int proc_fd)
{
	char name[64];

	snprintf(name, sizeof(name), "map_files/%llx-%llx", (unsigned long long)module->start,
		(unsigned long long)module->end);
	return open_examined(openat(proc_fd, name, O_PATH | O_CLOEXEC), module, false);
}

static int open_exe(const struct module_info *module, int proc_fd)
{
	return open_examined(openat(proc_fd, "exe", O_PATH | O_CLOEXEC), module, false);
}

static int open_in_root(const struct module_info *module, int proc_fd)
{
	int root = openat(proc_fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return open_examined(walk(root, module->path, false), module, false);
}

static int open_public(const struct module_info *module)
{
	int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return open_examined(walk(root, module->path, true), module, true);
}

static int open_any(const struct module_info *module, int proc_fd)
{
	int fd = -ENOENT;

	if (proc_fd >= 0 && module->from_kernel) {
		fd = open_mapped(module, proc_fd);
		if (fd < 0)
			fd = open_exe(module, proc_fd);
		if (fd < 0 && !module->deleted)
			fd = open_in_root(module, proc_fd);
	}
	/* An inode number may be given again, so a deleted file's path is not even tried. */
	if (fd < 0)
		fd = module->deleted ? -ESTALE : open_public(module);
	return fd;
}

int module_file_open(const struct module_info *module, int proc_fd, struct symbol_file *file)
{
	struct stat st;

	if (module->path[0] != '/')
		return -ENODATA;
	int fd = open_any(module, proc_fd);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0) {
		int r = -errno;
		close(fd);
		return r;
	}
	*file = (struct symbol_file){
		.device = st.st_dev,
		.inode = st.st_ino,
		.mtime_ns =
			(uint64_t)st.st_mtim.tv_sec * 1000000000u + (uint64_t)st.st_mtim.tv_nsec,
		.size = (uint64_t)st.st_size,
	};
	return fd;
}
