#include "config.h"
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "common/scope.h"
#include "ctl/cli.h"
#include "ctl/message.h"

enum { KEY_VERSION = 'V' };

static const struct cli_option options[] = {
	{KEY_VERSION, "version", NULL, "print the version"},
	{0},
};

static const struct cli_command *const commands[] = {
	&cmd_run, &cmd_env, &cmd_list, &cmd_snapshot, &cmd_mark, &cmd_stats, &cmd_version};

static void print_commands(void)
{
	fputs("\nCommands:\n", stdout);
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		printf("  %-10s %s\n", commands[i]->name, commands[i]->summary);
	printf("  %-10s %s\n", "help", "Explains a command: spprofctl help COMMAND.");
	fputs("\nThe agent comes with the program's start: restart it once under `spprofctl run`, "
	      "or with `spprofctl env`.\n"
	      "Exit codes: 0 fine, 1 failed, 2 usage, 3 no such process or not attached, 4 no "
	      "daemon, 5 not permitted.\n",
		stdout);
}

static const struct cli_command main_command = {
	.arguments = "COMMAND ...",
	.summary = "Looks into the heaps of running programs through spprofd.",
	.options = options,
	.print_more = print_commands,
	.stops_at_operand = true,
};

static const struct cli_command *find(const char *name)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i]->name, name) == 0)
			return commands[i];
	}
	return NULL;
}

static int help(const char *name)
{
	const struct cli_command *command = name ? find(name) : &main_command;
	if (!command)
		return cli_usage_error(&main_command, "'%s' is not a command", name);
	cli_print_help(command);
	return CTL_OK;
}

static int dispatch(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_(cli_deinit) struct cli cli;
	cli_init(&cli, ctl, &main_command, argc, argv);
	int key = cli_next(&cli);
	if (key == CLI_STOP)
		return cli.exit_code;
	int count;
	char **words = cli_arguments(&cli, &count);
	if (key == KEY_VERSION)
		return cmd_version.run(ctl, 1, (char *[]){"version", NULL});
	if (count == 0)
		return cli_usage_error(&main_command, "which command?");
	if (strcmp(words[0], "help") == 0)
		return help(words[1]);
	const struct cli_command *command = find(words[0]);
	if (!command)
		return cli_usage_error(&main_command, "'%s' is not a command", words[0]);
	return command->run(ctl, count, words);
}

/* A pipe or a file of ours must not become somebody's standard output. */
static void fill_standard_descriptors(void)
{
	int fd;
	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd >= 0)
		close(fd);
}

int main(int argc, char **argv)
{
	fill_standard_descriptors();
	/* Only the width of characters: numbers stay as programs read them. */
	setlocale(LC_CTYPE, "");
	struct ctl ctl = {.program = argc > 0 && strchr(argv[0], '/') ? argv[0] : "spprofctl"};
	int code = dispatch(&ctl, argc, argv);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		message_print("cannot write to standard output");
		return code == CTL_OK ? CTL_FAILED : code;
	}
	return code;
}
