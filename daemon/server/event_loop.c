/* Signals are handled where everything is: as callbacks of the loop. */
#include "server/event_loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <uv.h>

#include "base/alloc.h"

#define CLOSE_MS 2000u

static const int signals[] = {SIGTERM, SIGINT};
#define SIGNALS (sizeof signals / sizeof signals[0])

struct event_loop {
	uv_loop_t uv;
	uv_signal_t watchers[SIGNALS];
	uv_timer_t closing;
	uv_poll_t watched; /* of a process */
	int pidfd;	   /* owns; -1: none */
	bool stopped, late;
	void (*on_signal)(void *data);
	void *data;
};

static void on_watched_signal(uv_signal_t *watcher, int number)
{
	struct event_loop *loop = watcher->data;
	(void)number;
	loop->on_signal(loop->data);
}

int event_loop_new(struct event_loop **out, void (*on_signal)(void *data), void *data)
{
	struct event_loop *loop = alloc_zeroed(1, sizeof *loop);
	loop->on_signal = on_signal;
	loop->data = data;
	loop->pidfd = -1;
	int r = uv_loop_init(&loop->uv);
	if (r < 0) {
		free(loop);
		return r;
	}
	signal(SIGPIPE, SIG_IGN);
	uv_timer_init(&loop->uv, &loop->closing);
	loop->closing.data = loop;
	for (size_t i = 0; i < SIGNALS; i++) {
		uv_signal_init(&loop->uv, &loop->watchers[i]);
		loop->watchers[i].data = loop;
		uv_signal_start(&loop->watchers[i], on_watched_signal, signals[i]);
	}
	*out = loop;
	return 0;
}

static void on_watched_end(uv_poll_t *watched, int status, int events)
{
	struct event_loop *loop = watched->data;
	(void)status;
	(void)events;
	uv_poll_stop(watched);
	loop->on_signal(loop->data);
}

static void on_end_noticed(uv_timer_t *timer)
{
	struct event_loop *loop = timer->data;
	loop->on_signal(loop->data);
}

int event_loop_watch(struct event_loop *loop, int32_t pid)
{
	loop->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (loop->pidfd < 0 && errno == ESRCH)
		return uv_timer_start(&loop->closing, on_end_noticed, 0, 0);
	if (loop->pidfd < 0)
		return -errno;
	int r = uv_poll_init(&loop->uv, &loop->watched, loop->pidfd);
	if (r < 0)
		return r;
	loop->watched.data = loop;
	return uv_poll_start(&loop->watched, UV_READABLE, on_watched_end);
}

struct uv_loop_s *event_loop_uv(struct event_loop *loop)
{
	return &loop->uv;
}

void event_loop_run(struct event_loop *loop)
{
	while (!loop->stopped)
		uv_run(&loop->uv, UV_RUN_ONCE);
}

void event_loop_stop(struct event_loop *loop)
{
	loop->stopped = true;
}

static void on_late(uv_timer_t *timer)
{
	struct event_loop *loop = timer->data;
	loop->late = true;
}

int event_loop_free(struct event_loop *loop)
{
	for (size_t i = 0; i < SIGNALS; i++)
		uv_close((uv_handle_t *)&loop->watchers[i], NULL);
	if (loop->watched.data != NULL)
		uv_close((uv_handle_t *)&loop->watched, NULL);
	uv_timer_start(&loop->closing, on_late, CLOSE_MS, 0);
	uv_unref((uv_handle_t *)&loop->closing);
	/* The timer alone does not keep the loop alive; without anything else that is over at once.
	 */
	while (!loop->late && uv_run(&loop->uv, UV_RUN_ONCE) != 0)
		;
	uv_close((uv_handle_t *)&loop->closing, NULL);
	uv_run(&loop->uv, UV_RUN_NOWAIT);
	if (uv_loop_close(&loop->uv) < 0)
		return -EBUSY;
	if (loop->pidfd >= 0)
		close(loop->pidfd);
	free(loop);
	return 0;
}
