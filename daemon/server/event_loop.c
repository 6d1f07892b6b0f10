/* Signals are handled where everything is: as callbacks of the loop. */
#include "server/event_loop.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <uv.h>

#include "base/alloc.h"

#define CLOSE_MS 2000u

static const int signals[] = {SIGTERM, SIGINT};
#define SIGNALS (sizeof signals / sizeof signals[0])

struct event_loop {
	uv_loop_t uv;
	uv_signal_t watchers[SIGNALS];
	uv_timer_t closing;
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
	free(loop);
	return 0;
}
