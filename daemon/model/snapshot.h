/*
 * A snapshot: an immutable copy of one worker's heap at the end of a round, with its symbols and
 * its quality, self-contained so that it can be encoded on another thread while the model goes on.
 * Owns all it points to. The exporters see this header only.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "model/estimate.h"

struct string_pool;

struct snapshot_module {
	const char *path;     /* as in /proc/PID/maps; "[vdso]", "[unknown]" */
	const char *build_id; /* lower-case hex, "" if unknown */
	uint64_t start, end;  /* of the first executable mapping */
	uint64_t file_offset; /* of that mapping */
};

struct snapshot_line {
	const char *function;	     /* demangled; never NULL: "[libc.so.6+0x1234]" if unknown */
	const char *function_system; /* as in the symbol table; "" if unknown */
	const char *file;	     /* "" if unknown */
	uint32_t line;		     /* 0 if unknown */
	uint32_t first_line;	     /* of the function; 0 if unknown */
};

#define SNAPSHOT_IMPORT_NAME "[import]" /* a run of frames of Python's import system */

/* One code location. lines[0] is the innermost inlined function, the last the function itself. */
struct snapshot_location {
	uint64_t address;    /* return address - 1 in the worker's address space */
	uint32_t module;     /* index, UINT32_MAX: none */
	uint32_t line_count; /* >= 1 */
	const struct snapshot_line *lines;
	bool resolved; /* false: names were not there in time, or there are none */
	bool python;   /* a frame of an interpreter: no address, no module, one line */
};

struct snapshot_site {		   /* one distinct stack */
	const uint32_t *locations; /* indices, innermost first */
	uint32_t depth;		   /* 0: "[other]" */
	uint32_t number;	   /* for snapshot_finish */
	uint8_t stop;		   /* enum wire_stop; 0: whole */
	uint8_t guessed;
	struct estimate_sum live;
	struct estimate_sum cumulative;
};

struct snapshot_sample {
	uint64_t id; /* > 0; rises with time */
	uint64_t address;
	uint64_t size_bytes, interval_bytes; /* > 0 */
	uint64_t time_unix_ns;
	uint64_t freed_unix_ns; /* 0: it lives */
	int32_t pid;		/* by snapshot_merge: in whose memory it is counted */
	uint32_t thread;
	uint32_t site; /* index; snapshot_finish keeps it right */
};

/* Which samples the snapshot has, where it has not all: since_id <= id < until_id, of one thread. */
struct snapshot_window {
	bool set;
	uint64_t since_id, until_id; /* until_id 0: no bound */
	uint32_t thread;	     /* 0: all */
	bool complete;		     /* the cumulative sums have what was freed, too */
};

/* What was inherited by a fork. In the snapshot of a forked process: what it has had since then. In that of several
 * processes: what more than one of them has, counted once in all sums. */
struct snapshot_family {
	uint32_t processes;   /* in this snapshot, where it was asked for descendants; else 0 */
	uint32_t descendants; /* of these, all but the one that was asked for */
	uint32_t left_out;    /* descendants that are not in it */
	uint32_t heirs;	      /* processes that have inherited some of `inherited` */
	uint32_t unconfirmed; /* processes */
	uint64_t unmatched;   /* samples that may be counted more than once */
	double interval_least_bytes;   /* of several; snapshot->interval_bytes is the largest */
	struct estimate_sum inherited; /* live */
};

struct snapshot_quality {
	bool from_start;       /* the daemon has seen every record since the agent loaded */
	bool unconfirmed;      /* losses, or a late start, that no resync has repaired */
	bool told_again;       /* unconfirmed, and under repair */
	bool exited;	       /* the process is gone; this is its last state */
	uint64_t lost_samples; /* births and drops, all reasons */
	double lost_bytes;     /* estimated bytes these stood for */
	uint64_t lost_deaths;  /* freed blocks that still count as live */
	uint64_t stacks_whole, stacks_truncated, stacks_stopped,
		stacks_guessed; /* of stacks seen, by samples */
	uint64_t locations_total, locations_unresolved;
	uint64_t allocated_since_unix_ns; /* what cumulative numbers begin with; 0: the agent's load
					   */
	uint64_t folded_samples;	  /* folded into [other] at a memory bound */
	double folded_bytes;
	const char *unconfirmed_reason; /* "" or one clause for a person */
};

struct snapshot {
	int32_t pid;
	uint32_t uid;
	const char *comm;
	const char *exe;
	const char *command_line;
	uint64_t since_unix_ns; /* agent's load, wall clock */
	uint64_t taken_unix_ns;
	double interval_bytes; /* T in force */
	struct snapshot_quality quality;
	struct snapshot_window window;
	struct snapshot_family family;
	struct estimate_sum live, cumulative; /* totals */
	struct snapshot_site *sites;	      /* owns; sorted by live.bytes, descending */
	uint32_t site_count;
	struct snapshot_sample *samples; /* owns; in no order; NULL: not asked for */
	uint32_t sample_count;
	struct snapshot_location *locations;
	uint32_t location_count;
	struct snapshot_module *modules;
	uint32_t module_count;
	struct string_pool *strings; /* owns every string above */
	uint32_t *location_indices;  /* backing store of sites[].locations */
	struct snapshot_line *lines; /* backing store of locations[].lines */
};

/* Frees a snapshot and all it owns; accepts NULL, returns NULL. */
struct snapshot *snapshot_free(struct snapshot *snapshot);
/* Sorts the sites by live bytes (ties: cumulative, then order of locations), fills the totals,
 * numbers the sites of the samples anew. */
void snapshot_finish(struct snapshot *snapshot);
