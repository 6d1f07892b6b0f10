#include "config.h"
#include <stdlib.h>
#include <string.h>

#include "common/scope.h"
#include "common/socket_dir.h"
#include "ctl/cli.h"
#include "ctl/link.h"
#include "ctl/message.h"
#include "ctl/preload.h"

static const struct cli_option options[] = {
	{'r', "rate", "SIZE", "sample about every SIZE bytes (default 512K)"},
	{0},
};

/* What SPPROF_SOCKET has to say; NULL if agents look there anyway. */
static char *socket_for_agents(const struct ctl *ctl)
{
	struct link link;
	if (link_try(&link, ctl) == 0) {
		char *dir = socket_dir_known_to_agents(link.dir) ? NULL : scope_strdup(link.dir);
		link_close(&link);
		return dir;
	}
	_cleanup_(socket_dir_list_deinit) struct socket_dir_list list;
	socket_dir_list_init(&list, ctl->socket_option);
	message_print("note: no spprofd answers yet; start it before the program");
	return list.named ? scope_strdup(list.paths[0]) : NULL;
}

static int print_environment(const struct ctl *ctl, uint64_t rate)
{
	_cleanup_free_ char *dir = socket_for_agents(ctl);
	_cleanup_(preload_deinit) struct preload preload;
	int code = preload_init(&preload, dir, rate);
	if (code == CTL_OK)
		preload_print_exports(&preload);
	return code;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	uint64_t rate = 0;
	_cleanup_(cli_deinit) struct cli cli;
	cli_init(&cli, ctl, &cmd_env, argc, argv);
	for (int key; (key = cli_next(&cli)) != CLI_END;) {
		if (key == CLI_STOP)
			return cli.exit_code;
		if (preload_parse_rate(cli.value, &rate) < 0)
			return cli_usage_error(&cmd_env,
				"'%s' is not a size from 1 to 1024G, like 64K or 1M", cli.value);
	}
	int count;
	char **arguments = cli_arguments(&cli, &count);
	if (count > 0)
		return cli_usage_error(&cmd_env, "'%s' is one argument too many", arguments[0]);
	return print_environment(ctl, rate);
}

const struct cli_command cmd_env = {
	.name = "env",
	.arguments = "",
	.summary = "Prints the environment that brings the agent into a program: eval "
		   "\"$(spprofctl env)\".",
	.options = options,
	.run = run,
};
