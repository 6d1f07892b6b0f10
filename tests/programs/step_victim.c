/*
 * What stress_step_kill steps through: between two breakpoints one free of a sampled block and one
 * sampled malloc, in the main thread or in threads of which each may die half-way. rax tells at a
 * breakpoint where a system call instruction is. Run under the agent with SPPROF_RATE=1.
 *
 *   step_victim alone      once
 *   step_victim threads    in VICTIMS threads; exits 0 if the main thread is sampled on afterwards
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "support/agent_view.h"

#if defined(__x86_64__)

enum { VICTIMS = 6, WARM = 20, BATCH = 200, SECONDS = 30 };

static void *(*volatile do_malloc)(size_t) = malloc;
static void (*volatile do_free)(void *) = free;

extern char step_victim_syscall[];
__asm__(".text\nstep_victim_syscall: syscall\n ud2\n");

static void breakpoint(void)
{
	__asm__ volatile("int3" : : "a"(step_victim_syscall) : "memory");
}

static void *suffer(void *unused)
{
	void *volatile block;

	for (int i = 0; i < WARM; i++) {
		block = do_malloc(1000);
		do_free(block);
	}
	block = do_malloc(1000);
	breakpoint();
	do_free(block);
	block = do_malloc(1000);
	breakpoint();
	return unused;
}

static uint64_t losses(void)
{
	uint64_t sum = 0;

	for (enum wire_loss reason = 0; reason < WIRE_LOSS_KINDS; reason++)
		sum += agent_view_lost(reason);
	return sum;
}

/* Whether all of a batch is sampled and announced. */
static bool batch(void)
{
	uint64_t samples = agent_view_samples(), lost = losses();

	for (int i = 0; i < BATCH; i++) {
		do_free(do_malloc(1000));
		agent_view_drain();
	}
	return agent_view_samples() - samples == BATCH && losses() == lost;
}

static bool is_sampled_on(void)
{
	struct timespec start, now;

	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		if (batch())
			return true;
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec - start.tv_sec < SECONDS);
	return false;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc < 2 || strcmp(argv[1], "alone") == 0) {
		suffer(NULL);
		return 0;
	}
	agent_view_open();
	for (int i = 0; i < VICTIMS; i++) {
		if (pthread_create(&thread, NULL, suffer, NULL) != 0)
			return 2;
		pthread_join(thread, NULL);
	}
	return agent_view_header && is_sampled_on() ? 0 : 1;
}

#else

int main(void)
{
	return 3;
}

#endif
