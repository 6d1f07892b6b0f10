/*
 * A thread takes what waits until nothing is left, then ends; one that hangs in a close costs a
 * small stack, and there are few. So only as many files as there are threads need a server that
 * never answers before others wait, and those wait here, not in the caller.
 */
#include "server/background_close.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <unistd.h>

#define MAX_THREADS 16u
#define MAX_WAITING 1024u

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
/* Under `lock`: */
static int waiting[MAX_WAITING];
static unsigned waiting_count, threads;

static void *close_waiting(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&lock);
	while (waiting_count > 0) {
		int fd = waiting[--waiting_count];
		pthread_mutex_unlock(&lock);
		close(fd);
		pthread_mutex_lock(&lock);
	}
	threads--;
	pthread_mutex_unlock(&lock);
	return NULL;
}

static int start_thread(void)
{
	pthread_attr_t attributes;
	pthread_t thread;
	pthread_attr_init(&attributes);
	pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	pthread_attr_setstacksize(&attributes, PTHREAD_STACK_MIN + 16384);
	int r = pthread_create(&thread, &attributes, close_waiting, NULL);
	pthread_attr_destroy(&attributes);
	return -r;
}

int background_close(int fd)
{
	int r = 0;
	pthread_mutex_lock(&lock);
	if (waiting_count == MAX_WAITING) {
		r = -EAGAIN;
	} else {
		waiting[waiting_count++] = fd;
		if (threads < MAX_THREADS && start_thread() == 0)
			threads++;
		/* The others may all hang, but some may not. */
		if (threads == 0) {
			waiting_count--;
			r = -EAGAIN;
		}
	}
	pthread_mutex_unlock(&lock);
	return r;
}
