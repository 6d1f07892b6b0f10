/*
 * Named marks in the segment, the last WIRE_MARKS_MAX of them (include/spprof/wire/definitions.h). Any
 * thread, signal handlers too; nobody waits.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "segment.h"

/* False: the name is empty or too long. Without a memfd the mark goes nowhere, as everything that is
 * told. */
bool mark_ring_add(struct segment *segment, const char *name, uint64_t id, uint64_t now_ns);
