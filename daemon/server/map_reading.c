/*
 * An answer is kept, checked, until the session takes it; nothing is read ahead of that. Ending a
 * reading closes the socket and kills the helper, and nothing that it had still sent is looked at: so
 * no answer can arrive for a reading that is over, or for another session.
 */
#include "config.h"
#include "server/map_reading.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/alloc.h"
#include "server/process_image.h"
#include "server/process_texts.h"

static void on_granted(void *data)
{
	struct map_reading *reading = data;
	reading->state = MAP_READING_GRANTED;
	reading->handlers->wake(reading->data);
}

static int answer(struct map_reading *reading, const uint8_t *bytes, size_t size)
{
	const struct map_packet_ask *ask = (const void *)bytes;
	struct map_packet_wanted wanted = {
		.head = {MAP_PACKET_VERSION, MAP_PACKET_WANTED},
	};
	if (reading->asked)
		return -EPROTO;
	reading->asked = true;
	reading->handlers->choose(ask->ids, (uint32_t)((size - sizeof *ask) / sizeof ask->ids[0]),
		wanted.bits, reading->data);
	return map_places_send(&reading->claim, &wanted, sizeof wanted, -1);
}

/* Each slice that is not the last one has looked at something: a reading comes to its end. */
static int keep(struct map_reading *reading, const uint8_t *bytes, size_t size)
{
	const struct map_packet_found *found = (const void *)bytes;
	if (found->result > 0 && found->slots <= reading->slots)
		return -EPROTO;
	reading->slots = found->slots;
	reading->found = alloc_zeroed(1, size);
	reading->found_bytes = size;
	memcpy(reading->found, bytes, size);
	reading->state = MAP_READING_READY;
	reading->handlers->wake(reading->data);
	return 0;
}

static int on_packet(void *data, const uint8_t *bytes, size_t size)
{
	struct map_reading *reading = data;
	if (reading->state != MAP_READING_WORKS)
		return -EPROTO;
	switch (map_packet_check(bytes, size, reading->begin.epoch)) {
	case MAP_PACKET_ASK:
		return answer(reading, bytes, size);
	case MAP_PACKET_FOUND:
		return keep(reading, bytes, size);
	default:
		return -EPROTO;
	}
}

static void forget_found(struct map_reading *reading)
{
	free(reading->found);
	reading->found = NULL;
	reading->found_bytes = 0;
}

static void close_memory(struct map_reading *reading)
{
	process_reader_forget(&reading->ask);
	reading->texts = process_texts_free(reading->texts);
}

/* A slice that had come is as good as it was, but there will be no other. */
static void on_lost(void *data, int error)
{
	struct map_reading *reading = data;
	forget_found(reading);
	close_memory(reading);
	reading->error = error;
	reading->state = MAP_READING_LOST;
	reading->handlers->wake(reading->data);
}

static const struct map_claim_handlers claim_handlers = {on_granted, on_packet, on_lost};

void map_reading_init(struct map_reading *reading, struct map_places *places,
	struct process_reader *opener, uid_t uid, const struct map_reading_handlers *handlers,
	void *data)
{
	*reading = (struct map_reading){
		.claim = {.places = places, .uid = uid, .handlers = &claim_handlers},
		.handlers = handlers,
		.data = data,
		.opener = opener,
		.ask = {.uid = uid},
	};
	reading->claim.data = reading;
}

void map_reading_end(struct map_reading *reading)
{
	if (reading->state == MAP_READING_NONE)
		return;
	map_places_leave(&reading->claim);
	forget_found(reading);
	close_memory(reading);
	reading->state = MAP_READING_NONE;
}

int map_reading_wait(struct map_reading *reading, const struct segment_map_places *places)
{
	if (places->map_address == 0 || reading->claim.places == NULL || reading->opener == NULL)
		return -ENOENT;
	reading->begin.places = *places;
	reading->state = MAP_READING_WAITS;
	if (map_places_wait(&reading->claim))
		reading->state = MAP_READING_GRANTED;
	return 0;
}

/* The place is given back: there is nothing to be read. */
static void fail(struct map_reading *reading, int error)
{
	map_places_leave(&reading->claim);
	on_lost(reading, error);
}

static void on_opened(struct process_texts *texts, void *data)
{
	struct map_reading *reading = data;
	int r = process_texts_result(texts, PROC_FILE_MEMORY);
	reading->texts = texts;
	if (r == 0 && texts->memory_fd < 0)
		r = -EPROTO;
	if (r < 0) {
		fail(reading, r);
		return;
	}
	reading->state = MAP_READING_OPENED;
	reading->handlers->wake(reading->data);
}

int map_reading_open(
	struct map_reading *reading, const struct process_handle *process, uint32_t epoch)
{
	reading->begin.head = (struct map_packet){MAP_PACKET_VERSION, MAP_PACKET_BEGIN};
	reading->begin.epoch = epoch;
	reading->slots = 0;
	reading->ask.files = PROC_FILE_BIT(PROC_FILE_MEMORY) | PROC_FILE_BIT(PROC_FILE_MAPS) |
			     process_image_files;
	reading->ask.done = on_opened;
	reading->ask.data = reading;
	int r = process_reader_ask(reading->opener, &reading->ask, process);
	if (r == 0)
		reading->state = MAP_READING_OPENS;
	return r;
}

const struct process_texts *map_reading_texts(const struct map_reading *reading)
{
	return reading->texts;
}

static int start(struct map_reading *reading)
{
	int r = map_places_start(&reading->claim);
	/* Not there or not to be executed: nothing about the worker. */
	if (r == -ENOENT || r == -EACCES || r == -EPERM)
		r = -ENOEXEC;
	if (r == 0)
		r = map_places_send(&reading->claim, &reading->begin, sizeof reading->begin,
			reading->texts->memory_fd);
	close_memory(reading);
	return r;
}

int map_reading_next(struct map_reading *reading, uint32_t levels)
{
	const struct map_packet_next next = {
		.head = {MAP_PACKET_VERSION, MAP_PACKET_NEXT},
		.levels = levels,
	};
	int r = reading->state == MAP_READING_OPENED ? start(reading) : 0;
	if (r < 0)
		return r;
	forget_found(reading);
	reading->asked = false;
	reading->state = MAP_READING_WORKS;
	return map_places_send(&reading->claim, &next, sizeof next, -1);
}

struct map_packet_found *map_reading_found(struct map_reading *reading, size_t *size)
{
	*size = reading->found_bytes;
	return (struct map_packet_found *)reading->found;
}

bool map_reading_is_due(const struct map_reading *reading)
{
	return reading->state == MAP_READING_GRANTED || reading->state == MAP_READING_OPENED ||
	       reading->state == MAP_READING_READY || reading->state == MAP_READING_LOST;
}

size_t map_reading_bytes(const struct map_reading *reading)
{
	/* The helper's room for a packet lies in this process, too. */
	return reading->found_bytes +
	       (reading->state == MAP_READING_WORKS || reading->state == MAP_READING_READY
			       ? MAP_PACKET_MAX_BYTES
			       : 0);
}
