/* sandbox: a child locks itself in and tries what it should not be able to do; the parent looks at
 * it from outside. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "helper/sandbox.h"
#include "support/tap_main.h"

static const struct sandbox_limits limits = {(size_t)4 << 30, 512, false};

/* What the child says by its exit status: 0, or the number of the first attempt that went
 * wrong. */
static int run_locked_in_by(const struct sandbox_limits *limits, int (*attempts)(void))
{
	int status;
	pid_t pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		dup2(STDERR_FILENO, 3); /* stands for the socket */
		dup2(STDERR_FILENO, 40);
		sandbox_enter(limits);
		_exit(attempts());
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int run_locked_in(int (*attempts)(void))
{
	return run_locked_in_by(&limits, attempts);
}

static bool is_refused(long result)
{
	return result < 0 && errno == EPERM;
}

static int attempt_system(void)
{
	if (!is_refused(open("/etc/passwd", O_RDONLY)))
		return 1;
	if (!is_refused(socket(AF_UNIX, SOCK_STREAM, 0)))
		return 2;
	if (!is_refused(fork()))
		return 3;
	if (!is_refused(execl("/bin/true", "true", NULL)))
		return 4;
	if (!is_refused(kill(getppid(), 0)))
		return 5;
	if (!is_refused(ptrace(PTRACE_TRACEME, 0, NULL, NULL)))
		return 6;
	if (!is_refused(memfd_create("x", 0)))
		return 7;
	if (mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		MAP_FAILED)
		return 8;
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (page == MAP_FAILED)
		return 9;
	if (!is_refused(mprotect(page, 4096, PROT_READ | PROT_EXEC)))
		return 10;
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};
	if (!is_refused(setrlimit(RLIMIT_AS, &limit)))
		return 11;
	if (!is_refused(setrlimit(RLIMIT_FSIZE, &limit)))
		return 12;
	return 0;
}

static bool has_filter(void)
{
	/* asked of a child, since the filter cannot be taken off again */
	return run_locked_in(attempt_system) != 1;
}

static int attempt_looking(void)
{
	int directory = open("/proc/1", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (directory < 0)
		return 1;
	if (openat(directory, "comm", O_RDONLY | O_CLOEXEC) < 0)
		return 2;
	if (!is_refused(open("/dev/null", O_WRONLY | O_CLOEXEC)))
		return 3;
	if (!is_refused(open("/dev/null", O_RDWR | O_CLOEXEC)))
		return 4;
	if (!is_refused(open("/tmp/spprof-test-sandbox", O_RDONLY | O_CREAT | O_CLOEXEC, 0600)))
		return 5;
	if (!is_refused(open("/dev/null", O_RDONLY | O_TRUNC | O_CLOEXEC)))
		return 6;
	if (!is_refused(fork()))
		return 7;
	if (!is_refused(socket(AF_UNIX, SOCK_STREAM, 0)))
		return 8;
	if (!is_refused(execl("/bin/true", "true", NULL)))
		return 9;
	if (!is_refused(ptrace(PTRACE_ATTACH, getppid(), NULL, NULL)))
		return 10;
	return 0;
}

START_TEST(who_looks_at_processes_opens_files_for_reading_alone)
{
	static const struct sandbox_limits looking = {(size_t)4 << 30, 512, true};
	if (!has_filter()) {
		printf("# skipped: no system call filter here\n");
		return;
	}
	ck_assert_int_eq(run_locked_in_by(&looking, attempt_looking), 0);
}
END_TEST

START_TEST(nothing_can_be_opened_started_or_made_executable)
{
	int first = run_locked_in(attempt_system);
	if (first == 1) {
		printf("# skipped: no system call filter here\n");
		return;
	}
	ck_assert_int_eq(first, 0);
}
END_TEST

static int attempt_memory(void)
{
	/* what a reader of files needs goes on working */
	char *block = malloc(1 << 20), *grown = realloc(block, 64 << 20);
	struct stat st;
	if (!grown || fstat(STDERR_FILENO, &st) < 0)
		return 1;
	grown[(64 << 20) - 1] = 1;
	free(grown);
	return 0;
}

START_TEST(memory_and_descriptors_still_work)
{
	ck_assert_int_eq(run_locked_in(attempt_memory), 0);
}
END_TEST

static int attempt_write(void)
{
	/* standard error is a file here: growing it must fail without a signal */
	return write(STDERR_FILENO, "x", 1) < 0 && errno == EFBIG ? 0 : 1;
}

START_TEST(no_file_grows_and_no_signal_tells_so)
{
	int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 10);
	int file = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	ck_assert_int_ge(file, 0);
	dup2(file, STDERR_FILENO);
	int result = run_locked_in(attempt_write);
	dup2(saved, STDERR_FILENO);
	ck_assert_int_eq(result, 0);
}
END_TEST

static int attempt_inherited(void)
{
	for (int fd = 4; fd < 64; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			return fd;
	return fcntl(3, F_GETFD) >= 0 ? 0 : 3;
}

START_TEST(descriptors_other_than_the_socket_are_closed)
{
	ck_assert_int_eq(run_locked_in(attempt_inherited), 0);
}
END_TEST

static void read_status(pid_t pid, char *text, size_t room)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t size = read(fd, text, room - 1);
	ck_assert_int_gt(size, 0);
	text[size] = '\0';
	close(fd);
}

static void assert_status(const char *text, const char *wanted)
{
	ck_assert_msg(strstr(text, wanted) != NULL, "not in /proc/PID/status: %s", wanted);
}

START_TEST(from_outside_it_has_no_privileges)
{
	char text[8192], byte;
	int up[2], down[2];
	ck_assert_int_eq(pipe(up), 0);
	ck_assert_int_eq(pipe(down), 0);
	pid_t pid = fork();
	if (pid == 0) {
		/* only these survive: sandbox_enter closes what is above 3 */
		dup2(down[0], STDIN_FILENO);
		dup2(up[1], 3);
		sandbox_enter(&limits);
		if (write(3, "x", 1) < 0)
			_exit(1);
		_exit(read(STDIN_FILENO, &byte, 1) < 0);
	}
	ck_assert_int_eq(read(up[0], &byte, 1), 1);
	read_status(pid, text, sizeof(text));
	ck_assert_int_eq(write(down[1], "x", 1), 1);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	assert_status(text, "CapPrm:\t0000000000000000");
	assert_status(text, "CapEff:\t0000000000000000");
	assert_status(text, "CapAmb:\t0000000000000000");
	assert_status(text, "NoNewPrivs:\t1");
	if (geteuid() == 0)
		assert_status(text, "Uid:\t65534\t65534\t65534\t65534");
	if (has_filter())
		assert_status(text, "Seccomp:\t2");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("sandbox");
	TCase *t = tcase_create("sandbox");
	tcase_add_test(t, nothing_can_be_opened_started_or_made_executable);
	tcase_add_test(t, who_looks_at_processes_opens_files_for_reading_alone);
	tcase_add_test(t, memory_and_descriptors_still_work);
	tcase_add_test(t, no_file_grows_and_no_signal_tells_so);
	tcase_add_test(t, descriptors_other_than_the_socket_are_closed);
	tcase_add_test(t, from_outside_it_has_no_privileges);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
