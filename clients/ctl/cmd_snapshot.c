#include "config.h"
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/scope.h"
#include "ctl/cli.h"
#include "ctl/fetch.h"
#include "ctl/format.h"
#include "ctl/message.h"

#define MAX_TIMEOUT_S 30

enum {
	KEY_TOP = CLI_LONG_ONLY,
	KEY_DEPTH,
	KEY_CUMULATIVE,
	KEY_NATIVE_INTERNALS,
	KEY_SINCE,
	KEY_UNTIL,
	KEY_TREE,
	KEY_TIMEOUT
};

static const struct cli_option options[] = {
	{'f', "format", "FORMAT", FORMAT_NAMES " (default: by FILE's suffix, else text)"},
	{'o', "output", "FILE", "write to FILE, whole or not at all"},
	{KEY_TOP, "top", "N", "text: the N biggest sites (default 20; 0: all)"},
	{KEY_DEPTH, "depth", "N",
		"text: tell sites apart by N functions from the innermost on (default 3; 0: whole "
		"stacks)"},
	{KEY_CUMULATIVE, "cumulative", NULL,
		"text, collapsed: allocated since the start, instead of live now"},
	{KEY_NATIVE_INTERNALS, "native-internals", NULL,
		"Python: show what the interpreter itself does, too"},
	{KEY_SINCE, "since", "NAME", "only what was allocated after this mark (`spprofctl mark`)"},
	{KEY_UNTIL, "until", "NAME", "only what was allocated before this mark"},
	{KEY_TREE, "tree", NULL,
		"PID and the processes forked from it as one; what they inherited counts once"},
	{KEY_TIMEOUT, "timeout", "S",
		"wait at most S seconds for symbol names (default 2, at most 30)"},
	{0},
};

struct arguments {
	const char *file; /* NULL: standard output */
	bool has_format;
	Spprof__V1__SnapshotRequest request;
};

static int set_number(const char *option, const char *value, unsigned long most, uint32_t *out)
{
	unsigned long number;
	if (cli_parse_number(value, 0, most, &number) < 0)
		return cli_usage_error(
			&cmd_snapshot, "--%s '%s' is not a number up to %lu", option, value, most);
	*out = (uint32_t)number;
	return CTL_OK;
}

static int set_timeout(const char *value, uint32_t *timeout_ms)
{
	unsigned long seconds;
	if (cli_parse_number(value, 1, MAX_TIMEOUT_S, &seconds) < 0)
		return cli_usage_error(&cmd_snapshot,
			"--timeout '%s' is not between 1 and %d seconds", value, MAX_TIMEOUT_S);
	*timeout_ms = (uint32_t)seconds * 1000;
	return CTL_OK;
}

static int set_mark(const char *option, const char *value, char **out)
{
	if (*value == '\0')
		return cli_usage_error(&cmd_snapshot, "--%s needs the name of a mark", option);
	*out = (char *)value;
	return CTL_OK;
}

static int set_option(struct arguments *arguments, int key, const char *value)
{
	switch (key) {
	case 'f':
		if (format_parse(value, &arguments->request.format) < 0)
			return cli_usage_error(&cmd_snapshot, "'%s' is not a format; there are %s",
				value, FORMAT_NAMES);
		arguments->has_format = true;
		return CTL_OK;
	case 'o':
		arguments->file = value;
		return CTL_OK;
	case KEY_TOP:
		return set_number("top", value, UINT32_MAX, &arguments->request.top);
	case KEY_DEPTH:
		return set_number("depth", value, UINT32_MAX, &arguments->request.depth);
	case KEY_CUMULATIVE:
		arguments->request.cumulative = true;
		return CTL_OK;
	case KEY_NATIVE_INTERNALS:
		arguments->request.native_internals = true;
		return CTL_OK;
	case KEY_SINCE:
		return set_mark("since", value, &arguments->request.since);
	case KEY_UNTIL:
		return set_mark("until", value, &arguments->request.until);
	case KEY_TREE:
		arguments->request.descendants = true;
		return CTL_OK;
	default:
		return set_timeout(value, &arguments->request.timeout_ms);
	}
}

