/*
 * One run of spprof-symbolizer, which speaks in messages. Never restarts, knows nothing of files:
 * symbol_client does. One thread (the loop's).
 */
#pragma once
#include <sys/types.h>
#include "spprof/v1/symbolizer.pb-c.h"

struct symbol_helper;
struct uv_loop_s;

enum symbol_helper_duty {
	SYMBOL_HELPER_NAMES,
	SYMBOL_HELPER_AUDITS, /* has less memory */
};

/* Called from the loop. Either may free the helper. */
struct symbol_helper_handlers {
	void (*reply)(void *data, const Spprof__V1__SymbolizerReply *reply); /* borrowed */
	/* The helper has closed its end or sent what is no message; nothing comes after this. */
	void (*end)(void *data);
};

/* 0 or negative errno (the program can't be executed). `handlers` are borrowed. */
int symbol_helper_new(struct symbol_helper **out, struct uv_loop_s *loop, const char *program,
	enum symbol_helper_duty duty, const struct symbol_helper_handlers *handlers, void *data);
/* Kills the process; no handler is called any more. The loop must run until it is reaped, or a
 * second has passed. */
struct symbol_helper *symbol_helper_free(struct symbol_helper *helper);
/* How many were freed that the kernel has not let go: they wait for a file system that doesn't
 * answer. */
unsigned symbol_helper_lingering(void);

/* `fd` is lent for the call, or -1. What the socket has no room for waits here. 0 or negative
 * errno: not sent. Calls no handler; that the helper is gone is told later, by `end`. */
int symbol_helper_send(
	struct symbol_helper *helper, const Spprof__V1__SymbolizerRequest *request, int fd);
pid_t symbol_helper_pid(const struct symbol_helper *helper);
