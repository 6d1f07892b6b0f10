/*
 * What the commands of spprofctl share: what the command line said for all of them, and the exit
 * codes, which are part of the interface (docs/man/spprofctl.1). One process, one thread, one
 * command.
 */
#pragma once

enum ctl_exit {
	CTL_OK = 0,
	CTL_FAILED = 1,
	CTL_USAGE = 2,
	CTL_NO_PROCESS = 3, /* none such, or it has no agent */
	CTL_NO_DAEMON = 4,
	CTL_NOT_PERMITTED = 5,
	CTL_NOT_EXECUTABLE = 126, /* `run` only, as env(1) has it */
	CTL_NOT_FOUND = 127,
};

struct ctl {
	const char *program;	   /* as it was called, for hints that can be pasted */
	const char *socket_option; /* --socket, or NULL; borrowed */
};

struct cli_command;
extern const struct cli_command cmd_run, cmd_env, cmd_list, cmd_mark, cmd_snapshot, cmd_stats,
	cmd_version;
