/* A thread each, detached: those that hang cost a small stack, and are few. */
#include "server/background_close.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#define MAX_HANGING 16

static _Atomic int hanging;

static void *close_it(void *fd)
{
	close((int)(intptr_t)fd);
	/* relaxed: a bound, it orders nothing */
	atomic_fetch_sub_explicit(&hanging, 1, memory_order_relaxed);
	return NULL;
}

int background_close(int fd)
{
	/* relaxed: a bound, it orders nothing */
	if (atomic_fetch_add_explicit(&hanging, 1, memory_order_relaxed) >= MAX_HANGING) {
		atomic_fetch_sub_explicit(&hanging, 1, memory_order_relaxed);
		return -EAGAIN;
	}
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN + 16384);
	int r = pthread_create(&thread, &attributes, close_it, (void *)(intptr_t)fd);
	pthread_attr_destroy(&attributes);
	if (r != 0)
		atomic_fetch_sub_explicit(&hanging, 1, memory_order_relaxed);
	return r == 0 ? 0 : -EAGAIN;
}
