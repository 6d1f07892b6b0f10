/* What ring_consumer needs of segment_map, over the agent's mapping. The orders are those of
 * segment_map.c. */
#include "config.h"
#include "stress/segment_source.h"
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "ingest/segment_map.h"
#include "segment.h"

struct segment_map {
	const struct segment *segment; /* borrows */
	struct segment_info info;
};

int segment_source_open(struct segment_map **out, const struct segment *segment)
{
	*out = calloc(1, sizeof(**out));
	(*out)->segment = segment;
	(*out)->info.ring_count = segment->ring_count;
	(*out)->info.ring_size = segment->ring_size;
	return 0;
}

struct segment_map *segment_map_free(struct segment_map *map)
{
	free(map);
	return NULL;
}

const struct segment_info *segment_map_info(const struct segment_map *map)
{
	return &map->info;
}

uint64_t segment_map_take_dirty(struct segment_map *map)
{
	return atomic_exchange_explicit(&map->segment->header->dirty, 0, memory_order_acquire);
}

const struct wire_ring *segment_map_ring(const struct segment_map *map, uint32_t ring)
{
	return &map->segment->rings[ring];
}

void segment_map_store_tail(struct segment_map *map, uint32_t ring, uint64_t tail)
{
	atomic_store_explicit(&map->segment->rings[ring].tail, tail, memory_order_release);
}

int segment_map_read(const struct segment_map *map, size_t offset, void *bytes, size_t size)
{
	memcpy(bytes, (const uint8_t *)map->segment->header + offset, size);
	return 0;
}
