/*
 * Where a daemon may be: the directories that hold api.sock, in the order in which they are tried.
 * A directory that somebody names is the only candidate; else the host's daemon comes first, then
 * the user's own. Single-threaded callers.
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define SOCKET_DIR_MAX_CANDIDATES 4

struct socket_dir_list {
	char *paths[SOCKET_DIR_MAX_CANDIDATES]; /* owns */
	size_t count;
	bool named; /* by option or SPPROF_SOCKET, as opposed to searched for */
};

/* `option`: the value of --socket, or NULL; an empty SPPROF_SOCKET counts as none. */
void socket_dir_list_init(struct socket_dir_list *list, const char *option);
void socket_dir_list_deinit(struct socket_dir_list *list);
/* Whether an agent that is told nothing looks into `path` as well. */
bool socket_dir_known_to_agents(const char *path);
