/* What spprof-proc-reader would read of a process, read at once. */
#pragma once
#include "server/process_handle.h"
#include "server/process_texts.h"

/* `files`: bits of enum proc_file. Owned by the caller. */
struct process_texts *read_texts(const struct process_handle *process, uint32_t files);
