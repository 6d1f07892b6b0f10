/*
 * The daemon a command talks to: found where the command line, the environment or custom say, and
 * its failures turned into one line on stderr and an exit code. Single-threaded.
 */
#pragma once
#include <stddef.h>

#include "common/api_client.h"
#include "ctl/ctl.h"

/* More than a busy daemon needs for anything but a snapshot. */
#define LINK_SILENCE_MS 30000

struct link {
	struct api_client *client; /* owns */
	char *dir;		   /* owns; absolute */
};

/* Tries the places in their order: 0, or the most telling negative errno (-EPERM: a stranger's
 * daemon). */
int link_try(struct link *link, const struct ctl *ctl);
/* The same for one directory only. */
int link_try_dir(struct link *link, const char *dir);
/* The same as link_try, having said what was wrong: CTL_OK or the exit code. */
int link_open(struct link *link, const struct ctl *ctl);
/* Whether the daemon is awake: 0 with its version in *version (the caller frees) unless that is
 * NULL, or as api_client_call(). */
int link_ping(struct link *link, char **version);
void link_close(struct link *link);

/* How to call us again for the same daemon: "spprofctl" or "spprofctl --socket DIR". The caller
 * frees. */
char *link_invocation(const struct ctl *ctl);

/*
 * The exit code for a result of api_client_call(), having said on stderr what it means; `what`
 * names the thing asked for, e.g. "the snapshot of process 12". CTL_OK for 0.
 */
int link_report(const struct link *link, int result, const char *what);
