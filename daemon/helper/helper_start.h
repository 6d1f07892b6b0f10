/*
 * How a helper program of the daemon's begins: its log, its socket (descriptor 3), its sandbox. One
 * thread.
 */
#pragma once
#include "helper/sandbox.h"

/* The socket, or negative errno after a message: it was not started by spprofd. `name` is a literal.
 * Afterwards the process must end by _exit(): handlers at exit would not be let through. */
int helper_start(const char *name, const struct sandbox_limits *limits);
