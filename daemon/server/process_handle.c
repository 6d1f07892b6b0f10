/*
 * A pidfd, then the directory /proc/PID, then a check that the pidfd's process has not been reaped:
 * until then its number cannot have been given to another, so the directory is its own and stays so
 * (below it the kernel answers ESRCH afterwards).
 */
#include "config.h"
#include "server/process_handle.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/syscall.h>
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

void process_handle_close_directory(struct process_handle *handle)
{
	if (handle->proc_fd >= 0)
		close(handle->proc_fd);
	handle->proc_fd = -1;
}

void process_handle_close(struct process_handle *handle)
{
	process_handle_close_directory(handle);
	if (handle->pidfd >= 0)
		close(handle->pidfd);
	handle->pidfd = -1;
}

bool process_handle_reaped(const struct process_handle *handle)
{
	return handle->pidfd < 0 || reaped(handle->pidfd);
}

bool process_handle_alive(const struct process_handle *handle)
{
	if (handle->pidfd < 0)
		return false;
	struct pollfd ended = {.fd = handle->pidfd, .events = POLLIN};
	return poll(&ended, 1, 0) == 0;
}

int process_handle_comm(const struct process_handle *handle, char *text, size_t size)
{
	text[0] = '\0';
	int fd = handle->proc_fd < 0 ? -1 : openat(handle->proc_fd, "comm", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -ESRCH;
	ssize_t got = read(fd, text, size - 1);
	close(fd);
	text[got > 0 ? got : 0] = '\0';
	return got < 0 ? -ESRCH : 0;
}

uid_t process_handle_uid(const struct process_handle *handle)
{
	struct stat st;
	return handle->proc_fd >= 0 && fstat(handle->proc_fd, &st) == 0 ? st.st_uid : (uid_t)-1;
}
