/*
 * The daemon's end of spprof-symbolizer: starts it on a socket pair, hands over files as descriptors,
 * keeps what it answered, restarts it when it dies (a file that killed it twice is given up). The loop
 * never waits: answers arrive by callback. One thread (the loop's).
 */
#pragma once
#include <stdint.h>
#include <stddef.h>
#include <sys/types.h>

struct symbol_client;
struct uv_loop_s;

struct symbol_line {
	const char *function;        /* demangled, never NULL; "" if unknown */
	const char *function_system; /* "" if unknown */
	const char *file;            /* "" if unknown */
	uint32_t line;               /* 0 if unknown */
};

struct symbol_lines { /* borrowed from the client's cache, valid until the next call into the client */
	const struct symbol_line *lines; /* innermost inlined first */
	uint32_t line_count;             /* 0: the file has no name for it */
};

/* A file to be symbolized, by identity: two processes' same library is one. */
struct symbol_file {
	dev_t device;
	ino_t inode;
	uint64_t mtime_ns;
	uint64_t size;
};

/* `program`: path of spprof-symbolizer. */
int symbol_client_new(struct symbol_client **out, struct uv_loop_s *loop, const char *program);
/* Ends the helper; the loop must run until its handles are closed. */
struct symbol_client *symbol_client_free(struct symbol_client *client);

/* Registers a file: `fd` is taken over in every case (closed when no longer needed). Returns its key, > 0;
 * the same key for the same identity. */
uint32_t symbol_client_file(struct symbol_client *client, const struct symbol_file *file, int fd);
/* Whether the file is known already, so that it need not be opened: its key or 0. */
uint32_t symbol_client_find(const struct symbol_client *client, const struct symbol_file *file);
/* The file's GNU build id in lower-case hex, "" if it has none or is not known yet. Borrowed. */
const char *symbol_client_build_id(const struct symbol_client *client, uint32_t file);

/* 1: *out is filled; 0: not known yet; -ENODATA: will never be known. `offset` is a file offset inside the
 * instruction in question (return address - 1). */
int symbol_client_lookup(struct symbol_client *client, uint32_t file, uint64_t offset, struct symbol_lines *out);

struct symbol_query {
	uint32_t file;
	uint64_t offset;
};

/* Resolves what is not known yet; `done` is called once from the loop, when all are answered or
 * `timeout_ms` is over (immediately on the next loop turn if nothing is missing). Returns a handle for
 * cancelling; after cancel `done` is not called. */
uint64_t symbol_client_resolve(struct symbol_client *client, const struct symbol_query *queries, size_t count,
	uint32_t timeout_ms, void (*done)(void *data), void *data);
void symbol_client_cancel(struct symbol_client *client, uint64_t handle);
