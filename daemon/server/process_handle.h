/*
 * A pid bound to one process: nothing that is read through a handle can be about another process
 * that got the same number later. Plain struct, owned by whoever opened it. Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct process_handle {
	pid_t pid;
	int pidfd;   /* owns; -1: the process was gone before it could be opened */
	int proc_fd; /* owns the directory /proc/PID; -1 likewise, or where /proc does not show it
		      */
};

#define PROCESS_HANDLE_INIT ((struct process_handle){.pidfd = -1, .proc_fd = -1})

/* Takes `pidfd` over in every case; -1: opens one. 0, -ESRCH: no such process (any more), -errno.
 */
int process_handle_open(struct process_handle *handle, pid_t pid, int pidfd);
/* A second handle for the same process: 0 or negative errno. */
int process_handle_dup(struct process_handle *handle, const struct process_handle *from);
void process_handle_close(struct process_handle *handle);
/* True until the last thread has ended; a zombie is not alive. */
bool process_handle_alive(const struct process_handle *handle);
/* Whether one of the process's descriptors is this file. */
bool process_handle_holds(const struct process_handle *handle, dev_t device, ino_t inode);
/* A descriptor for the memory of the program that the process runs now, for pread: the caller's, or
 * negative errno. */
int process_handle_open_memory(const struct process_handle *handle);
/* Reads /proc/PID/`name`, at most size - 1 bytes, and ends them with NUL. Their count or negative
 * errno. */
ssize_t process_handle_read(
	const struct process_handle *handle, const char *name, char *text, size_t size);
