/*
 * The walk over /proc behind attach_scan: which processes there are, and what becomes of those of
 * their descriptors that are called like a segment. Any thread; owns nothing between calls.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct process_texts;
struct segment_map;

#define PROC_WALK_MAX_SEGMENTS 4 /* per process: its own and inherited ones */

struct proc_walk_find {
	struct segment_map *segments[PROC_WALK_MAX_SEGMENTS]; /* owns; distinct */
	unsigned segment_count;
	const char
		*refused; /* why one that was called a segment is none; NULL: there was no such */
};

/* What proc_walk_files have brought. */
void proc_walk_find_init(struct proc_walk_find *find, const struct process_texts *texts);
void proc_walk_find_deinit(struct proc_walk_find *find);

/* The value of SPPROF_SOCKET in the text of /proc/PID/environ, caller frees; NULL: none. For tests.
 */
char *proc_walk_find_directory(const char *environment, size_t size);

/* How often each process has been looked at, ascending by pid: a walk looks at processes a few
 * times, since a new one may not have loaded its agent yet, and then no more. */
struct proc_walk_seen {
	pid_t pid;
	uid_t uid; /* as process_handle_uid */
	uint32_t looks;
	bool passed; /* by the walk that goes on: looked at, or not to be */
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
