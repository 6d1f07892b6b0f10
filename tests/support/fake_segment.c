/* The segment is written like the agent does it, but by one thread and without leases. */
#include "config.h"
#include "support/fake_segment.h"
#include "support/own_segment.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static void must(int ok, const char *what)
{
	if (!ok) {
		perror(what);
		abort();
	}
}

void fake_segment_init(
	struct fake_segment *segment, uint32_t ring_count, uint32_t ring_size, unsigned memfd_flags)
{
	size_t size = wire_segment_size(ring_count, ring_size);
	int fd = memfd_create(WIRE_MEMFD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | memfd_flags);
	must(fd >= 0, "memfd_create");
	own_segment(fd);
	must(ftruncate(fd, (off_t)size) == 0, "ftruncate");
	uint8_t *base = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	must(base != MAP_FAILED, "mmap");

	*segment = (struct fake_segment){
		.fd = fd,
		.base = base,
		.size = size,
		.header = (struct wire_header *)base,
		.rings = (struct wire_ring *)(base + WIRE_RINGS_OFFSET),
		.ring_count = ring_count,
		.ring_size = ring_size,
	};
	struct wire_header *header = segment->header;
	header->magic = WIRE_MAGIC;
	header->major = WIRE_MAJOR;
	header->minor = WIRE_MINOR;
	header->header_size = sizeof(*header);
	header->ring_count = ring_count;
	header->ring_size = ring_size;
	header->pid_hint = (uint32_t)getpid();
	header->load_ns = 1;
	header->interval_bytes = 512u << 10;
	header->flags = WIRE_FLAG_FROM_START;
	strcpy(header->agent_version, "test");
}

void fake_segment_deinit(struct fake_segment *segment)
{
	munmap(segment->base, segment->size);
	close(segment->fd);
}

void fake_segment_seal(struct fake_segment *segment, int seals)
{
	must(fcntl(segment->fd, F_ADD_SEALS, seals) == 0, "F_ADD_SEALS");
}

int fake_segment_dup(const struct fake_segment *segment)
{
	int fd = fcntl(segment->fd, F_DUPFD_CLOEXEC, 0);

	must(fd >= 0, "F_DUPFD_CLOEXEC");
	return fd;
}

void fake_segment_maps(struct fake_segment *segment, const char *text)
{
	size_t size = strlen(text);

	must(size <= WIRE_MAPS_MAX, "maps text fits");
	memcpy(segment->base + WIRE_MAPS_OFFSET, text, size);
	segment->header->maps_size = (uint32_t)size;
}

static uint8_t *definitions(const struct fake_segment *segment)
{
	return segment->base + wire_definitions_offset(segment->ring_count, segment->ring_size);
}

struct wire_marks *fake_segment_marks(const struct fake_segment *segment)
{
	return (struct wire_marks *)definitions(segment);
}

struct wire_marks *fake_segment_client_marks(const struct fake_segment *segment)
{
	return (struct wire_marks *)(definitions(segment) + WIRE_CLIENT_MARKS_OFFSET);
}

void fake_segment_code_place(struct fake_segment *segment, uint32_t number, uint64_t place)
{
	_Atomic uint64_t *index =
		(_Atomic uint64_t *)(definitions(segment) + WIRE_CODES_INDEX_OFFSET);

	must(number < WIRE_CODES_MAX, "a number of code");
	/* [CODE-1] release: the definition before its place; pairs with session_codes.c */
	atomic_store_explicit(&index[number], place, memory_order_release);
}

struct wire_code *fake_segment_code(struct fake_segment *segment, uint32_t number, const char *name,
	const char *file, int32_t first_line)
{
	enum { UNITS = 64, ENTRY = 2 };
	size_t name_bytes = strlen(name), file_bytes = strlen(file);
	size_t size = sizeof(struct wire_code) + name_bytes + file_bytes + (size_t)UNITS * ENTRY;
	uint32_t offset = segment->codes_end ? segment->codes_end : WIRE_CODES_OFFSET;
	struct wire_code *code = (struct wire_code *)(definitions(segment) + offset);

	size = (size + 7) & ~(size_t)7;
	must(offset + size <= WIRE_DEFINITIONS_SIZE, "room for a definition");
	*code = (struct wire_code){
		.size = (uint32_t)size,
		.lines = WIRE_CODE_LOCATIONS,
		.first_line = first_line,
		.line_bytes = UNITS * ENTRY,
		.name_bytes = (uint16_t)name_bytes,
		.file_bytes = (uint16_t)file_bytes,
	};
	memcpy(code->text, name, name_bytes);
	memcpy(code->text + name_bytes, file, file_bytes);
	/* Each without columns (13), one unit, by 0 or by 1 line (a signed number: 2). */
	for (size_t i = 0; i < UNITS; i++) {
		uint8_t *entry = code->text + name_bytes + file_bytes + i * ENTRY;
		entry[0] = 0x80 | 13 << 3;
		entry[1] = i > 0 ? 2 : 0;
	}
	segment->codes_end = offset + (uint32_t)size;
	fake_segment_code_place(segment, number, WIRE_CODE_PLACE(offset, size));
	return code;
}

