/* A descriptor that we received shares its locks with whoever sent it: hence one of our own. */
#include "config.h"
#include "server/segment_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>

#include "ingest/segment_map.h"

int segment_lock_take(const struct segment_map *segment, int *out)
{
	char path[32];
	snprintf(path, sizeof path, "/proc/self/fd/%d", segment_map_fd(segment));
	/* O_NONBLOCK: the worker may hold a lease on its file, which would stall the opener. */
	int fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		int r = errno == EWOULDBLOCK ? -EBUSY : -errno;
		close(fd);
		return r;
	}
	*out = fd;
	return 0;
}

void segment_lock_release(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}
