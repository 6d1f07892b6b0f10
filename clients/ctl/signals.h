/*
 * Signals as events: blocked while `run` lasts and read from a descriptor, so that whatever
 * arrives, what was started is also ended. Single-threaded.
 */
#pragma once
#include <signal.h>
#include <stdbool.h>

struct signals {
	int fd; /* owns; readable when one is there */
	/* As they were, for programs that we become. */
	sigset_t original;
	sighandler_t child_action, pipe_action;
};

struct signals_event {
	int number;
	bool from_terminal; /* the kernel sent it to the whole foreground group */
};

int signals_init(struct signals *signals); /* 0 or negative errno */
void signals_deinit(struct signals *signals);
/* The next one, without waiting: false if there is none. */
bool signals_next(struct signals *signals, struct signals_event *event);
/* In a child that is to become another program: as if nothing had been changed. */
void signals_restore(const struct signals *signals);
