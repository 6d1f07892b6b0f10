/* A queue so short that moving its bytes up keeps equal contents equal. */
#include "model/store_buffer.h"
#include <string.h>

uint8_t store_buffer_load(const struct store_buffer *buffer, const uint8_t *cells, unsigned cell)
{
	for (unsigned i = buffer->count; i-- > 0;)
		if (buffer->cell[i] == cell)
			return buffer->value[i];
	return cells[cell];
}

bool store_buffer_put(struct store_buffer *buffer, unsigned cell, uint8_t value)
{
	if (buffer->count == STORE_BUFFER_SIZE)
		return false;
	buffer->cell[buffer->count] = (uint8_t)cell;
	buffer->value[buffer->count++] = value;
	return true;
}

void store_buffer_take(struct store_buffer *buffer, uint8_t *cell, uint8_t *value)
{
	*cell = buffer->cell[0];
	*value = buffer->value[0];
	buffer->count--;
	memmove(buffer->cell, buffer->cell + 1, buffer->count);
	memmove(buffer->value, buffer->value + 1, buffer->count);
	buffer->cell[buffer->count] = buffer->value[buffer->count] = 0;
}
