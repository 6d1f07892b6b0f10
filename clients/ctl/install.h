/*
 * Where the parts of spprof are: where the environment says (SPPROF_LIBDIR, SPPROF_BINDIR), else
 * beside this program, as in a build tree, else where they were installed to. Single-threaded.
 */
#pragma once

/* 0 and a path that exists (owned by the caller), or -errno and the path that was looked at last.
 */
int install_find_agent(char **path);
int install_find_daemon(char **path);
