/*
 * One run of a helper program: the process, its packet socket, packets waiting to be sent. Knows
 * nothing of what is said. The helper is expected to read hostile bytes, so its packets are to be
 * distrusted. One thread (the loop's).
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct helper_process;
struct uv_loop_s;

/* Called from the loop; any of them but `reaped` may free the helper. */
struct helper_process_handlers {
	/* A packet, borrowed for the call, 8-aligned. Negative: the helper makes no sense, and `end` is next.
	 */
	int (*packet)(void *data, const uint8_t *bytes, size_t size);
	/* The helper has closed its end, sent too much or made no sense; nothing comes after this. */
	void (*end)(void *data);
	/* After the free, perhaps from inside it: the kernel has let the process go. May be NULL. */
	void (*reaped)(void *data);
};

struct helper_process_options {
	const char *program;	 /* its path */
	const char *name;	 /* its argv[0], and for the log; a literal */
	const char *argument;	 /* its argv[1]; NULL: none */
	size_t max_packet_bytes; /* that it may send */
	bool takes_descriptors;	 /* that come with packets */
};

/* 0 or negative errno (the program can't be executed). `handlers` are borrowed. */
int helper_process_new(struct helper_process **out, struct uv_loop_s *loop,
	const struct helper_process_options *options,
	const struct helper_process_handlers *handlers, void *data);
/* Kills the process; no handler but `reaped` is called any more. The loop must run until it is reaped,
 * or a second has passed. */
struct helper_process *helper_process_free(struct helper_process *helper);

/* `fd` is lent for the call, or -1. What the socket has no room for waits here. 0 or negative
 * errno: not sent. Calls no handler; that the helper is gone is told later, by `end`. */
int helper_process_send(struct helper_process *helper, const void *bytes, size_t size, int fd);
/* From inside of `packet`: the descriptor that came with it, the caller's, or -1. */
int helper_process_take_fd(struct helper_process *helper);
pid_t helper_process_pid(const struct helper_process *helper);
