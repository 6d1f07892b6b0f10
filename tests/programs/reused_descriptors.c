/*
 * A program that closes every descriptor, as daemons do, and gets the numbers again for files of
 * its own, the agent's number included. Whatever is sampled afterwards, their contents and
 * positions are the program's alone. Prints TAP.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "support/agent_view.h"
#include "support/tap_print.h"

enum { FIRST = 3, LAST = 1023, FILE_BYTES = 8192, POSITION = 100 };

static void *(*volatile do_malloc)(size_t) = malloc;
static void (*volatile do_free)(void *) = free;

static char expected[FILE_BYTES];

static bool open_all(int kind)
{
	for (int fd = FIRST; fd <= LAST; fd++) {
		int got = kind == 0   ? open("/tmp", O_TMPFILE | O_RDWR, 0600)
			  : kind == 1 ? memfd_create("spprof-segment", 0)
				      : open("/dev/zero", O_RDWR);

		if (got != fd)
			return false;
		if (kind == 2)
			continue;
		if (write(fd, expected, sizeof expected) != sizeof expected ||
			lseek(fd, POSITION, SEEK_SET) != POSITION)
			return false;
	}
	return true;
}

static bool is_untouched(int fd, int kind)
{
	char found[FILE_BYTES + 1];
	struct stat status;

	if (kind == 2)
		return fstat(fd, &status) == 0 && S_ISCHR(status.st_mode);
	return lseek(fd, 0, SEEK_CUR) == POSITION && fcntl(fd, F_GETFD) == 0 &&
	       pread(fd, found, sizeof found, 0) == FILE_BYTES &&
	       memcmp(found, expected, FILE_BYTES) == 0;
}

static void sample(unsigned count)
{
	static void *volatile held[256];

	for (unsigned i = 0; i < count; i++) {
		do_free(held[i % 256]);
		held[i % 256] = do_malloc(1000);
		if (i % 64 == 0)
			agent_view_drain();
	}
}

static bool all_untouched(int kind)
{
	unsigned touched = 0, open_files = 0;

	for (int fd = FIRST; fd <= LAST; fd++)
		touched += !is_untouched(fd, kind);
	for (int fd = FIRST; fd < LAST + 200; fd++)
		open_files += fcntl(fd, F_GETFD) >= 0;
	return touched == 0 && open_files == LAST - FIRST + 1;
}

/* Also in a child, which wants a segment of its own. */
static bool child_leaves_alone(int kind)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		sample(2000);
		for (int fd = FIRST; fd <= LAST; fd++)
			if (!is_untouched(fd, kind))
				_exit(1);
		_exit(0);
	}
	waitpid(child, &status, 0);
	return status == 0;
}

int main(void)
{
	struct rlimit limit;

	agent_view_open();
	memset(expected, 0x5a, sizeof expected);
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_max < LAST + 200) {
		puts("1..0 # SKIP too few descriptors are allowed");
		return 0;
	}
	limit.rlim_cur = LAST + 200;
	setrlimit(RLIMIT_NOFILE, &limit);
	static const char *const names[] = {"files", "memory files of the agent's name", "devices"};
	for (int kind = 0; kind < 3; kind++) {
		char text[100];

		closefrom(FIRST);
		snprintf(
			text, sizeof text, "numbers used again for %s are left alone", names[kind]);
		if (!open_all(kind)) {
			tap_print_skip(text, "they cannot be made here");
			continue;
		}
		sample(40000);
		tap_print(all_untouched(kind) && child_leaves_alone(kind) && all_untouched(kind),
			text);
	}
	tap_print(agent_view_sampled(100000), "allocations were sampled");
	return tap_print_end();
}
