#include "config.h"
#include "ctl/install.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/scope.h"

#define AGENT  "libspprof-agent.so"
#define DAEMON "spprofd"

static int usable(char **path, char *candidate, int mode)
{
	free(*path);
	*path = candidate;
	return access(candidate, mode) < 0 ? -errno : 0;
}

/* The directory of this program with `below` behind it; NULL without /proc. */
static char *beside_program(const char *below)
{
	char self[PATH_MAX];
	ssize_t size = readlink("/proc/self/exe", self, sizeof(self) - 1);
	if (size <= 0)
		return NULL;
	self[size] = '\0';
	char *slash = strrchr(self, '/');
	*slash = '\0';
	return scope_printf("%s/%s", self, below);
}

static int find(char **path, const char *variable, const char *name, const char *below,
	const char *installed, int mode)
{
	*path = NULL;
	const char *dir = getenv(variable);
	if (dir && *dir) {
		_cleanup_free_ char *resolved = realpath(dir, NULL);
		return usable(path, scope_printf("%s/%s", resolved ? resolved : dir, name), mode);
	}
	char *beside = beside_program(below);
	if (beside && usable(path, beside, mode) == 0)
		return 0;
	return usable(path, scope_printf("%s/%s", installed, name), mode);
}

int install_find_agent(char **path)
{
	return find(path, "SPPROF_LIBDIR", AGENT, ".libs/" AGENT, PKGLIBDIR, R_OK);
}

int install_find_daemon(char **path)
{
	return find(path, "SPPROF_BINDIR", DAEMON, DAEMON, DAEMON_DIR, X_OK);
}
