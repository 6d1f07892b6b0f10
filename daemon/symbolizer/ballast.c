/* How much is free nobody tells, so that it is tried: half of the rest, more or less, each time. */
#include "symbolizer/ballast.h"
#include <stdbool.h>
#include <sys/mman.h>

#define STEP ((size_t)1 << 20)

static bool take(struct ballast *ballast, size_t bytes)
{
	void *from =
		mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (from == MAP_FAILED)
		return false;
	*ballast = (struct ballast){from, bytes};
	return true;
}

static size_t find_free(size_t most)
{
	size_t least = 0;
	while (most - least > STEP) {
		struct ballast trial;
		size_t middle = least + (most - least) / 2;
		if (take(&trial, middle)) {
			ballast_drop(&trial);
			least = middle;
		} else {
			most = middle;
		}
	}
	return least;
}

void ballast_take(struct ballast *ballast, size_t most_bytes, size_t left_bytes)
{
	size_t free_bytes = find_free(most_bytes);
	*ballast = (struct ballast){0};
	if (free_bytes > left_bytes)
		take(ballast, free_bytes - left_bytes);
}

void ballast_drop(struct ballast *ballast)
{
	if (ballast->from)
		munmap(ballast->from, ballast->bytes);
	*ballast = (struct ballast){0};
}
