/*
 * Under an agent that samples every allocation: chains of calls that know their own truth allocate,
 * and the records that come out in the process's own segment must hold just those stacks, to the
 * end. Prints TAP.
 *
 * unwind_sampled LIBRARY NAME: also from a library that is loaded by its path; and one that is
 * loaded by its bare name, which only this program's RUNPATH leads to.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <string.h>
#include "spprof/wire/record.h"
#include "support/agent_view.h"
#include "support/tap_print.h"
#include "unwind_lib.h"
#include "unwind_truth.h"

static unsigned long compared, right;
static unsigned blocks, found, whole;
static int chain_depth;
static void *(*volatile allocate)(size_t) = malloc;

static union {
	struct wire_birth birth;
	uint8_t bytes[WIRE_RECORD_MAX];
} record;

/* Copies `size` bytes at `position` of the ring into the record. */
static void copy(uint32_t ring, uint64_t position, uint32_t size)
{
	const uint8_t *segment = (const uint8_t *)agent_view_header;
	uint32_t ring_size = agent_view_header->ring_size;
	size_t data = wire_ring_data_offset(ring_size, ring);
	for (uint32_t i = 0; i < size && i < sizeof(record); i++)
		record.bytes[i] = segment[data + ((position + i) & (ring_size - 1))];
}

/* Whether a ring holds the birth of the block; it is in `record` then. */
static bool find_birth(const void *block)
{
	for (uint32_t i = 0; i < agent_view_header->ring_count; i++) {
		struct wire_ring *ring = agent_view_ring(i);
		uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);
		uint64_t at = atomic_load_explicit(&ring->tail, memory_order_relaxed);
		for (; at < head; at += record.birth.record.size) {
			copy(i, at, sizeof(struct wire_record));
			copy(i, at, record.birth.record.size);
			if (record.birth.record.type == WIRE_BIRTH &&
				record.birth.address == (uintptr_t)block)
				return true;
		}
	}
	return false;
}

static void allocate_and_compare(void)
{
	agent_view_drain();
	void *block = allocate(200);
	blocks++;
	if (find_birth(block)) {
		found++;
		whole += record.birth.stop == WIRE_STOP_END && !record.birth.guessed;
		for (int i = 0; i < chain_depth; i++) {
			compared++;
			/* [0] returns into this function, [1] into the innermost of the chain */
			right += i + 2 < record.birth.frame_count &&
				 record.birth.frames[i + 2] == unwind_truth[i];
		}
	}
	free(block);
}

static void *run_chains(void *argument)
{
	for (unsigned first = 0; first < unwind_truth_functions(); first++) {
		chain_depth = 10 + (int)first % 50;
		unwind_truth_run(first, chain_depth, allocate_and_compare);
	}
	return argument;
}

static bool all_right(void)
{
	bool good = blocks && found == blocks && whole == blocks && right == compared;
	printf("# %u blocks, %u samples, %u stacks whole, %lu frames compared, %lu right\n", blocks,
		found, whole, compared, right);
	compared = right = blocks = found = whole = 0;
	return good;
}

static bool a_library_is_sampled(const char *path)
{
	for (int i = 0; i < 3; i++) {
		void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
		int (*call)(void (*)(void)) =
			library ? (int (*)(void (*)(void)))dlsym(library, "unwind_lib_call") : NULL;
		chain_depth = 0;
		if (!call || call(allocate_and_compare) != 1 || dlclose(library) != 0)
			return false;
	}
	return blocks == 3 && all_right();
}

static bool is_found(const char *name)
{
	void *library = dlopen(name, RTLD_NOW | RTLD_LOCAL);
	return library && dlclose(library) == 0;
}

int main(int argc, char **argv)
{
	pthread_t thread;
	if (argc != 3)
		return 2;
	agent_view_open();
	if (!tap_print(agent_view_header != NULL, "the agent has made its segment"))
		return tap_print_end();
	run_chains(NULL);
	tap_print(all_right(), "every sample of the main thread has its true and whole stack");
	if (pthread_create(&thread, NULL, run_chains, NULL) == 0)
		pthread_join(thread, NULL);
	tap_print(all_right(), "every sample of a thread has its true and whole stack");
	tap_print(a_library_is_sampled(argv[1]),
		"every sample from a library has its whole stack, whenever it is loaded");
	tap_print(is_found(argv[2]), "a library is found by the RUNPATH of who asks for it");
	return tap_print_end();
}
