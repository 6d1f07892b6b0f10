/*
 * Order matters: whatever can fail does so before CMD starts; from then on CMD's exit code is ours,
 * and everything that was started is ended on every way out.
 */
#include "config.h"
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/scope.h"
#include "ctl/child.h"
#include "ctl/cli.h"
#include "ctl/fetch.h"
#include "ctl/format.h"
#include "ctl/link.h"
#include "ctl/message.h"
#include "ctl/preload.h"
#include "ctl/private_daemon.h"
#include "ctl/signals.h"

/* Nobody waits at the prompt for these names, so they may take their time. */
#define NAMES_MS 30000

static const struct cli_option options[] = {
	{'r', "rate", "SIZE", "sample about every SIZE bytes (default 512K)"},
	{'o', "output", "FILE", "when CMD has ended, write its last snapshot to FILE"},
	{'f', "format", "FORMAT", FORMAT_NAMES " (default: by FILE's suffix)"},
	{0},
};

struct arguments {
	uint64_t rate;
	const char *file;
	bool has_format;
	Spprof__V1__SnapshotRequest__Format format;
	char **program; /* with its arguments */
};

struct run {
	const struct ctl *ctl;
	const struct arguments *arguments;
	struct signals signals;
	struct output output;
	struct private_daemon daemon; /* none if another one answers */
	char *dir;		      /* owns; where the daemon is that takes part */
	struct child child;
};

static int find_daemon(struct run *run)
{
	struct link link;
	/* A --socket is an order, the environment and custom are places to look first. */
	if (run->ctl->socket_option) {
		int code = link_open(&link, run->ctl);
		if (code != CTL_OK)
			return code;
	} else if (link_try(&link, run->ctl) < 0) {
		return CTL_OK;
	}
	int result = link_ping(&link, NULL);
	int code = CTL_OK;
	if (result == 0)
		run->dir = scope_strdup(link.dir);
	else if (run->ctl->socket_option)
		code = link_report(&link, result, "a sign of life");
	link_close(&link);
	return code;
}

static int ensure_daemon(struct run *run)
{
	int code = find_daemon(run);
	if (code != CTL_OK || run->dir)
		return code;
	int signal_number = 0;
	code = private_daemon_start(&run->daemon, &run->signals, &signal_number);
	if (code == CTL_OK)
		run->dir = scope_strdup(run->daemon.dir);
	return signal_number ? 128 + signal_number : code;
}

static void say_what_to_do(const struct run *run)
{
	/* A daemon of our own is found by nobody who isn't told. */
	struct ctl ctl = *run->ctl;
	if (run->daemon.dir)
		ctl.socket_option = run->daemon.dir;
	_cleanup_free_ char *invocation = link_invocation(&ctl);
	message_print("process %d is profiled; look at it: %s snapshot %d", (int)run->child.pid,
		invocation, (int)run->child.pid);
}

/* A text ranks by one sum: what is live at the end comes first, then who allocated most. */
static int write_last_snapshot(struct run *run, struct link *link)
{
	const char *file = run->arguments->file;
	Spprof__V1__SnapshotRequest request = SPPROF__V1__SNAPSHOT_REQUEST__INIT;
	request.pid = run->child.pid;
	request.format = run->arguments->format;
	request.top = FETCH_DEFAULT_TOP;
	request.depth = FETCH_DEFAULT_DEPTH;
	request.timeout_ms = NAMES_MS;
	int code = fetch_snapshot(link, &request, &run->output, file);
	if (code == CTL_OK && request.format == SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__TEXT) {
		request.cumulative = true;
		output_write(&run->output, "\n", 1);
		code = fetch_snapshot(link, &request, &run->output, file);
	}
	return code == CTL_OK ? fetch_commit(&run->output, file) : code;
}

