/*
 * map_reading.h without processes, for tests that link it instead: the real map reader reads this process's own
 * memory, while the worker's threads go on, and what it finds is due only some steps later. One
 * reading at a time; one thread.
 */
#pragma once
#include "server/map_reading.h"

/* What goes on beside the daemon: the place comes, the memory is open, a slice is read, it arrives. */
enum fake_reading_step {
	FAKE_READING_GRANT,
	FAKE_READING_OPEN,
	FAKE_READING_READ,
	FAKE_READING_COME
};

/* If that is what comes next, of the reading that was waited for last. */
void fake_reading_step(enum fake_reading_step step);
/* One step of whatever comes next, now and then after some time. */
void fake_reading_goes_on(void);
