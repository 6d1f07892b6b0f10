/*
 * What a worker leaves of its named marks: one byte, then the bytes of struct wire_marks from its beginning on. With bit 0
 * of the byte each mark is sealed as it should be, so that names and ids get past the seal. What is believed has a name
 * that no terminal acts upon, and an id. With bit 1 they stand where daemons keep those of their clients.
 */
#include "config.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include "ingest/segment_map.h"
#include "server/session_marks.h"
#include "support/fake_segment.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct fake_segment fake;
static struct segment_map *segment;
static struct wire_marks *rings[2], *ring;

static void check(int condition)
{
	if (!condition)
		abort();
}

static void start(void)
{
	fake_segment_init(&fake, 1, WIRE_MIN_RING_SIZE, 0);
	fake_segment_seal(&fake, FAKE_SEGMENT_SEALS);
	check(segment_map_new(&segment, fake_segment_dup(&fake), NULL) == 0);
	rings[0] = fake_segment_marks(&fake);
	rings[1] = fake_segment_client_marks(&fake);
}

static void seal_all(void)
{
	for (unsigned i = 0; i < WIRE_MARKS_MAX; i++) {
		uint64_t words[8];
		memcpy(words, (const void *)&ring->marks[i], sizeof words);
		words[0] = wire_mark_seal(words[1], words[2], &words[3]);
		memcpy((void *)&ring->marks[i], words, sizeof words[0]);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session_marks marks = {0};
	uint64_t id;

	if (segment == NULL)
		start();
	if (size == 0)
		return 0;
	memset((void *)rings[0], 0, sizeof *ring);
	memset((void *)rings[1], 0, sizeof *ring);
	ring = rings[data[0] >> 1 & 1];
	size = size - 1 < sizeof *ring ? size - 1 : sizeof *ring;
	memcpy((void *)ring, data + 1, size);
	if (data[0] & 1)
		seal_all();
	session_marks_read(&marks, segment);
	check(marks.worker_count <= WIRE_MARKS_MAX);
	for (uint32_t i = 0; i < marks.worker_count; i++) {
		check(session_marks_is_name(marks.workers[i].name));
		check(session_marks_find(&marks, marks.workers[i].name, &id));
		check(id >= marks.workers[i].id && id > 0);
	}
	session_marks_begin(&marks, segment);
	for (uint32_t i = 0; marks.given != NULL && i < WIRE_MARKS_MAX; i++)
		check(marks.given[i].id == 0 || session_marks_is_name(marks.given[i].name));
	session_marks_give(&marks, segment, "next", UINT64_MAX);
	check(session_marks_find(&marks, "next", &id) && id == UINT64_MAX);
	session_marks_deinit(&marks);
	return 0;
}
