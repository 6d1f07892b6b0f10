/*
 * What a process says of itself in /proc, for people to read, and whose it is. All text is safe to
 * print. Any thread.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_texts;

struct process_info {
	uid_t uid;	    /* effective */
	bool single_uid;    /* real, effective and saved uid are the same */
	pid_t parent_pid;   /* 0: unknown, or it is not in our pid namespace */
	pid_t inner_pid;    /* in the process's own pid namespace; 0: unknown */
	char comm[64];	    /* "" if unknown */
	char *exe;	    /* owns; "" if unknown */
	char *command_line; /* owns; arguments separated by spaces; "" if unknown */
};

/* The files it is made of: bits of enum proc_file. */
extern const uint32_t process_info_files;
/* 0 with whatever has come, or -ESRCH if it does not say whose the process is. */
int process_info_of(const struct process_texts *texts, struct process_info *out);
void process_info_deinit(struct process_info *info);

/* Fills uid, single_uid, parent_pid and inner_pid from the text of /proc/PID/status: 0 or -EBADMSG. */
int process_info_parse_status(const char *text, struct process_info *out);
/* Of the text of /proc/PID/comm. */
void process_info_set_comm(struct process_info *info, const char *text);
/* Control characters and what is not UTF-8 become '?', in place. */
void process_info_sanitize(char *text);
