/*
 * Opens the file of a module for the symbolizer: exactly the one that the worker has mapped, or
 * none. Any thread; opening may wait for a slow or hostile file system, so the loop had better not.
 */
#pragma once
#include "server/module_map.h"
#include "server/symbol_client.h"

/*
 * A read-only descriptor (the caller's) and the file's identity, or negative errno; -ENODATA: there
 * is nothing to open, as for the vdso; -ESTALE: another file is there now.
 *
 * `proc_fd` is the directory /proc/PID of the worker, opened while its identity was certain, or -1
 * if the process is gone. While it lives, /proc gives the mapped file whatever its permissions and
 * however it was renamed or deleted. Afterwards, or for a module that only the worker vouches for,
 * the file must be one that everybody may reach and read.
 */
int module_file_open(const struct module_info *module, int proc_fd, struct symbol_file *file);
