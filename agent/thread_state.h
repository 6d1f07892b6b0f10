/*
 * What a thread remembers between its allocations: 56 bytes of initial-exec TLS, zero in a new
 * thread. Only the owning thread touches it; a signal handler on that thread may interrupt any
 * access, so nothing here is trusted for memory safety.
 */
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct thread_state {
	uint64_t countdown;	 /* an allocation of n bytes is unremarkable while n < countdown; 0:
				    never entered */
	uint64_t residual;	 /* bytes from the end of the countdown to the sample point */
	uint64_t rng[2];	 /* xorshift128+ */
	uint64_t interval_bytes; /* T under which the sample point was drawn */
	uint32_t guard_sp;	 /* reentry_guard: stack address of the hook at work, 0: none */
	uint32_t tid;		 /* 0: not asked yet */
	uint16_t generation;	 /* of forks, in which all of this was set up; 0: not at all */
	uint16_t filter_positives; /* not yet added to the segment's counters */
	uint16_t filter_false;
	uint8_t decisions; /* allocations that reached the countdown, modulo 2^8 */
	uint8_t refused;   /* reentry_guard: hooks turned away since it was entered */
};

_Static_assert(sizeof(struct thread_state) == 56,
	"the agent may use 64 bytes of TLS; 8 are stack_bounds'");

extern __thread struct thread_state thread_state __attribute__((tls_model("initial-exec")));

/* Counts an allocation of `size` bytes that is unremarkable. False: it reached the countdown, which is
 * unchanged. */
static inline __attribute__((always_inline)) bool thread_state_pass(uint64_t size)
{
	uint64_t countdown = thread_state.countdown;

	if (__builtin_expect(size >= countdown, 0))
		return false;
	thread_state.countdown = countdown - size;
	return true;
}

/* Once, at load: finds out where libc keeps a thread's id. May leave an error for dlerror(). */
void thread_state_init(void);
/* The kernel's id of the calling thread. Without thread_state_init, or with a libc that does not
 * tell: one system call in a thread's life. */
uint32_t thread_state_tid(void);
