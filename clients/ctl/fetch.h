/*
 * A snapshot on its way from the daemon into a file or a terminal; used by `snapshot` and by the
 * end of `run`. Results are exit codes; what went wrong has been said.
 */
#pragma once
#include "ctl/link.h"
#include "ctl/output.h"

/* Text, unless told otherwise: the sites that matter, told apart by what a person recognizes. */
#define FETCH_DEFAULT_TOP   20
#define FETCH_DEFAULT_DEPTH 3

/* Appends the snapshot to `output`. `file` names that for people, NULL: standard output. */
int fetch_snapshot(struct link *link, const Spprof__V1__SnapshotRequest *snapshot,
	struct output *output, const char *file);
/* The file gets its name. */
int fetch_commit(struct output *output, const char *file);
/* "wrote FILE; open it: ..." */
void fetch_say_written(Spprof__V1__SnapshotRequest__Format format, const char *file);
