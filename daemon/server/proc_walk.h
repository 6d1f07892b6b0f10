/*
 * The walk over /proc behind attach_scan: which processes have a descriptor that is called like a
 * segment. Pure but for what it reads; runs on any thread; owns nothing between calls.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include "server/process_handle.h"

struct segment_map;

#define PROC_WALK_MAX_SEGMENTS 4 /* per process: its own and inherited ones */

struct proc_walk_find {
	struct process_handle process;			      /* owns */
	struct segment_map *segments[PROC_WALK_MAX_SEGMENTS]; /* owns */
	unsigned segment_count;
	const char
		*refused; /* why one that was called a segment is none; NULL: there was no such */
	uid_t uid;	  /* owner of /proc/PID */
	char *wants;	  /* owns: the daemon's directory that the process was told; NULL: none */
};

/* 0: *out owns what was found, possibly no segment; -ESRCH; -EACCES: its descriptors are hidden
 * from us. */
int proc_walk_look(pid_t pid, struct proc_walk_find *out);
void proc_walk_find_deinit(struct proc_walk_find *find);

/* The value of SPPROF_SOCKET in the text of /proc/PID/environ, caller frees; NULL: none. For tests.
 */
char *proc_walk_find_directory(const char *environment, size_t size);

/* How often each process has been looked at, ascending by pid: a walk looks at processes a few
 * times, since a new one may not have loaded its agent yet, and then no more. */
struct proc_walk_seen {
	pid_t pid;
	uint32_t looks;
};
#define PROC_WALK_LOOKS 3u

struct proc_walk_list {
	struct proc_walk_seen *items; /* owns */
	size_t count;
};

/* All processes now: looks are taken over from `before`; `own_uid_only` leaves out what belongs to
 * others. 0 or negative errno. */
int proc_walk_processes(
	const struct proc_walk_list *before, bool own_uid_only, struct proc_walk_list *out);
void proc_walk_list_deinit(struct proc_walk_list *list);
