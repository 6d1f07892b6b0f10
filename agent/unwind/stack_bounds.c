/*
 * The word in TLS is the address down to which the thread's own stack is known to be readable
 * without a gap up to its top, a multiple of the page size; its lowest bit says that the page below
 * was refused. 0: not asked yet. A signal handler may move it while this thread is moving it: both
 * values are true, and the last one written stays, so at worst a page is asked for twice.
 */
#define _GNU_SOURCE
#include "unwind/stack_bounds.h"
#include <pthread.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include "platform/linux/raw_syscall.h"
#include "unwind/arch.h"

#define PAGE	  ARCH_PAGE_BYTES
#define PAGE_MASK (~(PAGE - 1))
#define BOTTOM	  ((uintptr_t)1)

/* Farther below the top a stack pointer is foreign without asking for what lies between. */
#define OWN_MAX_BYTES ((uintptr_t)64 << 20)

extern void *__libc_stack_end __attribute__((weak));

struct stack {
	uintptr_t top;
	uintptr_t reserved; /* nobody else's memory lies in [reserved, top) */
};

static _Atomic uintptr_t main_thread; /* pthread_self() there */
static _Atomic uintptr_t main_top, main_reserved;
static _Atomic uint64_t probes;

static __thread _Atomic uintptr_t known_low __attribute__((tls_model("initial-exec")));

/*
 * The kernel lays mappings out so that the main thread's stack can grow to the limit it had at exec
 * (its mmap_base()): nobody but who insists on an address gets memory there.
 */
static uintptr_t main_reserved_bytes(void)
{
	struct rlimit limit;
	if (raw_syscall4(SYS_prlimit64, 0, RLIMIT_STACK, 0, &limit) < 0)
		return 0;
	return limit.rlim_cur < OWN_MAX_BYTES ? (uintptr_t)limit.rlim_cur : OWN_MAX_BYTES;
}

void stack_bounds_init(void)
{
	/* Relaxed: only the main thread acts on them, and it is the one that runs this. */
	if (&__libc_stack_end) {
		uintptr_t top = (uintptr_t)__libc_stack_end;
		atomic_store_explicit(&main_top, top, memory_order_relaxed);
		atomic_store_explicit(
			&main_reserved, top - main_reserved_bytes(), memory_order_relaxed);
	}
	atomic_store_explicit(&main_thread, (uintptr_t)pthread_self(), memory_order_relaxed);
}

uint64_t stack_bounds_probes(void)
{
	return atomic_load_explicit(&probes, memory_order_relaxed); /* relaxed: a statistic */
}

/* The main thread's control block is not on its stack. Not told apart by tid: a child forked by
 * another thread goes on with that thread's stack. */
static struct stack own_stack(void)
{
	uintptr_t self = (uintptr_t)pthread_self();
	/* Relaxed: see stack_bounds_init(). */
	if (self != atomic_load_explicit(&main_thread, memory_order_relaxed))
		return (struct stack){self, self};
	return (struct stack){atomic_load_explicit(&main_top, memory_order_relaxed),
		atomic_load_explicit(&main_reserved, memory_order_relaxed)};
}

/*
 * Whether the page at `page` can be read. The kernel copies the 8 bytes of the new signal mask in
 * and then refuses the impossible `how`, so this changes nothing, does not block, and reads nothing
 * itself.
 */
static bool is_readable(uintptr_t page)
{
	enum { IMPOSSIBLE_HOW = -1, MASK_BYTES = 8, REFUSED_HOW = -22 /* EINVAL */ };
	atomic_fetch_add_explicit(&probes, 1, memory_order_relaxed); /* relaxed: a statistic */
	return raw_syscall4(SYS_rt_sigprocmask, IMPOSSIBLE_HOW, page, 0, MASK_BYTES) == REFUSED_HOW;
}

static bool probe(uint16_t *left, uintptr_t page)
{
	if (!*left)
		return false;
	--*left;
	return is_readable(page);
}

/* Relaxed, here and below: the thread's own word, atomic because of its signal handlers. */
static uintptr_t known_down_to(uintptr_t top)
{
	uintptr_t known = atomic_load_explicit(&known_low, memory_order_relaxed);
	return known ? known : top & PAGE_MASK;
}

/* Whether `low` is on the thread's own stack; asks for what is not known, as far as it may. */
static bool reach_down(struct stack_bounds *bounds, uintptr_t low, uintptr_t top)
{
	uintptr_t known = known_down_to(top), reached = known & PAGE_MASK;
	bool at_bottom = known & BOTTOM;
	if (low >= reached || at_bottom)
		return low >= reached;
	while (low < reached && !at_bottom && bounds->probes_down) {
		at_bottom = !probe(&bounds->probes_down, reached - PAGE);
		reached -= at_bottom ? 0 : PAGE;
	}
	atomic_store_explicit(&known_low, reached | (at_bottom ? BOTTOM : 0), memory_order_relaxed);
	return low >= reached;
}

/* `is_running`: not only is `low` said to be on a stack, but this thread uses it now. */
static bool enter_own(struct stack_bounds *bounds, uintptr_t low, bool is_running)
{
	struct stack own = own_stack();
	if (low >= own.top || own.top - low > OWN_MAX_BYTES)
		return false;
	if (is_running && low >= own.reserved && low < (known_down_to(own.top) & PAGE_MASK))
		atomic_store_explicit(&known_low, low & PAGE_MASK, memory_order_relaxed);
	if (!reach_down(bounds, low, own.top))
		return false;
	bounds->low = low;
	bounds->limit = own.top;
	bounds->is_own = true;
	return true;
}

static void enter_foreign(struct stack_bounds *bounds, uintptr_t low)
{
	bounds->low = low;
	bounds->limit = low & PAGE_MASK;
	bounds->is_own = false;
	/* The lowest page is no stack, and differences to its addresses would wrap around. */
	if (low < PAGE)
		bounds->probes_up = 0;
}

void stack_bounds_begin(struct stack_bounds *bounds, uintptr_t sp)
{
	bounds->probes_up = STACK_BOUNDS_PROBES_UP;
	bounds->probes_down = STACK_BOUNDS_PROBES_DOWN;
	if (!enter_own(bounds, sp, true))
		enter_foreign(bounds, sp);
}

void stack_bounds_resume(struct stack_bounds *bounds, uintptr_t sp)
{
	uintptr_t low = sp > PAGE ? sp - ARCH_RED_ZONE : sp;
	if (stack_bounds_contain(bounds, low, sp))
		return;
	if (enter_own(bounds, low, false) || enter_own(bounds, sp, false))
		return;
	enter_foreign(bounds, low);
	/* The stack may begin between the two. */
	if (((low ^ sp) & PAGE_MASK) && !stack_bounds_admit(bounds, low, low + 1))
		enter_foreign(bounds, sp);
}

bool stack_bounds_admit(struct stack_bounds *bounds, uintptr_t from, uintptr_t to)
{
	if (from < bounds->low || from > to)
		return false;
	while (to > bounds->limit) {
		if (bounds->is_own || !probe(&bounds->probes_up, bounds->limit))
			return false;
		bounds->limit += PAGE;
	}
	return true;
}

bool stack_bounds_still_readable(uintptr_t from, uintptr_t to)
{
	struct stack own = own_stack();
	if (own.reserved < own.top && from >= own.reserved && to <= own.top)
		return true;
	for (uintptr_t page = (from & PAGE_MASK) + PAGE; page < to; page += PAGE)
		if (!is_readable(page))
			return false;
	return true;
}
