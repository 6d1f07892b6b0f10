#include "config.h"
#include "ctl/preload.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/scope.h"
#include "ctl/ctl.h"
#include "ctl/install.h"
#include "ctl/message.h"
#include "ctl/quantity.h"

/* ld.so(8) separates by colons and spaces alike, and knows no quoting. */
#define SEPARATORS ": "
#define MAX_RATE   (UINT64_C(1) << 40)

int preload_parse_rate(const char *text, uint64_t *rate)
{
	uint64_t bytes;
	if (quantity_parse_size(text, &bytes) < 0 || bytes < 1 || bytes > MAX_RATE)
		return -EINVAL;
	*rate = bytes;
	return 0;
}

static bool names(const char *list, const char *path)
{
	size_t size = strlen(path);
	while (*list) {
		size_t word = strcspn(list, SEPARATORS);
		if (word == size && memcmp(list, path, size) == 0)
			return true;
		list += word;
		list += strspn(list, SEPARATORS);
	}
	return false;
}

static char *with_agent(const char *agent, const char *present)
{
	if (!present || !*present)
		return scope_strdup(agent);
	return names(present, agent) ? scope_strdup(present)
				     : scope_printf("%s:%s", agent, present);
}

int preload_init(struct preload *preload, const char *socket_dir, uint64_t rate)
{
	*preload = (struct preload){.rate = rate};
	int result = install_find_agent(&preload->agent);
	if (result < 0) {
		message_print("the agent %s is not there (%s): install spprof, or set "
			      "SPPROF_LIBDIR to its folder",
			preload->agent, strerror(-result));
		return CTL_FAILED;
	}
	if (strpbrk(preload->agent, SEPARATORS)) {
		message_print("LD_PRELOAD cannot name '%s': move spprof to a path without blanks "
			      "and colons",
			preload->agent);
		return CTL_FAILED;
	}
	preload->ld_preload = with_agent(preload->agent, getenv("LD_PRELOAD"));
	preload->socket_dir = socket_dir ? scope_strdup(socket_dir) : NULL;
	return CTL_OK;
}

void preload_deinit(struct preload *preload)
{
	free(preload->agent);
	free(preload->ld_preload);
	free(preload->socket_dir);
	*preload = (struct preload){0};
}

int preload_set_environment(const struct preload *preload)
{
	char rate[32];
	snprintf(rate, sizeof(rate), "%" PRIu64, preload->rate);
	if (setenv("LD_PRELOAD", preload->ld_preload, 1) < 0 ||
		(preload->socket_dir && setenv("SPPROF_SOCKET", preload->socket_dir, 1) < 0) ||
		(preload->rate && setenv("SPPROF_RATE", rate, 1) < 0))
		return -errno;
	return 0;
}

static void print_export(const char *name, const char *value)
{
	printf("export %s='", name);
	for (; *value; value++)
		fputs(*value == '\'' ? "'\\''" : (char[]){*value, '\0'}, stdout);
	fputs("'\n", stdout);
}

void preload_print_exports(const struct preload *preload)
{
	char rate[32];
	snprintf(rate, sizeof(rate), "%" PRIu64, preload->rate);
	print_export("LD_PRELOAD", preload->ld_preload);
	if (preload->socket_dir)
		print_export("SPPROF_SOCKET", preload->socket_dir);
	if (preload->rate)
		print_export("SPPROF_RATE", rate);
}
