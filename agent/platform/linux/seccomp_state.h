/*
 * Which seccomp filters are in force, as far as /proc/self/status says. What the agent asks of the
 * kernel at load was allowed by those of that moment; a filter that comes later may kill for it.
 * Opens and reads one file of /proc, which every filter under which programs still load libraries
 * allows.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct seccomp_state {
	int64_t mode;	 /* 0: none, 1: strict, 2: filters; -1: not known */
	int64_t filters; /* how many; -1: not known (before Linux 5.9) */
};

void seccomp_state_read(struct seccomp_state *out);
/* Whether nothing has come on top of `before`. False where that is not known. */
bool seccomp_state_same(const struct seccomp_state *before, const struct seccomp_state *now);
/* For tests: of the text of such a file. */
void seccomp_state_parse(const char *text, struct seccomp_state *out);
