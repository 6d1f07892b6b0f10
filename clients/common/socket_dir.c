#include "config.h"
#include "common/socket_dir.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/scope.h"

/* Agents know these three (a test holds them equal to wire/handshake.h); $XDG_RUNTIME_DIR only
 * clients. */
#define SYSTEM_DIR	"/run/spprofd"
#define USER_DIR_FORMAT "/run/user/%u/spprofd"
#define TMP_DIR_FORMAT	"/tmp/spprofd-%u"

static void add(struct socket_dir_list *list, char *path)
{
	for (size_t i = 0; i < list->count; i++) {
		if (strcmp(list->paths[i], path) == 0) {
			free(path);
			return;
		}
	}
	list->paths[list->count++] = path;
}

static const char *nonempty_env(const char *name)
{
	const char *value = getenv(name);
	return value && *value ? value : NULL;
}

/* The path goes to programs that may run elsewhere. */
static char *absolute(const char *path)
{
	_cleanup_free_ char *here = *path == '/' ? NULL : getcwd(NULL, 0);
	return here ? scope_printf("%s/%s", here, path) : scope_strdup(path);
}

void socket_dir_list_init(struct socket_dir_list *list, const char *option)
{
	*list = (struct socket_dir_list){0};
	const char *named = option ? option : nonempty_env("SPPROF_SOCKET");
	if (named) {
		list->named = true;
		add(list, absolute(named));
		return;
	}
	add(list, scope_strdup(SYSTEM_DIR));
	const char *runtime = nonempty_env("XDG_RUNTIME_DIR");
	if (runtime && *runtime == '/')
		add(list, scope_printf("%s/spprofd", runtime));
	add(list, scope_printf(USER_DIR_FORMAT, (unsigned)geteuid()));
	add(list, scope_printf(TMP_DIR_FORMAT, (unsigned)geteuid()));
}

void socket_dir_list_deinit(struct socket_dir_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		free(list->paths[i]);
	*list = (struct socket_dir_list){0};
}

bool socket_dir_known_to_agents(const char *path)
{
	_cleanup_free_ char *user = scope_printf(USER_DIR_FORMAT, (unsigned)geteuid());
	_cleanup_free_ char *tmp = scope_printf(TMP_DIR_FORMAT, (unsigned)geteuid());
	return strcmp(path, SYSTEM_DIR) == 0 || strcmp(path, user) == 0 || strcmp(path, tmp) == 0;
}
