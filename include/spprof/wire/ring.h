/*
 * A ring: single producer (whoever holds its lease), single consumer (the daemon). Positions count bytes
 * since the beginning and never wrap; data lie at position & (ring_size - 1), records may wrap around.
 * Records start at multiples of 8.
 *
 *   field   writer          reader          order
 *   head    lease holder    daemon          [RING-1] release/acquire: record bytes before the head over them
 *   tail    daemon          lease holder    [RING-2] release/acquire: daemon's copy is done before reuse
 *   lease   agent threads   agent threads   [RING-3] acquire/release: one holder's writes before the next's
 *
 * The daemon keeps its own tail privately and only writes the shared one; the producer takes
 * `head - tail > ring_size` as full. Neither trusts what the other wrote.
 */
#pragma once
#include "spprof/wire/segment.h"

struct wire_ring {
	_Alignas(64) _Atomic uint64_t head;
	_Atomic uint64_t lease; /* 0: free; else tid | generation << 32 */
	uint8_t reserved0[112];
	_Alignas(64) _Atomic uint64_t tail;
	uint8_t reserved1[120];
};

_Static_assert(sizeof(struct wire_ring) == 256, "a control block is 256 bytes");
_Static_assert(offsetof(struct wire_ring, tail) == 128, "producer and consumer share no line");
