/*
 * What the operator asked for: command line first, then environment, then defaults. Read once by
 * main() before the loop starts, constant after. Owns its strings.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "base/log.h"

/* Bounds that keep one worker, or all of them, from growing the daemon. At a bound the daemon folds
 * into
 * "[other]" and counts; it never stops serving. */
struct options_limits {
	uint32_t max_live;	  /* live samples per worker */
	uint32_t max_stacks;	  /* distinct stacks per worker */
	uint64_t max_stack_bytes; /* memory of these */
	uint64_t max_memory;	  /* models of all workers together */
	uint32_t max_workers;	  /* attached at the same time */
	uint32_t keep_exited;	  /* ended workers kept for post-mortem snapshots */
	uint32_t keep_exited_s;	  /* and for how long */
};

struct options {
	char *socket_dir;  /* never NULL after options_parse */
	char *symbolizer;  /* path of spprof-symbolizer */
	char *map_reader;  /* path of spprof-map-reader */
	char *proc_reader; /* path of spprof-proc-reader */
	char *group;	   /* NULL: none */
	enum log_level log_level;
	int ready_fd; /* -1: none */
	bool exit_with_parent;
	uint32_t exit_with_pid; /* 0: none */
	struct options_limits limits;
};

enum options_result {
	OPTIONS_DONE = 1, /* --help or --version was answered: exit 0 */
};

/* 0, OPTIONS_DONE, or -EINVAL after a message and a hint on stderr (exit 2). */
int options_parse(struct options *options, int argc, char **argv);
void options_deinit(struct options *options);

extern const struct options_limits options_default_limits;
/* "512", "64K", "1.5G" is refused: whole numbers with an optional K, M, G (powers of 1024). 0 or
 * -EINVAL. */
int options_parse_size(const char *text, uint64_t *out);