void fake_segment_put(struct fake_segment *segment, uint32_t ring, uint64_t position,
	const void *bytes, size_t size)
{
	uint8_t *data = segment->base + wire_ring_data_offset(segment->ring_size, ring);
	size_t at = position & (segment->ring_size - 1);
	size_t before_end = segment->ring_size - at;
	size_t first = size < before_end ? size : before_end;

	memcpy(data + at, bytes, first);
	memcpy(data, (const uint8_t *)bytes + first, size - first);
}

void fake_segment_append(
	struct fake_segment *segment, uint32_t ring, const void *bytes, size_t size)
{
	struct wire_ring *control = &segment->rings[ring];
	/* relaxed: this thread is the only producer */
	uint64_t head = atomic_load_explicit(&control->head, memory_order_relaxed);

	fake_segment_put(segment, ring, head, bytes, size);
	/* [RING-1] release: the bytes before the head over them; pairs with ring_consumer.c */
	atomic_store_explicit(&control->head, head + size, memory_order_release);
	/* [DIRTY-1] release: the head before the bit; pairs with segment_map.c */
	atomic_fetch_or_explicit(
		&segment->header->dirty, UINT64_C(1) << ring, memory_order_release);
}

void fake_segment_seek(struct fake_segment *segment, uint32_t ring, uint64_t position)
{
	/* relaxed: the daemon gets the segment only afterwards */
	atomic_store_explicit(&segment->rings[ring].head, position, memory_order_relaxed);
	atomic_store_explicit(&segment->rings[ring].tail, position, memory_order_relaxed);
}

size_t fake_segment_birth(void *out, uint64_t id, uint16_t frame_count)
{
	struct wire_birth *birth = out;
	size_t size = sizeof(*birth) + frame_count * sizeof(uint64_t);

	memset(birth, 0, sizeof(*birth));
	birth->record.size = (uint32_t)size;
	birth->record.type = WIRE_BIRTH;
	birth->id = id;
	birth->size_bytes = id * 16;
	birth->interval_bytes = 512u << 10;
	birth->time_ns = id * 1000;
	birth->address = id << 4;
	birth->tid = 1;
	birth->frame_count = frame_count;
	for (uint16_t i = 0; i < frame_count; i++)
		birth->frames[i] = wire_digest(id + i);
	return size;
}

size_t fake_segment_death(void *out, uint64_t id)
{
	struct wire_death *death = out;

	memset(death, 0, sizeof(*death));
	death->record.size = sizeof(*death);
	death->record.type = WIRE_DEATH;
	death->id = id;
	death->time_ns = id * 1000 + 1;
	death->tid = 1;
	return sizeof(*death);
}

size_t fake_segment_live(void *out, uint64_t id, uint16_t frame_count, uint32_t epoch)
{
	struct wire_birth *live = out;
	size_t size = fake_segment_birth(out, id, frame_count);

	live->record.type = WIRE_LIVE;
	live->epoch = epoch;
	return size;
}

size_t fake_segment_take_back(void *out, uint64_t id, uint32_t epoch)
{
	struct wire_death *death = out;
	size_t size = fake_segment_death(out, id);

	death->time_ns = 0;
	death->epoch = epoch;
	return size;
}

size_t fake_segment_end(void *out, uint32_t epoch, uint32_t lives)
{
	struct wire_end *end = out;

	*end = (struct wire_end){
		.record = {.size = sizeof(*end), .type = WIRE_END}, .epoch = epoch, .lives = lives};
	return sizeof(*end);
}

size_t fake_segment_audit(
	void *out, uint64_t id, uint16_t frame_count, uint16_t stack_bytes, uint16_t offset)
{
	struct wire_audit *part = out;
	uint32_t frames_size = frame_count * 8u;
	uint32_t end = offset < frames_size ? frames_size : frames_size + stack_bytes;
	uint32_t size = end - offset < WIRE_AUDIT_PART_MAX ? end - offset : WIRE_AUDIT_PART_MAX;

	*part = (struct wire_audit){
		.record = {.size = (uint32_t)sizeof *part + size, .type = WIRE_AUDIT},
		.id = id,
		.pc = 0x400000,
		.sp = 0x7000,
		.stack_bytes = stack_bytes,
		.frame_count = frame_count,
		.offset = offset,
	};
	memset(part->payload, 0, size);
	for (uint32_t i = 0; i < size && offset + i < frames_size; i += 8) {
		uint64_t frame = part->pc + (offset + i) / 8;
		memcpy(part->payload + i, &frame, sizeof frame);
	}
	return part->record.size;
}
