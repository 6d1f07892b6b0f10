/*
 * The loop of the daemon's only thread, and the signals that end it. Made by main(), given to
 * everything that waits.
 */
#pragma once
#include <stdint.h>

struct event_loop;
struct uv_loop_s;

/* `on_signal` is called for SIGTERM and SIGINT; SIGPIPE is ignored. */
int event_loop_new(struct event_loop **out, void (*on_signal)(void *data), void *data);
struct uv_loop_s *event_loop_uv(struct event_loop *loop);
/* `on_signal` is called when that process ends, too; at once if it has ended. Negative errno: the kernel knows no
 * pidfds. Once. */
int event_loop_watch(struct event_loop *loop, int32_t pid);
/* Until event_loop_stop. */
void event_loop_run(struct event_loop *loop);
void event_loop_stop(struct event_loop *loop);
/* Runs until everything that was closed has been freed. -EBUSY: something hangs on a pool thread;
 * the process can only be ended by _exit() then. */
int event_loop_free(struct event_loop *loop);
