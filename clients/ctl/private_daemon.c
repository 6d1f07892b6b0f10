#include "config.h"
#include "ctl/private_daemon.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/scope.h"
#include "ctl/ctl.h"
#include "ctl/install.h"
#include "ctl/message.h"
#include "ctl/signals.h"

#define READY_MS 15000
#define STOP_MS	 5000
/* With "/agent.sock" behind it a directory's name must fit into a socket address of 108 bytes. */
#define DIR_SIZE_MAX 90

static int make_dir(struct private_daemon *daemon)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	const char *parent = "/tmp";
	if (runtime && *runtime == '/' && strlen(runtime) < DIR_SIZE_MAX - 16 &&
		stat(runtime, &st) == 0 && S_ISDIR(st.st_mode) && st.st_uid == geteuid())
		parent = runtime;
	daemon->dir = scope_printf("%s/spprof-XXXXXX", parent);
	if (mkdtemp(daemon->dir))
		return CTL_OK;
	message_print("cannot make a directory for a spprofd in %s: %s", parent, strerror(errno));
	free(daemon->dir);
	daemon->dir = NULL;
	return CTL_FAILED;
}

static void remove_dir(const char *dir)
{
	DIR *entries = opendir(dir);
	if (!entries)
		return;
	for (struct dirent *entry; (entry = readdir(entries));) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			unlinkat(dirfd(entries), entry->d_name, 0);
	}
	closedir(entries);
	if (rmdir(dir) < 0)
		message_print("cannot remove %s: %s", dir, strerror(errno));
}

__attribute__((noreturn)) static void become_daemon(
	const char *program, const char *dir, int ready_fd, const struct signals *signals)
{
	char number[16];
	snprintf(number, sizeof(number), "%d", ready_fd);
	signals_restore(signals);
	/* Ctrl-C is meant for the program, and the daemon must outlive it. */
	setsid();
	/* Under `eval "$(spprofctl env)"` it would profile itself. */
	unsetenv("LD_PRELOAD");
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);
	dup2(null, STDIN_FILENO);
	dup2(null, STDOUT_FILENO);
	fcntl(ready_fd, F_SETFD, 0);
	execl(program, program, "--socket-dir", dir, "--ready-fd", number, "--exit-with-parent",
		(char *)NULL);
	message_print("cannot run %s: %s", program, strerror(errno));
	_exit(CTL_NOT_EXECUTABLE);
}

/* 0, -ETIMEDOUT, -EINTR (*signal_number is set), or -EPIPE when the daemon ended instead. */
static int await_ready(int ready_fd, struct signals *signals, int *signal_number)
{
	for (;;) {
		struct pollfd fds[] = {
			{.fd = ready_fd, .events = POLLIN}, {.fd = signals->fd, .events = POLLIN}};
		int result = poll(fds, 2, READY_MS);
		if (result == 0)
			return -ETIMEDOUT;
		struct signals_event event;
		while (signals_next(signals, &event)) {
			if (event.number != SIGCHLD) {
				*signal_number = event.number;
				return -EINTR;
			}
		}
		char byte;
		if (fds[0].revents)
			return read(ready_fd, &byte, 1) == 1 ? 0 : -EPIPE;
	}
}

static int report_failed_start(int result, const char *program)
{
	if (result == -EINTR)
		return CTL_FAILED;
	if (result == -ETIMEDOUT)
		message_print("%s was not ready after %d seconds; CMD was not started", program,
			READY_MS / 1000);
	else
		message_print(
			"%s ended before it was ready, for the reason above; CMD was not started",
			program);
	return CTL_NO_DAEMON;
}

static int start_in_dir(struct private_daemon *daemon, const char *program, struct signals *signals,
	int *signal_number)
{
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		message_print("cannot make a pipe: %s", strerror(errno));
		return CTL_FAILED;
	}
	_cleanup_close_ int ready_fd = ends[0];
	daemon->pid = fork();
	if (daemon->pid == 0)
		become_daemon(program, daemon->dir, ends[1], signals);
	close(ends[1]);
	if (daemon->pid < 0) {
		daemon->pid = 0;
		message_print("cannot start %s: %s", program, strerror(errno));
		return CTL_FAILED;
	}
	int result = await_ready(ready_fd, signals, signal_number);
	return result == 0 ? CTL_OK : report_failed_start(result, program);
}

int private_daemon_start(struct private_daemon *daemon, struct signals *signals, int *signal_number)
{
	*daemon = (struct private_daemon){0};
	_cleanup_free_ char *program = NULL;
	int found = install_find_daemon(&program);
	if (found < 0) {
		message_print("no spprofd answers, and %s cannot be started (%s): install spprof, "
			      "or set SPPROF_BINDIR to its "
			      "folder; CMD was not started",
			program, strerror(-found));
		return CTL_NO_DAEMON;
	}
	int code = make_dir(daemon);
	if (code != CTL_OK)
		return code;
	code = start_in_dir(daemon, program, signals, signal_number);
	if (code != CTL_OK)
		private_daemon_stop(daemon);
	return code;
}

static void end_process(pid_t pid)
{
	kill(pid, SIGTERM);
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd ended = {.fd = pidfd, .events = POLLIN};
	if (pidfd < 0 || poll(&ended, 1, STOP_MS) != 1)
		kill(pid, SIGKILL);
	if (pidfd >= 0)
		close(pidfd);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
}

void private_daemon_stop(struct private_daemon *daemon)
{
	if (daemon->pid > 0)
		end_process(daemon->pid);
	if (daemon->dir)
		remove_dir(daemon->dir);
	free(daemon->dir);
	*daemon = (struct private_daemon){0};
}
