/* A helper program that says nothing for as long as the test likes. */
#pragma once
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include "support/tap_main.h"

/* `path`: as for mkstemp; the file is the caller's to unlink. */
static inline void silent_helper_make(char *path)
{
	static const char text[] = "#!/bin/sh\nexec sleep 1000\n";
	int fd = mkstemp(path);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, sizeof text - 1), sizeof text - 1);
	ck_assert_int_eq(fchmod(fd, 0755), 0);
	close(fd);
}
