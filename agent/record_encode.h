/*
 * Filling in the records of spprof/wire/record.h. Frames are captured or read straight into a
 * record's place for them, so what is left is everything in front of them. Pure; any thread.
 */
#pragma once
#include <stdint.h>
#include "heap_map.h"
#include "spprof/wire/record.h"
#include "stack_store.h"

/* epoch 0: a BIRTH, else the LIVE of that resync. `stack` NULL: not kept; its frames are in place
 * already. */
void record_encode_birth(struct wire_birth *birth, const struct heap_map_entry *entry,
	const struct stack_view *stack, uint32_t epoch);
