/* The checksum in .gnu_debuglink: CRC-32 of IEEE 802.3 over the whole .debug file. Pure. */
#pragma once
#include <stddef.h>
#include <stdint.h>

uint32_t crc32_compute(const void *bytes, size_t size);
