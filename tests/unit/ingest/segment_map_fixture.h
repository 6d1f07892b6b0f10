/* A segment made by hand, and what the daemon says of it. */
#pragma once
#include "ingest/segment_map.h"
#include <stdio.h>
#include "support/fake_segment.h"
#include "support/tap_main.h"

#define RING_SIZE WIRE_MIN_RING_SIZE

static struct fake_segment segment;
static struct segment_map *map;
static const char *why;

static inline void set_up(void)
{
	fake_segment_init(&segment, 4, RING_SIZE, 0);
	map = NULL;
	why = NULL;
}

static inline void tear_down(void)
{
	segment_map_free(map);
	fake_segment_deinit(&segment);
}

static inline const char *fd_name(int fd)
{
	static char name[16];

	snprintf(name, sizeof(name), "%d", fd);
	return name;
}
