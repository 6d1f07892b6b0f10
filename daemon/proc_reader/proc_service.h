/*
 * The proc reader's loop: what is asked for in the packets of ingest/proc_packet.h is read from one
 * process's directory and handed on unseen. One thread.
 */
#pragma once

/* Until the daemon closes the socket (0) or it fails (negative errno). Borrows the socket, which
 * must block. */
int proc_service_run(int socket);
