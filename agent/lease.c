/* Reaping: a tid that the kernel does not know in our thread group cannot run, hence cannot write.
 */
#include "lease.h"
#include <errno.h>
#include <stddef.h>
#include "platform/linux/raw_syscall.h"
#include "thread_state.h"

#define REAP_EVERY_NS UINT64_C(1000000000)

static bool thread_is_gone(uint32_t tid)
{
	return raw_syscall3(SYS_tgkill, raw_syscall0(SYS_getpid), tid, 0) == -ESRCH;
}

void lease_reap(_Atomic uint64_t *first, unsigned count, unsigned stride_bytes,
	_Atomic uint64_t *last_ns, uint64_t now_ns)
{
	/* relaxed: a rate limit, not a lock over data. */
	uint64_t last = atomic_load_explicit(last_ns, memory_order_relaxed);

	if (now_ns - last < REAP_EVERY_NS ||
		!atomic_compare_exchange_strong_explicit(
			last_ns, &last, now_ns, memory_order_relaxed, memory_order_relaxed))
		return;
	/* A vfork child shares the leases, but none of their holders is in its thread group, not
	 * even itself by the id it signs with. */
	if (thread_is_gone(thread_state_tid()))
		return;
	for (unsigned i = 0; i < count; i++) {
		_Atomic uint64_t *word = (void *)((char *)first + (size_t)i * stride_bytes);
		/* relaxed: a dead thread's last write is ordered by the kernel's answer. */
		uint64_t holder = atomic_load_explicit(word, memory_order_relaxed);

		if (holder != 0 && thread_is_gone((uint32_t)holder))
			lease_release(word, holder);
	}
}
