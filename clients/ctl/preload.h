/* The environment that brings the agent into a program. Single-threaded, since the environment is.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct preload {
	char *agent;	  /* owns; path of the library */
	char *ld_preload; /* owns; the agent in front of what LD_PRELOAD names already */
	char *socket_dir; /* owns; NULL: the agent finds it by itself */
	uint64_t rate;	  /* bytes; 0: left to the agent */
};

/* A sampling interval as the agent takes it, 1 byte to 1 TiB: 0 or -EINVAL. */
int preload_parse_rate(const char *text, uint64_t *rate);

/* Finds the agent: CTL_OK, or an exit code, having said what is missing. */
int preload_init(struct preload *preload, const char *socket_dir, uint64_t rate);
void preload_deinit(struct preload *preload);
/* Into this process's environment, for a program that it is about to become. 0 or negative errno.
 */
int preload_set_environment(const struct preload *preload);
/* As lines for a shell to eval, on stdout. */
void preload_print_exports(const struct preload *preload);
