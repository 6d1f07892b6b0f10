/*
 * Address space that is taken and given back, so that what runs in between finds no more than so
 * much of it: a limit that is as tight as the work allows, whatever files are mapped. It counts
 * where RLIMIT_AS is set, to `most_bytes` or less. One thread.
 */
#pragma once
#include <stddef.h>

struct ballast {
	void *from; /* owns; NULL: none */
	size_t bytes;
};

void ballast_take(struct ballast *ballast, size_t most_bytes, size_t left_bytes);
void ballast_drop(struct ballast *ballast);
