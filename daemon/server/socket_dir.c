/*
 * Everything happens below one directory descriptor, so that the directory that was checked is the
 * one that is used. The lock file, not the sockets, says whether a daemon lives: a killed daemon
 * leaves sockets behind, but never a lock. The file is unlinked while the lock is held, and whoever
 * gets a lock checks that the name still leads to what was locked, so two daemons never both
 * believe to own DIR.
 */
#include "config.h"
#include "server/socket_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/alloc.h"
#include "base/log.h"
#include "spprof/wire/handshake.h"

#define LOCK_NAME    "spprofd.pid"
#define MAX_SOCKETS  2
#define LONGEST_NAME "/" LOCK_NAME

struct socket_dir {
	char *path; /* owns */
	int directory;
	int lock;
	const char *sockets[MAX_SOCKETS]; /* borrows: literals */
	unsigned socket_count;
};

char *socket_dir_default(uid_t uid, const char *xdg_runtime_dir)
{
	if (uid == 0)
		return alloc_strdup(WIRE_SYSTEM_DIR);
	char expected[64], directory[64];
	snprintf(expected, sizeof expected, "/run/user/%u", (unsigned)uid);
	if (xdg_runtime_dir != NULL && strcmp(xdg_runtime_dir, expected) == 0)
		snprintf(directory, sizeof directory, WIRE_USER_DIR_FORMAT, (unsigned)uid);
	else
		snprintf(directory, sizeof directory, WIRE_TMP_DIR_FORMAT, (unsigned)uid);
	return alloc_strdup(directory);
}

static bool same_directory(const char *a, const char *b)
{
	struct stat x, y;
	if (strcmp(a, b) == 0)
		return true;
	return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

bool socket_dir_is_meant(const char *path, const char *wants, uid_t uid)
{
	char user[64], tmp[64];
	if (wants != NULL && *wants != '\0')
		return same_directory(path, wants);
	snprintf(user, sizeof user, WIRE_USER_DIR_FORMAT, (unsigned)uid);
	snprintf(tmp, sizeof tmp, WIRE_TMP_DIR_FORMAT, (unsigned)uid);
	return strcmp(path, WIRE_SYSTEM_DIR) == 0 || strcmp(path, user) == 0 ||
	       strcmp(path, tmp) == 0;
}

/* Others may enter root's directory, since workers of any uid connect there; never a user's. */
static mode_t directory_mode(void)
{
	return geteuid() == 0 ? 0755 : 0700;
}

static int open_directory(const char *path, int *out)
{
	if (strlen(path) + sizeof LONGEST_NAME > sizeof((struct sockaddr_un){0}).sun_path) {
		log_error("%s: too long for the name of a socket; choose a shorter --socket-dir",
			path);
		return -ENAMETOOLONG;
	}
	if (mkdir(path, directory_mode()) < 0 && errno != EEXIST) {
		int r = -errno;
		log_error("%s: cannot make the directory for the sockets: %s", path, strerror(-r));
		return r;
	}
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0) {
		int r = -errno;
		log_error("%s: cannot open the directory for the sockets: %s", path, strerror(-r));
		return r;
	}
	*out = fd;
	return 0;
}

static int check_directory(const char *path, int fd)
{
	struct stat st;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid()) {
		log_error("%s: belongs to uid %u, not to uid %u; remove it or choose another "
			  "--socket-dir",
			path, (unsigned)st.st_uid, (unsigned)geteuid());
		return -EPERM;
	}
	if (st.st_mode & (S_IWGRP | S_IWOTH)) {
		log_error("%s: may be written by others; 'chmod go-w %s' or choose another "
			  "--socket-dir",
			path, path);
		return -EPERM;
	}
	return 0;
}

