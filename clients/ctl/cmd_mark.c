#include "config.h"
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "common/scope.h"
#include "ctl/cli.h"
#include "ctl/link.h"
#include "ctl/message.h"

static const struct cli_option options[] = {{0}};

static int take_mark(const Spprof__V1__Response *response, void *data)
{
	uint64_t *id = data;
	*id = response->mark->id;
	return 0;
}

static int set_mark(const struct ctl *ctl, int pid, char *name)
{
	struct link link;
	int code = link_open(&link, ctl);
	if (code != CTL_OK)
		return code;
	Spprof__V1__MarkRequest mark = SPPROF__V1__MARK_REQUEST__INIT;
	Spprof__V1__Request request = SPPROF__V1__REQUEST__INIT;
	mark.pid = pid;
	mark.name = name;
	request.kind_case = SPPROF__V1__REQUEST__KIND_MARK;
	request.mark = &mark;
	uint64_t id;
	int result = api_client_call(link.client, &request, LINK_SILENCE_MS, take_mark, &id);
	_cleanup_free_ char *what = scope_printf("the mark '%s' in process %d", name, pid);
	code = link_report(&link, result, what);
	link_close(&link);
	return code;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_(cli_deinit) struct cli cli;
	cli_init(&cli, ctl, &cmd_mark, argc, argv);
	if (cli_next(&cli) == CLI_STOP)
		return cli.exit_code;
	int count;
	unsigned long pid;
	char **arguments = cli_arguments(&cli, &count);
	if (count < 2)
		return cli_usage_error(&cmd_mark, "give a process id and a name");
	if (count > 2)
		return cli_usage_error(&cmd_mark, "'%s' is one argument too many", arguments[2]);
	if (cli_parse_number(arguments[0], 1, INT32_MAX, &pid) < 0)
		return cli_usage_error(&cmd_mark, "'%s' is not a process id", arguments[0]);
	if (*arguments[1] == '\0')
		return cli_usage_error(&cmd_mark, "a mark has a name");
	return set_mark(ctl, (int)pid, arguments[1]);
}

const struct cli_command cmd_mark = {
	.name = "mark",
	.arguments = "PID NAME",
	.summary = "Names this moment, for `snapshot --since NAME` and `--until NAME`.",
	.options = options,
	.run = run,
};
