/* The helper's part in packets, checked as the daemon checks them. */
#include "config.h"
#include "support/fake_reading.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "base/buffer.h"
#include "ingest/map_reader.h"
#include "server/process_image.h"
#include "support/read_texts.h"

static struct {
	struct map_reading *reading;
	struct map_reader *reader;
	int memory_fd; /* borrows: the reading's */
	uint32_t levels;
	struct buffer packet;
	unsigned steps; /* until something happens */
	unsigned drawn;
} helper = {.memory_fd = -1};

static int read_memory(uint64_t address, void *bytes, size_t size, void *data)
{
	(void)data;
	return pread(helper.memory_fd, bytes, size, (off_t)address) == (ssize_t)size ? 0 : -EFAULT;
}

static const struct map_source source = {read_memory, NULL};

/* Now and then long, mostly not at all. */
static void let_time_pass(void)
{
	static const unsigned steps[] = {0, 0, 3, 1, 0, 8, 0, 4, 0, 20, 0};
	helper.steps = steps[helper.drawn++ % (sizeof steps / sizeof steps[0])];
}

void map_reading_init(struct map_reading *reading, struct map_places *places,
	struct process_reader *opener, uid_t uid, const struct map_reading_handlers *handlers,
	void *data)
{
	*reading = (struct map_reading){
		.claim = {.places = places, .uid = uid},
		.handlers = handlers,
		.data = data,
		.opener = opener,
	};
}

void map_reading_end(struct map_reading *reading)
{
	helper.reader = map_reader_free(helper.reader);
	buffer_deinit(&helper.packet);
	reading->texts = process_texts_free(reading->texts);
	helper.memory_fd = -1;
	reading->found = NULL;
	reading->state = MAP_READING_NONE;
	helper.reading = NULL;
}

int map_reading_wait(struct map_reading *reading, const struct segment_map_places *places)
{
	if (places->map_address == 0)
		return -ENOENT;
	reading->begin.places = *places;
	reading->state = MAP_READING_WAITS;
	helper.reading = reading;
	let_time_pass();
	return 0;
}

int map_reading_open(
	struct map_reading *reading, const struct process_handle *process, uint32_t epoch)
{
	reading->begin.epoch = epoch;
	reading->texts =
		read_texts(process, PROC_FILE_BIT(PROC_FILE_MEMORY) |
					    PROC_FILE_BIT(PROC_FILE_MAPS) | process_image_files);
	helper.memory_fd = reading->texts->memory_fd;
	reading->state = MAP_READING_OPENS;
	let_time_pass();
	return map_reader_new(&helper.reader, &reading->begin.places, &source);
}

const struct process_texts *map_reading_texts(const struct map_reading *reading)
{
	return reading->texts;
}

int map_reading_next(struct map_reading *reading, uint32_t levels)
{
	helper.levels = levels;
	reading->found = NULL;
	reading->state = MAP_READING_WORKS;
	let_time_pass();
	return 0;
}

static int read_slice(struct map_reading *reading)
{
	struct map_packet_wanted wanted = {0};
	const uint64_t *ids;
	uint32_t count;
	int r = map_reader_look(helper.reader, helper.levels, &ids, &count);
	if (r < 0)
		return r;
	if (count > 0)
		reading->handlers->choose(ids, count, wanted.bits, reading->data);
	return map_reader_read(helper.reader, wanted.bits, reading->begin.epoch, MAP_PACKET_RECORDS,
		&helper.packet);
}

static void read_packet(struct map_reading *reading)
{
	struct map_packet_found found = {.head = {MAP_PACKET_VERSION, MAP_PACKET_FOUND}};
	struct map_reader_stats stats;
	buffer_clear(&helper.packet);
	buffer_append(&helper.packet, &found, sizeof found);
	found.result = read_slice(reading);
	map_reader_stats(helper.reader, &stats);
	found.slots = stats.slots;
	found.slots_in_all = stats.slots_in_all;
	found.moved = stats.moved;
	memcpy(helper.packet.data, &found, sizeof found);
	if (map_packet_check(helper.packet.data, helper.packet.size, reading->begin.epoch) !=
		MAP_PACKET_FOUND)
		abort();
	reading->found = helper.packet.data;
	reading->found_bytes = helper.packet.size;
}

void fake_reading_step(enum fake_reading_step step)
{
	struct map_reading *reading = helper.reading;
	if (reading == NULL)
		return;
	bool works = reading->state == MAP_READING_WORKS;
	if (step == FAKE_READING_GRANT && reading->state == MAP_READING_WAITS)
		reading->state = MAP_READING_GRANTED;
	else if (step == FAKE_READING_OPEN && reading->state == MAP_READING_OPENS)
		reading->state = MAP_READING_OPENED;
	else if (step == FAKE_READING_READ && works && reading->found == NULL)
		read_packet(reading);
	else if (step == FAKE_READING_COME && works && reading->found != NULL)
		reading->state = MAP_READING_READY;
}

void fake_reading_goes_on(void)
{
	/* A slice is read at once, and comes later. */
	fake_reading_step(FAKE_READING_READ);
	if (helper.steps > 0) {
		helper.steps--;
		return;
	}
	fake_reading_step(FAKE_READING_COME);
	fake_reading_step(FAKE_READING_OPEN);
	fake_reading_step(FAKE_READING_GRANT);
}

struct map_packet_found *map_reading_found(struct map_reading *reading, size_t *size)
{
	*size = reading->found_bytes;
	return (struct map_packet_found *)reading->found;
}

bool map_reading_is_due(const struct map_reading *reading)
{
	return reading->state == MAP_READING_GRANTED || reading->state == MAP_READING_OPENED ||
	       reading->state == MAP_READING_READY;
}

size_t map_reading_bytes(const struct map_reading *reading)
{
	return reading->found_bytes;
}
