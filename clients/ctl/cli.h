/*
 * Command lines from tables: one table per command drives getopt_long(3) and --help alike, so that
 * neither can know an option that the other doesn't. Uses getopt's global state: one parse at a
 * time.
 */
#pragma once
#include <stdbool.h>

#include "ctl/ctl.h"

struct cli_option {
	int key;	      /* its letter, or a number from CLI_LONG_ONLY up; 0 ends a table */
	const char *name;     /* long name, without the dashes */
	const char *argument; /* as --help names it; NULL: takes none */
	const char *help;     /* one clause */
};

#define CLI_LONG_ONLY 256

struct cli_command {
	const char *name;		  /* NULL: spprofctl itself */
	const char *arguments;		  /* behind the options, for the usage line */
	const char *summary;		  /* one line */
	const char *details;		  /* further lines of --help, or NULL */
	void (*print_more)(void);	  /* what --help ends with, or NULL */
	const struct cli_option *options; /* its own; --socket and --help come with every command */
	bool stops_at_operand; /* what follows the first operand belongs to another program */
	/* argv[0] is the command's name. Returns an exit code, having said on stderr what went
	 * wrong. */
	int (*run)(struct ctl *ctl, int argc, char **argv);
};

/* cli_next()'s results besides the keys of the command's own options. */
enum { CLI_END = -1, CLI_STOP = -2 };

struct cli {
	struct ctl *ctl;
	const struct cli_command *command;
	int argc;
	char **argv;
	const char *value;	       /* of the option just returned */
	int exit_code;		       /* after CLI_STOP */
	struct option *getopt_options; /* owns */
	char *getopt_letters;	       /* owns */
};

void cli_init(
	struct cli *cli, struct ctl *ctl, const struct cli_command *command, int argc, char **argv);
void cli_deinit(struct cli *cli);

/*
 * The next option's key; CLI_END: what is left are cli_arguments(); CLI_STOP: leave with exit_code,
 * since help was printed or the command line makes no sense (said on stderr).
 */
int cli_next(struct cli *cli);
/* Operands, NULL-terminated; *count of them. After CLI_END. */
char **cli_arguments(const struct cli *cli, int *count);

/* "spprofctl NAME: message; see spprofctl NAME --help" on stderr; returns CTL_USAGE. */
int cli_usage_error(const struct cli_command *command, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void cli_print_help(const struct cli_command *command);

/* A number without sign or suffix within [least, most]: 0 or -EINVAL. */
int cli_parse_number(const char *text, unsigned long least, unsigned long most, unsigned long *out);
