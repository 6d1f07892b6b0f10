#include "config.h"
#include "ctl/child.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdbool.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/scope.h"
#include "ctl/ctl.h"
#include "ctl/message.h"
#include "ctl/preload.h"
#include "ctl/signals.h"

__attribute__((noreturn)) static void become_program(
	char **argv, const struct preload *preload, const struct signals *signals, int failure_fd)
{
	signals_restore(signals);
	int result = preload_set_environment(preload);
	if (result == 0) {
		execvp(argv[0], argv);
		result = -errno;
	}
	/* The pipe closes by itself where exec succeeds. */
	if (write(failure_fd, &result, sizeof(result)) != sizeof(result))
		message_print("cannot run %s: %s", argv[0], strerror(-result));
	_exit(CTL_NOT_EXECUTABLE);
}

static int report_exec(const char *program, int result)
{
	message_print("cannot run %s: %s", program, strerror(-result));
	return result == -ENOENT ? CTL_NOT_FOUND : CTL_NOT_EXECUTABLE;
}

int child_start(struct child *child, char **argv, const struct preload *preload,
	const struct signals *signals)
{
	*child = (struct child){0};
	int ends[2];
	if (pipe2(ends, O_CLOEXEC) < 0) {
		message_print("cannot make a pipe: %s", strerror(errno));
		return CTL_FAILED;
	}
	_cleanup_close_ int failure_fd = ends[0];
	child->pid = fork();
	if (child->pid == 0)
		become_program(argv, preload, signals, ends[1]);
	close(ends[1]);
	if (child->pid < 0) {
		message_print("cannot start %s: %s", argv[0], strerror(errno));
		return CTL_FAILED;
	}
	int failure;
	if (read(failure_fd, &failure, sizeof(failure)) != sizeof(failure))
		return CTL_OK;
	child_reap(child);
	return report_exec(argv[0], failure);
}

static bool has_ended(struct child *child)
{
	siginfo_t info = {0};
	if (waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 ||
		info.si_pid != child->pid)
		return false;
	child->exit_code = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	return true;
}

static bool daemon_has_ended(pid_t daemon_pid)
{
	siginfo_t info = {0};
	return waitid(P_PID, (id_t)daemon_pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
	       info.si_pid == daemon_pid;
}

void child_await(struct child *child, struct signals *signals, pid_t daemon_pid)
{
	bool lost_daemon = daemon_pid == 0;
	while (!has_ended(child)) {
		if (!lost_daemon && daemon_has_ended(daemon_pid)) {
			lost_daemon = true;
			message_print("the private spprofd has ended; process %d goes on without "
				      "being profiled",
				(int)child->pid);
		}
		struct pollfd ready = {.fd = signals->fd, .events = POLLIN};
		poll(&ready, 1, -1);
		struct signals_event event;
		while (signals_next(signals, &event)) {
			/* What the terminal sends, the program got as well. */
			if (event.number != SIGCHLD && !event.from_terminal)
				kill(child->pid, event.number);
		}
	}
	/* Those that came while it ended were meant for it, too. */
	for (struct signals_event event; signals_next(signals, &event);)
		;
}

void child_reap(struct child *child)
{
	while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
		;
}
