/*
 * The map reader's loop: what is asked for in the packets of ingest/map_packet.h is read from one
 * worker's memory. One thread.
 */
#pragma once

/* Until the daemon closes the socket (0) or it fails (negative errno). Borrows the socket, which
 * must block. */
int reader_service_run(int socket);
