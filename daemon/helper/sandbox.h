/*
 * Gives away what the process has and doesn't need: capabilities, identity (if root), the right to
 * gain privileges, to be traced, to grow, to write, to fork, to open anything. Called once at
 * start, before any file is read; only the descriptors already there and those received later
 * remain. A helper that looks at processes keeps what the kernel asks for at that: its identity, the
 * capabilities to read and trace, and calls that open files for reading.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

struct sandbox_limits {
	size_t address_space_bytes; /* not held in builds with sanitizers */
	unsigned descriptors;
	bool looks_at_processes;
};

/* Never fails as a whole: what this kernel or container does not allow is reported by a log line
 * and left out, since a helper without one of its locks is still kept apart from the daemon. */
void sandbox_enter(const struct sandbox_limits *limits);
