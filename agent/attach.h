/*
 * Attach at load: if a daemon listens, hands it the segment and closes the socket. Raw system calls
 * only, none of them blocks, and any failure means unattached: a daemon that comes later pulls the
 * memfd from /proc/PID/fd without the worker's help.
 */
#pragma once
#include "segment.h"

/* `directory`: SPPROF_SOCKET or NULL. Once, at load. */
void attach_to_daemon(const struct segment *segment, const char *directory);
