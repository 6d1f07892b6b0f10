/*
 * The daemon's end of spprof-symbolizer: starts it on a socket pair when it is first needed, hands
 * over files as descriptors, keeps what it answered, restarts it when it dies or stops answering,
 * ends it when it is idle. The loop never waits: answers arrive by callback. One thread (the
 * loop's).
 *
 * Bounds: SYMBOL_CLIENT_FILES files, SYMBOL_CLIENT_DESCRIPTORS open descriptors,
 * options.cache_bytes of answers, SYMBOL_CLIENT_QUEUE offsets waiting. Over a bound the file that
 * was used least recently gives way as a whole, unless a resolve waits for it; if all are waited
 * for, the newcomer stays unknown.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

#define SYMBOL_CLIENT_FILES	  8192
#define SYMBOL_CLIENT_DESCRIPTORS 512
#define SYMBOL_CLIENT_QUEUE	  (256u << 10)

struct symbol_client;
struct uv_loop_s;

struct symbol_line {
	const char *function;	     /* demangled, never NULL; "" if unknown */
	const char *function_system; /* "" if unknown */
	const char *file;	     /* "" if unknown */
	uint32_t line;		     /* 0 if unknown */
};

struct symbol_lines { /* borrowed from the client's cache, valid until the next call into the client
		       */
	const struct symbol_line *lines; /* innermost inlined first */
	uint32_t line_count;		 /* 0: the file has no name for it */
};

/* A file to be symbolized, by identity: two processes' same library is one. */
struct symbol_file {
	dev_t device;
	ino_t inode;
	uint64_t mtime_ns;
	uint64_t size;
};

struct symbol_client_options { /* 0 or NULL: the default */
	size_t cache_bytes;    /* answers kept; 64 MiB */
	uint32_t stall_ms;     /* no reply for so long: the helper is killed; 10,000 */
	uint32_t idle_ms; /* no query for so long: it is ended, descriptors are closed; 60,000 */
	const char *
		debug_root; /* where distributions put separate debug information; /usr/lib/debug */
};

/* `program`: path of spprof-symbolizer. `options`: NULL for the defaults. Strings are copied. */
int symbol_client_new(struct symbol_client **out, struct uv_loop_s *loop, const char *program,
	const struct symbol_client_options *options);
/* Ends the helper; the loop must run until its handles are closed. No callback is called after
 * this. */
struct symbol_client *symbol_client_free(struct symbol_client *client);

/* Registers a file: `fd` is taken over in every case (closed when no longer needed). Returns its
 * key, > 0; the same key for the same identity. */
uint32_t symbol_client_file(struct symbol_client *client, const struct symbol_file *file, int fd);
/* Whether the file can be asked about as it is, so that it need not be opened: its key, or 0. To be
 * called before each resolve, since descriptors are closed when idle; answers and key outlive that.
 */
uint32_t symbol_client_find(const struct symbol_client *client, const struct symbol_file *file);
/* The file's descriptor, borrowed until the next turn of the loop; -1: it is closed. */
int symbol_client_descriptor(const struct symbol_client *client, uint32_t file);
/* The file's GNU build id in lower-case hex, "" if it has none or is not known yet (that takes one
 * query). Borrowed, until the next call. */
const char *symbol_client_build_id(const struct symbol_client *client, uint32_t file);

/* 1: *out is filled; 0: not known yet; -ENODATA: will never be known. `offset` is a file offset
 * inside the instruction in question (return address - 1). */
int symbol_client_lookup(
	struct symbol_client *client, uint32_t file, uint64_t offset, struct symbol_lines *out);

struct symbol_query {
	uint32_t file;
	uint64_t offset;
};

/* Resolves what is not known yet; `done` is called once from the loop, when all are answered (or
 * can't be: the file has no descriptor, the helper can't be started) or `timeout_ms` is over (on
 * the next loop turn if nothing is missing; never from inside this call). What comes too late is
 * kept for the next time. Until `done` returns, answers to these queries aren't evicted. Returns a
 * handle > 0 for cancelling; after cancel `done` is not called. `done` may call anything here,
 * symbol_client_free included. */
uint64_t symbol_client_resolve(struct symbol_client *client, const struct symbol_query *queries,
	size_t count, uint32_t timeout_ms, void (*done)(void *data), void *data);
void symbol_client_cancel(struct symbol_client *client, uint64_t handle);

struct symbol_client_stats {
	uint64_t helper_starts;
	uint64_t helper_deaths; /* while it had work, or failing to start */
	uint64_t files_given_up;
	uint64_t files_reopened; /* the helper had closed them to bound its memory */
	uint64_t offsets_answered;
	uint64_t offsets_dropped; /* answers or queries that a bound had no room for */
	size_t cache_bytes;
	pid_t helper_pid; /* 0: not running */
};
void symbol_client_stats(const struct symbol_client *client, struct symbol_client_stats *out);
