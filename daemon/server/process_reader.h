/*
 * Reads files of /proc/PID without a wait on the loop: a few helpers (spprof-proc-reader) do it, one
 * process at a time each, and are kept for the next. Owned by the daemon. One thread (the loop's).
 *
 * What one process makes wait costs its helper, which is killed when nothing has come for a while;
 * what had come by then is told. The processes of one uid hold half of the helpers at most, those
 * that were killed and that the kernel doesn't let go counted, and a uid that holds fewer comes
 * first; so whoever makes them wait waits himself. What had no turn for long is told that nothing
 * could be read.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#define PROCESS_READERS 4u

struct process_handle;
struct process_reader;
struct process_texts;
struct reader_place;
struct uv_loop_s;

struct process_reader_options {
	const char *program; /* path of spprof-proc-reader; copied */
	uint32_t stall_ms;   /* no packet for so long: the helper is killed; 0: 2,000 */
};

/* Part of whoever asks, who sets all up to `data`; all zero before. */
struct process_ask {
	uid_t uid;	/* of the process */
	uint32_t files; /* bits of enum proc_file */
	/* Called once, from the loop, never from inside of process_reader_ask. Takes `texts` over; may
	 * ask again. */
	void (*done)(struct process_texts *texts, void *data);
	void *data;
	/* process_reader's own */
	struct process_reader *reader; /* NULL: not under way */
	struct reader_place *place;    /* NULL: waits for its turn */
	int directory;		       /* owns, while it waits */
	unsigned ticks;		       /* of waiting */
	struct process_texts *texts;   /* owns, while it is read */
	TAILQ_ENTRY(process_ask) next;
};

int process_reader_new(struct process_reader **out, struct uv_loop_s *loop,
	const struct process_reader_options *options);
/* Asks that are left are forgotten. The loop must run until all is closed, or a second. */
struct process_reader *process_reader_free(struct process_reader *reader);

/* 0, or negative errno: the process is gone, or there is no descriptor left; `done` is not called
 * then. `reader` NULL: -ENOSYS. */
int process_reader_ask(struct process_reader *reader, struct process_ask *ask,
	const struct process_handle *process);
/* Under way or not: not, afterwards. */
void process_reader_forget(struct process_ask *ask);

struct process_reader_stats {
	uint32_t busy, waiting;
	uint32_t lingering; /* helpers that were killed and not let go */
	uint64_t asks;
	uint64_t starts;   /* of helpers */
	uint64_t deaths;   /* of these, that ended by themselves or made no sense */
	uint64_t timeouts; /* of these, that took too long */
	uint64_t unread;   /* asks that had no turn */
};
void process_reader_stats(const struct process_reader *reader, struct process_reader_stats *out);
