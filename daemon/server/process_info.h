/*
 * What a process says of itself in /proc, for people to read, and whose it is. All text is safe to
 * print. Any thread.
 */
#pragma once
#include <stdbool.h>
#include <sys/types.h>

struct process_handle;

struct process_info {
	uid_t uid;	    /* effective */
	bool single_uid;    /* real, effective and saved uid are the same */
	pid_t inner_pid;    /* in the process's own pid namespace; 0: unknown */
	char comm[64];	    /* "" if unknown */
	char *exe;	    /* owns; "" if unknown */
	char *command_line; /* owns; arguments separated by spaces */
};

/* 0 with whatever could be read, or -ESRCH if nothing can be. */
int process_info_read(const struct process_handle *handle, struct process_info *out);
void process_info_deinit(struct process_info *info);

/* Fills uid, single_uid and inner_pid from the text of /proc/PID/status: 0 or -EBADMSG. */
int process_info_parse_status(const char *text, struct process_info *out);
/* Control characters and what is not UTF-8 become '?', in place. */
void process_info_sanitize(char *text);
