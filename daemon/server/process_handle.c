/*
 * A pidfd, then the directory /proc/PID, then a check that the pidfd's process has not been reaped:
 * until then its number cannot have been given to another, so the directory is its own and stays so
 * (below it the kernel answers ESRCH afterwards).
 */
#include "config.h"
#include "server/process_handle.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static bool reaped(int pidfd)
{
	return syscall(SYS_pidfd_send_signal, pidfd, 0, NULL, 0) < 0 && errno == ESRCH;
}

int process_handle_open(struct process_handle *handle, pid_t pid, int pidfd)
{
	*handle = PROCESS_HANDLE_INIT;
	handle->pid = pid;
	if (pidfd < 0)
		pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (pidfd < 0)
		return -errno;
	char path[32];
	snprintf(path, sizeof path, "/proc/%d", (int)pid);
	int proc_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (reaped(pidfd)) {
		if (proc_fd >= 0)
			close(proc_fd);
		close(pidfd);
		return -ESRCH;
	}
	handle->pidfd = pidfd;
	handle->proc_fd = proc_fd;
	return 0;
}

int process_handle_dup(struct process_handle *handle, const struct process_handle *from)
{
	*handle = PROCESS_HANDLE_INIT;
	handle->pid = from->pid;
	handle->pidfd = fcntl(from->pidfd, F_DUPFD_CLOEXEC, 3);
	handle->proc_fd = fcntl(from->proc_fd, F_DUPFD_CLOEXEC, 3);
	if (handle->pidfd >= 0)
		return 0;
	int r = -errno;
	process_handle_close(handle);
	return r;
}

void process_handle_close(struct process_handle *handle)
{
	if (handle->pidfd >= 0)
		close(handle->pidfd);
	if (handle->proc_fd >= 0)
		close(handle->proc_fd);
	handle->pidfd = handle->proc_fd = -1;
}

bool process_handle_alive(const struct process_handle *handle)
{
	if (handle->pidfd < 0)
		return false;
	struct pollfd ended = {.fd = handle->pidfd, .events = POLLIN};
	return poll(&ended, 1, 0) == 0;
}

ssize_t process_handle_read(
	const struct process_handle *handle, const char *name, char *text, size_t size)
{
	text[0] = '\0';
	if (handle->proc_fd < 0)
		return -ESRCH;
	int fd = openat(handle->proc_fd, name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	size_t used = 0;
	ssize_t got = 0;
	while (used < size - 1 && (got = read(fd, text + used, size - 1 - used)) > 0)
		used += (size_t)got;
	int r = got < 0 ? -errno : 0;
	close(fd);
	text[used] = '\0';
	return r < 0 ? r : (ssize_t)used;
}

int process_handle_open_memory(const struct process_handle *handle)
{
	if (handle->proc_fd < 0)
		return -ESRCH;
	int fd = openat(handle->proc_fd, "mem", O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static bool is_file(int directory, const char *name, dev_t device, ino_t inode)
{
	/* A descriptor may be a file of a hostile FUSE server: ask for nothing that it would
	 * answer. */
	struct statx st;
	return statx(directory, name, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0 &&
	       st.stx_ino == inode && makedev(st.stx_dev_major, st.stx_dev_minor) == device;
}

bool process_handle_holds(const struct process_handle *handle, dev_t device, ino_t inode)
{
	int fd = handle->proc_fd < 0
			 ? -1
			 : openat(handle->proc_fd, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *descriptors = fd < 0 ? NULL : fdopendir(fd);
	if (descriptors == NULL) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	bool found = false;
	struct dirent *entry;
	while (!found && (entry = readdir(descriptors)) != NULL)
		found = is_file(fd, entry->d_name, device, inode);
	closedir(descriptors);
	return found;
}
