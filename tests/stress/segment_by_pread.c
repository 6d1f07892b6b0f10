/* The real daemon/ingest/segment_map.c on a second descriptor. */
#include "config.h"
#include "stress/segment_source.h"
#include <fcntl.h>
#include <stdlib.h>
#include "ingest/segment_map.h"
#include "segment.h"

int segment_source_open(struct segment_map **out, const struct segment *segment)
{
	int fd = fcntl(segment->fd, F_DUPFD_CLOEXEC, 0);

	return fd < 0 ? fd : segment_map_new(out, fd, NULL);
}
