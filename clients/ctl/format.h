/* The formats a snapshot comes in: by name, and by what a file's name ends with. Pure. */
#pragma once
#include <stdbool.h>

#include "spprof/v1/api.pb-c.h"

#define FORMAT_NAMES "text|json|pprof|collapsed|speedscope"

/* 0 or -EINVAL. */
int format_parse(const char *name, Spprof__V1__SnapshotRequest__Format *out);
/* .pb.gz .pprof -> pprof; .speedscope.json -> speedscope; .json; .txt; .folded .collapsed. 0 or
 * -EINVAL. */
int format_of_file(const char *path, Spprof__V1__SnapshotRequest__Format *out);
const char *format_name(Spprof__V1__SnapshotRequest__Format format);
/* Would garble a terminal. */
bool format_is_binary(Spprof__V1__SnapshotRequest__Format format);
/* How a person opens such a file, with one %s for its name; NULL: it can simply be read. */
const char *format_viewer(Spprof__V1__SnapshotRequest__Format format);
