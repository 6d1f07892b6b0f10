/*
 * Calls operator new and reallocarray and reads in its own segment how often each was counted:
 * once, whether or not they end in another interposed function. Run under the agent with
 * SPPROF_RATE=1, which samples every allocation. Prints TAP.
 */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "spprof/wire/segment.h"

#define ROUNDS 1000

extern void *_Znwm(size_t size);
extern void *_Znam(size_t size);
extern void _ZdlPv(void *block);
extern void _ZdaPv(void *block);

static const struct wire_header *find_segment(void)
{
	const struct wire_header *header = NULL;
	char line[512];
	unsigned long start;
	FILE *maps = fopen("/proc/self/maps", "r");

	while (maps && !header && fgets(line, sizeof line, maps))
		if (strstr(line, WIRE_MEMFD_NAME) && sscanf(line, "%lx", &start) == 1)
			header = (const struct wire_header *)start;
	if (maps)
		fclose(maps);
	return header;
}

static uint64_t load(const _Atomic uint64_t *counter)
{
	/* relaxed: written by this very thread. */
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static int tests;

static void check(uint64_t counted, uint64_t wanted, const char *what)
{
	printf("%sok %d - %s\n", counted == wanted ? "" : "not ", ++tests, what);
	if (counted != wanted)
		printf("# %llu instead of %llu\n", (unsigned long long)counted,
			(unsigned long long)wanted);
}

int main(void)
{
	void *(*volatile again)(void *, size_t, size_t) = reallocarray;
	const struct wire_header *header = find_segment();

	if (!header) {
		puts("1..0 # SKIP no agent, or it has no segment");
		return 0;
	}
	const struct wire_counters *counters = &header->counters;
	uint64_t before = load(&counters->samples);

	for (int i = 0; i < ROUNDS; i++)
		_ZdlPv(_Znwm(40));
	uint64_t after_new = load(&counters->samples);
	for (int i = 0; i < ROUNDS; i++)
		_ZdaPv(_Znam(40));
	uint64_t after_array = load(&counters->samples);
	for (int i = 0; i < ROUNDS; i++)
		free(again(NULL, 10, 4));
	uint64_t after_reallocarray = load(&counters->samples);

	check(after_new - before, ROUNDS, "each operator new is one sample");
	check(after_array - after_new, ROUNDS, "each operator new[] is one sample");
	check(after_reallocarray - after_array, ROUNDS, "each reallocarray is one sample");
	check(load(&counters->missed_frees), 0, "no address was remembered twice");
	printf("1..%d\n", tests);
	return 0;
}