/* 0: not known */
static pid_t owner_of(int lock)
{
	char text[16] = "";
	ssize_t size = pread(lock, text, sizeof text - 1, 0);
	long pid = size > 0 ? strtol(text, NULL, 10) : 0;
	return pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

/* A daemon that is killed while it starts a helper leaves its lock to that until it has executed. */
static bool is_about_to_be_free(int lock)
{
	pid_t owner = owner_of(lock);
	return owner != 0 && kill(owner, 0) < 0 && errno == ESRCH;
}

static void report_owner(const char *path, int lock)
{
	long pid = owner_of(lock);
	if (pid > 0)
		log_error("another spprofd (pid %ld) is serving %s", pid, path);
	else
		log_error("another spprofd is serving %s", path);
}

static bool still_named(int directory, int lock)
{
	struct stat locked, named;
	return fstat(lock, &locked) == 0 &&
	       fstatat(directory, LOCK_NAME, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
	       locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
}

/* -EAGAIN: the file was unlinked by a daemon that just ended, or its lock is about to be free. */
static int try_lock(const char *path, int directory, int *out)
{
	int lock = openat(directory, LOCK_NAME, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (lock < 0) {
		int r = -errno;
		log_error("%s/%s: cannot be made: %s", path, LOCK_NAME, strerror(-r));
		return r;
	}
	int r = 0;
	if (flock(lock, LOCK_EX | LOCK_NB) < 0) {
		r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		if (r == -EBUSY && is_about_to_be_free(lock))
			r = -EAGAIN;
		else if (r == -EBUSY)
			report_owner(path, lock);
		else
			log_error("%s/%s: cannot be locked: %s", path, LOCK_NAME, strerror(-r));
	} else if (!still_named(directory, lock)) {
		r = -EAGAIN;
	}
	if (r < 0) {
		close(lock);
		return r;
	}
	*out = lock;
	return 0;
}

static int take_lock(const char *path, int directory, int *out)
{
	const struct timespec pause = {.tv_nsec = 10 * 1000 * 1000};
	unsigned attempts = 100;
	int r = try_lock(path, directory, out);
	while (r == -EAGAIN && --attempts > 0) {
		nanosleep(&pause, NULL);
		r = try_lock(path, directory, out);
	}
	if (r == -EAGAIN)
		log_error("%s/%s: the lock of an spprofd that has ended is still held", path,
			LOCK_NAME);
	if (r < 0)
		return r;
	char text[16];
	int size = snprintf(text, sizeof text, "%d\n", (int)getpid());
	if (ftruncate(*out, 0) < 0 || pwrite(*out, text, (size_t)size, 0) != size)
		log_warning("%s/%s: the pid could not be written", path, LOCK_NAME);
	return 0;
}

int socket_dir_new(struct socket_dir **out, const char *path)
{
	int directory = -1, lock = -1;
	int r = open_directory(path, &directory);
	if (r == 0)
		r = check_directory(path, directory);
	if (r == 0)
		r = take_lock(path, directory, &lock);
	if (r < 0) {
		if (directory >= 0)
			close(directory);
		return r;
	}
	struct socket_dir *dir = alloc_zeroed(1, sizeof *dir);
	dir->path = alloc_strdup(path);
	dir->directory = directory;
	dir->lock = lock;
	*out = dir;
	return 0;
}

struct socket_dir *socket_dir_free(struct socket_dir *dir)
{
	if (dir == NULL)
		return NULL;
	for (unsigned i = 0; i < dir->socket_count; i++)
		unlinkat(dir->directory, dir->sockets[i], 0);
	unlinkat(dir->directory, LOCK_NAME, 0);
	close(dir->lock);
	close(dir->directory);
	free(dir->path);
	free(dir);
	return NULL;
}

/* Through /proc/self/fd, because bind() has no variant that takes a directory. */
static int bind_below(struct socket_dir *dir, int fd, const char *name)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/%s", dir->directory,
		name);
	if (unlinkat(dir->directory, name, 0) < 0 && errno != ENOENT)
		return -errno;
	/* Nobody may connect before mode and group are right. */
	mode_t mask = umask(0777);
	int r = bind(fd, (struct sockaddr *)&address, sizeof address) < 0 ? -errno : 0;
	umask(mask);
	return r;
}

int socket_dir_bind(struct socket_dir *dir, const char *name, int type, mode_t mode, gid_t group)
{
	if (dir->socket_count == MAX_SOCKETS)
		return -ENOSPC;
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	int r = bind_below(dir, fd, name);
	if (r == 0) {
		dir->sockets[dir->socket_count++] = name;
		if (group != (gid_t)-1 &&
			fchownat(dir->directory, name, (uid_t)-1, group, AT_SYMLINK_NOFOLLOW) < 0)
			r = -errno;
		else if (fchmodat(dir->directory, name, mode, 0) < 0)
			r = -errno;
	}
	if (r < 0) {
		log_error("%s/%s: cannot make the socket: %s", dir->path, name, strerror(-r));
		close(fd);
		return r;
	}
	return fd;
}
