/*
 * map_reading.h without processes, for tests that link it instead: the real map reader reads this process's own
 * memory, while the worker's threads go on, and what it finds is due only some steps later. One
 * reading at a time; one thread.
 */
#pragma once
#include "server/map_reading.h"

/* One step of what goes on beside the daemon: the place comes, a slice is read, it arrives. */
void fake_reading_goes_on(struct map_reading *reading);
