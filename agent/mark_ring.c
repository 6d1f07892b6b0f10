/*
 * A writer takes the next place by adding one, clears its seal, writes, and seals. Who is overtaken
 * by 127 others while he writes leaves a mark that is half his: its seal does not fit, and it is
 * none.
 */
#include "mark_ring.h"
#include <stdatomic.h>

static bool pack(const char *name, uint64_t words[5])
{
	unsigned size = 0;

	for (; name[size] && size <= WIRE_MARK_NAME_MAX; size++)
		words[size / 8] |= (uint64_t)(uint8_t)name[size] << 8 * (size % 8);
	return size > 0 && size <= WIRE_MARK_NAME_MAX;
}

bool mark_ring_add(struct segment *segment, const char *name, uint64_t id, uint64_t now_ns)
{
	uint64_t words[5] = {0};

	if (!pack(name, words))
		return false;
	if (!segment->marks)
		return true;
	struct wire_marks *ring = (struct wire_marks *)segment->marks;
	/* relaxed throughout: the seal tells whether what a reader has copied fits together. */
	uint64_t place = atomic_fetch_add_explicit(&ring->made, 1, memory_order_relaxed);
	struct wire_mark *mark = &ring->marks[place % WIRE_MARKS_MAX];

	atomic_store_explicit(&mark->seal, 0, memory_order_relaxed);
	atomic_store_explicit(&mark->id, id, memory_order_relaxed);
	atomic_store_explicit(&mark->time_ns, now_ns, memory_order_relaxed);
	for (unsigned i = 0; i < 5; i++)
		atomic_store_explicit(&mark->name[i], words[i], memory_order_relaxed);
	atomic_store_explicit(&mark->seal, wire_mark_seal(id, now_ns, words), memory_order_relaxed);
	return true;
}