static int set_operands(struct arguments *arguments, char **operands, int count)
{
	unsigned long pid;
	if (count == 0)
		return cli_usage_error(
			&cmd_snapshot, "which process? give its id (`spprofctl list` shows them)");
	if (count > 1)
		return cli_usage_error(&cmd_snapshot, "'%s' is one argument too many", operands[1]);
	if (cli_parse_number(operands[0], 1, INT32_MAX, &pid) < 0)
		return cli_usage_error(&cmd_snapshot, "'%s' is not a process id", operands[0]);
	arguments->request.pid = (int32_t)pid;
	if (arguments->file && !arguments->has_format &&
		format_of_file(arguments->file, &arguments->request.format) < 0)
		return cli_usage_error(&cmd_snapshot,
			"the name '%s' does not tell its format; say it with -f", arguments->file);
	return CTL_OK;
}

/* What the terminal is like decides how text looks; a file gets it plain. */
static void suit_terminal(Spprof__V1__SnapshotRequest *request)
{
	struct winsize size;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
		request->width = size.ws_col;
	const char *no_color = getenv("NO_COLOR"), *term = getenv("TERM");
	request->color = !(no_color && *no_color) && term && strcmp(term, "dumb") != 0;
}

/* Only for people: programs get what they asked for and no more. */
static void say_next_step(
	const struct ctl *ctl, const struct arguments *arguments, bool in_terminal)
{
	if (!isatty(STDERR_FILENO))
		return;
	if (arguments->file) {
		fetch_say_written(arguments->request.format, arguments->file);
	} else if (in_terminal &&
		   arguments->request.format == SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__TEXT) {
		_cleanup_free_ char *invocation = link_invocation(ctl);
		message_print("whole stacks, for https://www.speedscope.app: %s snapshot %d %s-o "
			      "heap.speedscope.json",
			invocation, (int)arguments->request.pid,
			arguments->request.descendants ? "--tree " : "");
	}
}

static int write_snapshot(
	const struct ctl *ctl, const struct arguments *arguments, struct output *output)
{
	struct link link;
	int code = link_open(&link, ctl);
	if (code != CTL_OK)
		return code;
	code = fetch_snapshot(&link, &arguments->request, output, arguments->file);
	if (code == CTL_OK)
		code = fetch_commit(output, arguments->file);
	link_close(&link);
	return code;
}

static int take_snapshot(const struct ctl *ctl, struct arguments *arguments)
{
	_cleanup_(output_deinit) struct output output;
	int result = output_init(&output, arguments->file);
	if (result < 0) {
		message_print("cannot write %s: %s", arguments->file, strerror(-result));
		return CTL_FAILED;
	}
	bool in_terminal = output_is_terminal(&output);
	if (in_terminal && format_is_binary(arguments->request.format))
		return cli_usage_error(&cmd_snapshot,
			"%s is binary and would garble the terminal: give -o FILE",
			format_name(arguments->request.format));
	if (in_terminal)
		suit_terminal(&arguments->request);
	int code = write_snapshot(ctl, arguments, &output);
	if (code == CTL_OK)
		say_next_step(ctl, arguments, in_terminal);
	return code;
}

static int run(struct ctl *ctl, int argc, char **argv)
{
	struct arguments arguments = {.request = SPPROF__V1__SNAPSHOT_REQUEST__INIT};
	arguments.request.top = FETCH_DEFAULT_TOP;
	arguments.request.depth = FETCH_DEFAULT_DEPTH;
	_cleanup_(cli_deinit) struct cli cli;
	cli_init(&cli, ctl, &cmd_snapshot, argc, argv);
	for (int key; (key = cli_next(&cli)) != CLI_END;) {
		int code = key == CLI_STOP ? cli.exit_code : set_option(&arguments, key, cli.value);
		if (key == CLI_STOP || code != CTL_OK)
			return code;
	}
	int count;
	char **operands = cli_arguments(&cli, &count);
	int code = set_operands(&arguments, operands, count);
	return code != CTL_OK ? code : take_snapshot(ctl, &arguments);
}

const struct cli_command cmd_snapshot = {
	.name = "snapshot",
	.arguments = "PID",
	.summary = "Shows where the live heap of a process was allocated.",
	.details = "Numbers are estimates from samples; each comes with its sample count or its 95 "
		   "% range.",
	.options = options,
	.run = run,
};
