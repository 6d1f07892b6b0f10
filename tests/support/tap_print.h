/* TAP for programs that print it themselves. Single-threaded. */
#pragma once
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

static int tap_print_count, tap_print_failures;

static inline bool tap_print(bool ok, const char *what)
{
	tap_print_failures += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tap_print_count, what);
	return ok;
}

static inline void tap_print_skip(const char *what, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_print_count, what, why);
}

/* The exit status. */
static inline int tap_print_end(void)
{
	printf("1..%d\n", tap_print_count);
	return tap_print_failures ? EXIT_FAILURE : EXIT_SUCCESS;
}
