/*
 * A thread's stores on their way to memory, as TSO machines have them: the thread reads its own
 * newest one, everybody else sees them in order, in their own time. Atomic read-modify-writes wait
 * until the buffer is empty. Flat bytes, unused ones zero, so that states compare by memcmp.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum {
	STORE_BUFFER_SIZE = 8,
};

struct store_buffer {
	uint8_t count;
	uint8_t cell[STORE_BUFFER_SIZE], value[STORE_BUFFER_SIZE];
};

/* What the thread itself reads: its own newest store to `cell`, else memory. */
uint8_t store_buffer_load(const struct store_buffer *buffer, const uint8_t *cells, unsigned cell);
/* False: full; the model's bounds are too small. */
bool store_buffer_put(struct store_buffer *buffer, unsigned cell, uint8_t value);
/* Takes the oldest store out, which is there. */
void store_buffer_take(struct store_buffer *buffer, uint8_t *cell, uint8_t *value);
