/*
 * /proc/PID/mem and not process_vm_readv: both ask the same rights of the caller, but this one is
 * bound to the address space by its descriptor, and the other one to whatever has the number, and
 * whatever runs in it, at the moment of each call.
 */
#include "config.h"
#include "server/map_reading.h"

#include <errno.h>
#include <unistd.h>

#include "server/process_handle.h"

/* 0 bytes: the address space is gone. */
static int read_memory(uint64_t address, void *bytes, size_t size, void *data)
{
	const struct map_reading *reading = data;
	uint8_t *at = bytes;
	if (address > INT64_MAX - size)
		return -EFAULT;
	while (size > 0) {
		ssize_t n = pread(reading->memory_fd, at, size, (off_t)address);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n == 0 ? -ESRCH : errno == EIO ? -EFAULT : -errno;
		at += n;
		address += (uint64_t)n;
		size -= (size_t)n;
	}
	return 0;
}

void map_reading_init(struct map_reading *reading)
{
	*reading = (struct map_reading){.memory_fd = -1};
}

void map_reading_deinit(struct map_reading *reading)
{
	reading->reader = map_reader_free(reading->reader);
	if (reading->memory_fd >= 0)
		close(reading->memory_fd);
	reading->memory_fd = -1;
}

int map_reading_begin(struct map_reading *reading, const struct process_handle *process,
	const struct segment_map_places *places)
{
	map_reading_deinit(reading);
	reading->source = (struct map_source){read_memory, reading};
	int r = map_reader_new(&reading->reader, places, &reading->source);
	if (r < 0)
		return r;
	reading->memory_fd = process_handle_open_memory(process);
	if (reading->memory_fd >= 0)
		return 0;
	r = reading->memory_fd;
	reading->memory_fd = -1;
	map_reading_deinit(reading);
	return r;
}

struct resync_slice map_reading_slice(
	struct map_reading *reading, uint32_t levels, const struct map_sink *sink)
{
	struct map_reader_stats stats;
	struct resync_slice slice = {
		.result = map_reader_slice(reading->reader, levels, sink),
	};
	map_reader_stats(reading->reader, &stats);
	slice.still = stats.moved == 0;
	slice.announced = stats.secret == 0;
	slice.percent =
		stats.slots_in_all > 0 ? (unsigned)(100 * stats.slots / stats.slots_in_all) : 100;
	if (slice.result >= 0)
		map_reader_hand_over(reading->reader, sink);
	if (slice.result != 1)
		map_reading_deinit(reading);
	return slice;
}
