/*
 * A pid bound to one process: nothing that is read through a handle can be about another process
 * that got the same number later. Nothing here waits for the process: what could is left to process_reader.
 * Plain struct, owned by whoever opened it. Any thread.
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
/* Keeps the pidfd: for process_handle_reaped. */
void process_handle_close_directory(struct process_handle *handle);
/* True until the last thread has ended; a zombie is not alive. */
bool process_handle_alive(const struct process_handle *handle);
/* Whether its number may be another process's by now. */
bool process_handle_reaped(const struct process_handle *handle);
/* The text of /proc/PID/comm, ended with NUL: 0 or -ESRCH. */
int process_handle_comm(const struct process_handle *handle, char *text, size_t size);
/* Its effective uid, or root's where it hides from its own user, or (uid_t)-1. */
uid_t process_handle_uid(const struct process_handle *handle);
