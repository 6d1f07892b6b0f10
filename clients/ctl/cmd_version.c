#include "config.h"
#include <stdio.h>

#include "common/scope.h"
#include "ctl/cli.h"
#include "ctl/link.h"

static const struct cli_option options[] = {{0}};

static int run(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_(cli_deinit) struct cli cli;
	cli_init(&cli, ctl, &cmd_version, argc, argv);
	if (cli_next(&cli) == CLI_STOP)
		return cli.exit_code;
	int count;
	char **arguments = cli_arguments(&cli, &count);
	if (count > 0)
		return cli_usage_error(&cmd_version, "'%s' is one argument too many", arguments[0]);

	printf("spprofctl %s\n", PACKAGE_VERSION);
	struct link link;
	if (link_try(&link, ctl) < 0)
		return CTL_OK;
	_cleanup_free_ char *version = NULL;
	if (link_ping(&link, &version) == 0)
		printf("spprofd %s in %s\n", version, link.dir);
	link_close(&link);
	return CTL_OK;
}

const struct cli_command cmd_version = {
	.name = "version",
	.arguments = "",
	.summary = "Prints the version of spprofctl, and of the spprofd that answers.",
	.options = options,
	.run = run,
};
