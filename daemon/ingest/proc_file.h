/*
 * The files of /proc/PID that the daemon wants to know, and how one is read. All of it may wait for
 * as long as the process's owner likes, so only spprof-proc-reader does it (and tests do). Keeps no
 * state; any thread.
 *
 * What an owner can do: an exec holds exec_update_lock while it waits for the old memory's lock and
 * takes that memory apart, which ends when the FUSE server of a file that was mapped there likes. Of
 * this lock mem, maps and environ are opened, and in newer kernels (6.18 at the latest) stat is read
 * and all links are followed: exe, root, those of fd. Under the memory's own lock, which a fault in a
 * FUSE page may hold, cmdline, environ and (before 6.17) maps are read. status and stat take a
 * reference to the memory: whoever gives up the last one takes it apart. comm, the directory itself and
 * a pidfd do none of this.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order in which they are read: the memory is opened before anything tells whose it is. */
enum proc_file {
	PROC_FILE_MEMORY,   /* a descriptor for pread, and no text */
	PROC_FILE_SEGMENTS, /* descriptors by O_PATH of what is called like one, at most so many */
	PROC_FILE_STATUS,
	PROC_FILE_COMM,
	PROC_FILE_STAT,
	PROC_FILE_EXE,	  /* the link's text */
	PROC_FILE_EXE_ID, /* a struct proc_file_id */
	PROC_FILE_MAPS,
	PROC_FILE_CMDLINE,
	PROC_FILE_ENVIRON,
	PROC_FILES,
};

#define PROC_FILE_SEGMENTS_MAX 16u
#define PROC_FILE_BIT(file)    (1u << (file))
#define PROC_FILE_PIECE	       (32u << 10) /* at once */
#define PROC_FILE_MAPS_MAX     (8u << 20)
#define PROC_FILE_ENVIRON_MAX  (256u << 10)
#define PROC_FILE_TEXT_MAX     4095u
#define PROC_FILE_ALL_BUT_MAPS (PROC_FILE_ENVIRON_MAX + PROC_FILES * (PROC_FILE_TEXT_MAX + 1u))

struct proc_file_id {
	uint64_t device, inode;
};

/* Whether it comes in descriptors and not in bytes. */
bool proc_file_is_passed(enum proc_file file);
/* How many bytes there are at most; what goes beyond is left out. */
size_t proc_file_max(enum proc_file file);
/* `directory` is /proc/PID. Hands over the file in pieces of at most PROC_FILE_PIECE bytes, or
 * in descriptors, each lent for the call; else `fd` is -1. 0 or negative errno, `piece`'s too. */
int proc_file_read(int directory, enum proc_file file,
	int (*piece)(const void *bytes, size_t size, int fd, void *data), void *data);
