/*
 * Checks one record in the daemon's own memory before anybody believes it. Pure; any thread;
 * fuzzed. Every field is checked that a number is computed from: size, frame count, id, sizes,
 * intervals, stop, the epochs of what answers a resync, and an audit's place in its payload. Not
 * checked, because every value means something: times, tids, addresses, other flags, `guessed`.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "spprof/wire/record.h"

/* Sizes and intervals above this are nonsense, and sums of smaller ones stay far from overflow. */
#define RECORD_DECODE_MAX_BYTES (UINT64_C(1) << 62)

enum record_decode_result {
	RECORD_DECODE_BIRTH = 1,
	RECORD_DECODE_LIVE, /* a struct wire_birth too */
	RECORD_DECODE_DEATH,
	RECORD_DECODE_END,
	RECORD_DECODE_AUDIT,   /* one part: whether parts fit together is for who collects them */
	RECORD_DECODE_UNKNOWN, /* skip record.size bytes */
};

/* `bytes` is 8-aligned and holds `available` bytes. On success (> 0) *size is the record's whole
 * size
 * (> 0, multiple of 8, <= available and <= WIRE_RECORD_MAX). -EAGAIN: cut off at the end; -EBADMSG:
 * malformed. */
int record_decode(const void *bytes, size_t available, size_t *size);
