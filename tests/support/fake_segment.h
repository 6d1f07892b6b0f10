/*
 * A worker's segment made by hand through the wire headers, without an agent: for tests that feed
 * the daemon, well-formed or not. The owner sees the whole of it mapped and may scribble anywhere.
 * It shares the memfd with whoever got fake_segment_dup. A function that cannot do its part ends
 * the program.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdatomic.h>
#include "spprof/wire/record.h"
#include "spprof/wire/ring.h"

struct fake_segment {
	int fd;	       /* owns */
	uint8_t *base; /* owns; the whole segment mapped */
	size_t size;
	struct wire_header *header;
	struct wire_ring *rings;
	uint32_t ring_count, ring_size; /* private: the header may be spoilt on purpose */
	uint32_t codes_end;		/* of the definitions, behind the last one */
};

#define FAKE_SEGMENT_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A valid, empty segment, not sealed yet. `memfd_flags` are added to MFD_CLOEXEC |
 * MFD_ALLOW_SEALING. */
void fake_segment_init(struct fake_segment *segment, uint32_t ring_count, uint32_t ring_size,
	unsigned memfd_flags);
void fake_segment_deinit(struct fake_segment *segment);
void fake_segment_seal(struct fake_segment *segment, int seals);
int fake_segment_dup(const struct fake_segment *segment); /* the caller's */
void fake_segment_maps(struct fake_segment *segment, const char *text);

/* Bytes at a position of the ring, wrapping around its end; the head stays. */
void fake_segment_put(struct fake_segment *segment, uint32_t ring, uint64_t position,
	const void *bytes, size_t size);
/* Appends at the head and sets it and the dirty bit. There is no check for room. */
void fake_segment_append(
	struct fake_segment *segment, uint32_t ring, const void *bytes, size_t size);
/* Both positions, as if that much had passed through the ring already. */
void fake_segment_seek(struct fake_segment *segment, uint32_t ring, uint64_t position);

struct wire_code;

/* Defines code `number`: at `unit` it is in line first_line + unit, for the first 64 units; none behind. Borrowed: to
 * be spoilt on purpose. */
struct wire_code *fake_segment_code(struct fake_segment *segment, uint32_t number, const char *name,
	const char *file, int32_t first_line);
/* What the index says of a code. */
void fake_segment_code_place(struct fake_segment *segment, uint32_t number, uint64_t place);

/* The worker's named marks. */
struct wire_marks *fake_segment_marks(const struct fake_segment *segment);
/* Those that daemons keep for their clients. */
struct wire_marks *fake_segment_client_marks(const struct fake_segment *segment);

/* Well-formed records, filled with values that follow from `id`. `out` has WIRE_RECORD_MAX bytes.
 */
size_t fake_segment_birth(void *out, uint64_t id, uint16_t frame_count);
size_t fake_segment_death(void *out, uint64_t id);
/* A birth told again for `epoch`, the death that takes it back, and the end of the telling. */
size_t fake_segment_live(void *out, uint64_t id, uint16_t frame_count, uint32_t epoch);
size_t fake_segment_take_back(void *out, uint64_t id, uint32_t epoch);
size_t fake_segment_end(void *out, uint32_t epoch, uint32_t lives);
/* The part from `offset` on of an audit of so many frames and bytes of stack; whole, as an agent
 * cuts it. */
size_t fake_segment_audit(
	void *out, uint64_t id, uint16_t frame_count, uint16_t stack_bytes, uint16_t offset);
