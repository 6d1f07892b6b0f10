/*
 * The symbolizer's loop: requests from the daemon in, answers out, a bounded number of files open.
 * Messages: proto/spprof/v1/symbolizer.proto. One thread.
 */
#pragma once

/* Until the daemon closes the socket (0) or it fails (negative errno). Borrows the socket, which
 * must block. */
int service_run(int socket);
