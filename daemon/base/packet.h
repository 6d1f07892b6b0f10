/*
 * One packet at a time over a Unix socket that keeps packets apart (SOCK_SEQPACKET), with at most
 * one descriptor beside it. Never raises SIGPIPE. Any thread; owns nothing.
 */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* `pass` is a descriptor to hand over (the caller keeps its own) or -1. 0 or negative errno.
 * `flags`: MSG_DONTWAIT or 0. */
int packet_send(int socket, const void *bytes, size_t size, int pass, int flags);
/*
 * Bytes received, 0 at the end of the connection, or negative errno: -EMSGSIZE if the packet was
 * larger than `room` or carried more than one descriptor (it is gone then). *passed: a descriptor
 * (close-on-exec, now the caller's) or -1. `passed` NULL: none is wanted, one is too many, and the
 * kernel drops it without the close() that a hostile file system can make wait.
 */
ssize_t packet_receive(int socket, void *bytes, size_t room, int *passed, int flags);
