/*
 * The thread-local block itself, and the thread id that leases are signed with. The kernel writes a
 * thread's id into libc's control block as it makes the thread; libc describes that place for
 * debuggers (libthread_db). Read from there it costs no system call, which a seccomp filter may
 * answer by killing, and is right in a vfork child, which runs on its parent's block and must sign
 * as its parent.
 */
#define _GNU_SOURCE
#include "thread_state.h"
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include "platform/linux/raw_syscall.h"

/* A field as libthread_db is told of it. */
struct field {
	uint32_t bits, count, offset;
};

#define MAX_OFFSET 2048 /* within every glibc's control block */

/* Weak: musl has none, and its loader ends a program for one symbol that it cannot resolve. */
extern __typeof__(dlvsym) dlvsym __attribute__((weak));

__thread struct thread_state thread_state;

static uint32_t tid_offset; /* in the control block; 0: unknown. Written once, at load. */

static uint32_t control_block_tid(uint32_t offset)
{
	return *(const volatile uint32_t *)((uintptr_t)pthread_self() + offset);
}

void thread_state_init(void)
{
	const struct field *tid =
		dlvsym ? dlvsym(RTLD_DEFAULT, "_thread_db_pthread_tid", "GLIBC_PRIVATE") : NULL;

	if (tid && tid->bits == 32 && tid->offset <= MAX_OFFSET && tid->offset % 4 == 0 &&
		control_block_tid(tid->offset) == (uint32_t)raw_syscall0(SYS_gettid))
		tid_offset = tid->offset;
}

uint32_t thread_state_tid(void)
{
	if (thread_state.tid == 0)
		thread_state.tid = tid_offset ? control_block_tid(tid_offset)
					      : (uint32_t)raw_syscall0(SYS_gettid);
	return thread_state.tid;
}
