/* A snapshot on its way from the daemon into a file or a terminal; used by `snapshot` and by the
 * end of `run`. */
#pragma once
#include "ctl/link.h"
#include "ctl/output.h"

/* Text, unless told otherwise: the sites that matter, told apart by what a person recognizes. */
#define FETCH_DEFAULT_TOP   20
#define FETCH_DEFAULT_DEPTH 3

/*
 * Asks for the snapshot and commits it to `output`: 0, or what api_client_call() says. A failure of
 * the output itself is negative, too, and sets *output_failed.
 */
int fetch_snapshot(struct link *link, const Spprof__V1__SnapshotRequest *snapshot,
	struct output *output, bool *output_failed);