static int keep_last_snapshot(struct run *run)
{
	struct link link;
	const struct ctl ctl = {.program = run->ctl->program, .socket_option = run->dir};
	int code = link_open(&link, &ctl);
	if (code != CTL_OK)
		return code;
	api_client_set_interrupt(link.client, run->signals.fd);
	code = write_last_snapshot(run, &link);
	link_close(&link);
	if (code == CTL_OK)
		fetch_say_written(run->arguments->format, run->arguments->file);
	return code;
}

static int run_program(struct run *run)
{
	_cleanup_(preload_deinit) struct preload preload;
	int code = preload_init(&preload, run->dir, run->arguments->rate);
	if (code == CTL_OK)
		code = child_start(&run->child, run->arguments->program, &preload, &run->signals);
	if (code != CTL_OK)
		return code;
	say_what_to_do(run);
	child_await(&run->child, &run->signals, run->daemon.pid);
	code = CTL_OK;
	if (run->arguments->file)
		code = keep_last_snapshot(run);
	else if (run->daemon.pid)
		message_print(
			"process %d has ended, and its profile with it; -o FILE would have kept it",
			(int)run->child.pid);
	child_reap(&run->child);
	return run->child.exit_code ? run->child.exit_code : code;
}

static int run_under_daemon(struct run *run)
{
	int result = signals_init(&run->signals);
	if (result < 0) {
		message_print("cannot watch signals: %s", strerror(-result));
		return CTL_FAILED;
	}
	int code = ensure_daemon(run);
	if (code == CTL_OK)
		code = run_program(run);
	private_daemon_stop(&run->daemon);
	signals_deinit(&run->signals);
	free(run->dir);
	return code;
}

static int run_into_output(const struct ctl *ctl, const struct arguments *arguments)
{
	struct run run = {.ctl = ctl, .arguments = arguments};
	int result = output_init(&run.output, arguments->file);
	if (result < 0) {
		message_print("cannot write %s: %s; CMD was not started", arguments->file,
			strerror(-result));
		return CTL_FAILED;
	}
	int code = run_under_daemon(&run);
	output_deinit(&run.output);
	return code;
}

static int set_option(struct arguments *arguments, int key, const char *value)
{
	switch (key) {
	case 'r':
		if (preload_parse_rate(value, &arguments->rate) < 0)
			return cli_usage_error(&cmd_run,
				"'%s' is not a size from 1 to 1024G, like 64K or 1M", value);
		return CTL_OK;
	case 'f':
		if (format_parse(value, &arguments->format) < 0)
			return cli_usage_error(&cmd_run, "'%s' is not a format; there are %s",
				value, FORMAT_NAMES);
		arguments->has_format = true;
		return CTL_OK;
	default:
		arguments->file = value;
		return CTL_OK;
	}
}

static int check(struct arguments *arguments)
{
	if (!arguments->program[0])
		return cli_usage_error(&cmd_run, "which program? give it after --");
	if (arguments->has_format && !arguments->file)
		return cli_usage_error(&cmd_run, "-f needs a FILE to write: give -o FILE");
	if (arguments->file && !arguments->has_format &&
		format_of_file(arguments->file, &arguments->format) < 0)
		return cli_usage_error(&cmd_run,
			"the name '%s' does not tell its format; say it with -f", arguments->file);
	return CTL_OK;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = {0};
	_cleanup_(cli_deinit) struct cli cli;
	cli_init(&cli, ctl, &cmd_run, argc, argv);
	for (int key; (key = cli_next(&cli)) != CLI_END;) {
		int code = key == CLI_STOP ? cli.exit_code : set_option(&arguments, key, cli.value);
		if (key == CLI_STOP || code != CTL_OK)
			return code;
	}
	int count;
	arguments.program = cli_arguments(&cli, &count);
	int code = check(&arguments);
	return code != CTL_OK ? code : run_into_output(ctl, &arguments);
}

const struct cli_command cmd_run = {
	.name = "run",
	.arguments = "[--] CMD [ARGUMENT...]",
	.summary = "Runs a program under the agent, with a spprofd of its own if none answers.",
	.details = "The exit code is CMD's, 128 + N if signal N ended it.",
	.options = options,
	.stops_at_operand = true,
	.run = run,
};
