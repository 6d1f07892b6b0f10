#include "config.h"
#include "ctl/cli.h"

#include <ctype.h>
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/scope.h"

enum { KEY_SOCKET = CLI_LONG_ONLY + 1000 };

static const struct cli_option common_options[] = {
	{KEY_SOCKET, "socket", "DIR",
		"directory of the daemon's sockets (default: $SPPROF_SOCKET, else search)"},
	{'h', "help", NULL, "show this help"},
	{0},
};

static size_t count_options(const struct cli_option *options)
{
	size_t count = 0;
	while (options[count].key)
		count++;
	return count;
}

static size_t add_options(struct cli *cli, size_t at, const struct cli_option *options)
{
	for (; options->key; options++, at++) {
		cli->getopt_options[at] = (struct option){
			.name = options->name,
			.has_arg = options->argument ? required_argument : no_argument,
			.val = options->key,
		};
		if (options->key < CLI_LONG_ONLY) {
			char letter[] = {(char)options->key, options->argument ? ':' : '\0', '\0'};
			strcat(cli->getopt_letters, letter);
		}
	}
	return at;
}

void cli_init(
	struct cli *cli, struct ctl *ctl, const struct cli_command *command, int argc, char **argv)
{
	size_t count = count_options(command->options) + count_options(common_options);
	*cli = (struct cli){.ctl = ctl, .command = command, .argc = argc, .argv = argv};
	cli->getopt_options = scope_alloc((count + 1) * sizeof(*cli->getopt_options));
	cli->getopt_letters = scope_alloc(2 * count + 3);
	strcpy(cli->getopt_letters, command->stops_at_operand ? "+:" : ":");
	add_options(cli, add_options(cli, 0, command->options), common_options);
	optind = 0; /* glibc: start afresh */
	opterr = 0;
}

void cli_deinit(struct cli *cli)
{
	free(cli->getopt_options);
	free(cli->getopt_letters);
	*cli = (struct cli){0};
}

static int stop(struct cli *cli, int exit_code)
{
	cli->exit_code = exit_code;
	return CLI_STOP;
}

static int reject(struct cli *cli, int result)
{
	/* A bad letter is in optopt; of a bad long option getopt leaves only its place. */
	const char *word = cli->argv[optind - 1];
	const char *problem = result == ':' ? "needs an argument" : "is not an option";
	if (strncmp(word, "--", 2) == 0 || !isprint(optopt))
		return stop(cli, cli_usage_error(cli->command, "'%s' %s", word, problem));
	return stop(cli, cli_usage_error(cli->command, "'-%c' %s", optopt, problem));
}

int cli_next(struct cli *cli)
{
	for (;;) {
		int key = getopt_long(
			cli->argc, cli->argv, cli->getopt_letters, cli->getopt_options, NULL);
		cli->value = optarg;
		switch (key) {
		case -1:
			return CLI_END;
		case '?':
		case ':':
			return reject(cli, key);
		case 'h':
			cli_print_help(cli->command);
			return stop(cli, CTL_OK);
		case KEY_SOCKET:
			if (!*optarg)
				return stop(cli, cli_usage_error(cli->command,
							 "--socket needs a directory"));
			cli->ctl->socket_option = optarg;
			break;
		default:
			return key;
		}
	}
}

char **cli_arguments(const struct cli *cli, int *count)
{
	*count = cli->argc - optind;
	return cli->argv + optind;
}

static void put_name(FILE *stream, const struct cli_command *command)
{
	fprintf(stream, "spprofctl%s%s", command->name ? " " : "",
		command->name ? command->name : "");
}

int cli_usage_error(const struct cli_command *command, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	put_name(stderr, command);
	fputs(": ", stderr);
	vfprintf(stderr, format, args);
	fputs("; see: ", stderr);
	put_name(stderr, command);
	fputs(" --help\n", stderr);
	va_end(args);
	return CTL_USAGE;
}

static void print_options(const struct cli_option *options)
{
	for (; options->key; options++) {
		char left[64];
		snprintf(left, sizeof(left), "%c%c%c --%s%s%s",
			options->key < CLI_LONG_ONLY ? '-' : ' ',
			options->key < CLI_LONG_ONLY ? options->key : ' ',
			options->key < CLI_LONG_ONLY ? ',' : ' ', options->name,
			options->argument ? " " : "", options->argument ? options->argument : "");
		printf("  %-24s %s\n", left, options->help);
	}
}

void cli_print_help(const struct cli_command *command)
{
	fputs("Usage: ", stdout);
	put_name(stdout, command);
	printf(" [OPTIONS]%s%s\n\n%s\n\nOptions:\n", *command->arguments ? " " : "",
		command->arguments, command->summary);
	print_options(command->options);
	print_options(common_options);
	if (command->details)
		printf("\n%s\n", command->details);
	if (command->print_more)
		command->print_more();
}

int cli_parse_number(const char *text, unsigned long least, unsigned long most, unsigned long *out)
{
	if (!isdigit((unsigned char)*text))
		return -EINVAL;
	char *end;
	errno = 0;
	unsigned long value = strtoul(text, &end, 10);
	if (errno || *end || value < least || value > most)
		return -EINVAL;
	*out = value;
	return 0;
}
