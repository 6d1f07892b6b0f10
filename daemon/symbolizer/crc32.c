#include "symbolizer/crc32.h"

#define POLYNOMIAL 0xedb88320u /* bit-reversed */

static void fill(uint32_t table[256])
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t value = i;
		for (int bit = 0; bit < 8; bit++)
			value = value >> 1 ^ (value & 1 ? POLYNOMIAL : 0);
		table[i] = value;
	}
}

uint32_t crc32_compute(const void *bytes, size_t size)
{
	uint32_t table[256], crc = ~0u;
	fill(table);
	for (const uint8_t *at = bytes, *end = at + size; at < end; at++)
		crc = crc >> 8 ^ table[(crc ^ *at) & 0xff];
	return ~crc;
}
