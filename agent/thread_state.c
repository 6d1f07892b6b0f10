/* The thread-local block itself, and the thread id that leases are signed with. */
#include "thread_state.h"
#include "platform/linux/raw_syscall.h"

__thread struct thread_state thread_state;

uint32_t thread_state_tid(void)
{
	if (thread_state.tid == 0)
		thread_state.tid = (uint32_t)raw_syscall0(SYS_gettid);
	return thread_state.tid;
}
