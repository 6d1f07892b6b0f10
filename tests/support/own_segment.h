/*
 * Keeps every daemon of the machine away from a segment that a test consumes itself: a root daemon
 * looks for segments in all of /proc and would take the records, but lets those be that another
 * consumer has locked.
 */
#pragma once
#include <stdlib.h>
#include <sys/file.h>

static inline void own_segment(int fd)
{
	if (flock(fd, LOCK_EX | LOCK_NB) != 0)
		abort();
}
