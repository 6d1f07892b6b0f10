#include "config.h"
#include "ctl/signals.h"

#include <errno.h>
#include <sys/signalfd.h>
#include <unistd.h>

static const int watched[] = {SIGCHLD, SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2};

int signals_init(struct signals *signals)
{
	sigset_t set;
	sigemptyset(&set);
	for (size_t i = 0; i < sizeof(watched) / sizeof(watched[0]); i++)
		sigaddset(&set, watched[i]);
	signals->fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
	if (signals->fd < 0)
		return -errno;
	/* An inherited SIG_IGN would reap our children unseen; a reader who left our stderr must
	 * not end us. */
	signals->child_action = signal(SIGCHLD, SIG_DFL);
	signals->pipe_action = signal(SIGPIPE, SIG_IGN);
	return sigprocmask(SIG_BLOCK, &set, &signals->original) < 0 ? -errno : 0;
}

void signals_deinit(struct signals *signals)
{
	/* What is still pending would end us now, in place of the exit code that everybody waits
	 * for. */
	for (struct signals_event event; signals_next(signals, &event);)
		;
	close(signals->fd);
	signals_restore(signals);
}

bool signals_next(struct signals *signals, struct signals_event *event)
{
	struct signalfd_siginfo info;
	if (read(signals->fd, &info, sizeof(info)) != sizeof(info))
		return false;
	event->number = (int)info.ssi_signo;
	event->from_terminal = info.ssi_code == SI_KERNEL;
	return true;
}

void signals_restore(const struct signals *signals)
{
	signal(SIGCHLD, signals->child_action);
	signal(SIGPIPE, signals->pipe_action);
	sigprocmask(SIG_SETMASK, &signals->original, NULL);
}
