/*
 * The daemon's half of stress_resync.c: what a session does with one worker's segment, by the real
 * modules, on a clock of the test's own. One daemon at a time; one thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct daemon_sample {
	uint64_t id, address, size_bytes, interval_bytes, birth_ns;
	uint32_t tid;
	const uint64_t *frames;
	uint32_t frame_count;
	uint8_t stop, guessed;
	bool not_kept; /* the worker has not kept its stack */
};

enum daemon_verdict { DAEMON_UNSURE, DAEMON_CONFIRMED, DAEMON_HOLDS };

/* Of all daemons so far. */
struct daemon_sums {
	uint64_t requests, confirmations, readings, taken_back, swept;
};

/* Attaches to the segment, from where an earlier daemon stopped. */
void daemon_start(int segment_fd);
/* SIGKILL: what the daemon knew is gone. */
void daemon_kill(void);
bool daemon_runs(void);

/* `advance_ns` later: takes about `max_bytes` from the rings. True: that ended a round. */
bool daemon_pass(uint64_t advance_ns, bool all, uint64_t max_bytes);
/* Somebody waits for an answer. */
void daemon_hurry(void);
/* The worker has been asked to tell all again, and has not yet. */
bool daemon_asks(void);
/* Nothing comes before some time has passed. */
bool daemon_waits(void);

enum daemon_verdict daemon_verdict(void);
void daemon_describe(char *text, size_t size);
void daemon_digest(uint64_t *live, uint64_t *digest);
void daemon_each(void (*visit)(const struct daemon_sample *sample, void *data), void *data);
void daemon_sums(struct daemon_sums *out);
