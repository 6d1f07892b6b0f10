/*
 * The symbolizer's loop: requests from the daemon in, answers out, a bounded number of files open.
 * Messages: proto/spprof/v1/symbolizer.proto. One thread.
 */
#pragma once

struct file_cache_bounds;

/* Until the daemon closes the socket (0) or it fails (negative errno). Borrows the socket, which
 * must block. */
int service_run(int socket, const struct file_cache_bounds *bounds);
