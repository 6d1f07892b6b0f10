/*
 * What tests/unit/unwind/test_walk.c checks, for architectures that only an emulator runs: no
 * libcheck, and one program for each way to compile. Prints TAP; says how many frames were compared.
 *
 * An emulator may have no vdso, hence no trampoline of the kernel's: then handlers return to one of
 * our own, which the walk is told of in the same way.
 */
#define _GNU_SOURCE
#include <link.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include "support/tap_print.h"
#include "unwind/trampoline.h"
#include "unwind_judge.h"
#include "unwind_truth.h"

#if !defined(__aarch64__)
#error "on x86_64 there is libcheck, and a trampoline of libc's"
#endif

static struct unwind_judgement last;
static unsigned judged[UNWIND_WRONG + 1];
static unsigned stopped[WIRE_STOP_KINDS];

/* -- chains -- */

static unsigned long compared, right;
static int chain_depth;

/* Frames of the chain in the walk, beginning with number `first`. */
static void compare_with_truth(const uint64_t *frames, uint32_t count, uint32_t first)
{
	for (int i = 0; i < chain_depth; i++) {
		compared++;
		right += first + (uint32_t)i < count &&
			 frames[first + (uint32_t)i] == unwind_truth[i];
	}
}

static __attribute__((noinline)) void walk_chain(void)
{
	struct walk_regs regs = WALK_CALLER();
	walk_stack(&regs, last.frames, WIRE_MAX_FRAMES, &last.walk);
	/* frames[0] returns into the chain's innermost function. */
	compare_with_truth(last.frames, last.walk.frame_count, 1);
	stopped[last.walk.stop]++;
}

static void run_chains(int depth, void (*leaf)(void))
{
	chain_depth = depth;
	for (unsigned first = 0; first < unwind_truth_functions(); first++)
		unwind_truth_run(first, depth, leaf);
}

static bool all_right(unsigned walks)
{
	bool good = compared && right == compared && stopped[WIRE_STOP_END] == walks;
	printf("# %lu frames compared, %lu right; %u of %u stacks whole\n", compared, right,
		stopped[WIRE_STOP_END], walks);
	if (!good)
		printf("# stops: end %u, max %u, no info %u, bounds %u, unsupported %u\n",
			stopped[0], stopped[1], stopped[2], stopped[3], stopped[4]);
	compared = right = 0;
	memset(stopped, 0, sizeof(stopped));
	return good;
}

static bool chains_are_walked_exactly(void)
{
	static const int depths[] = {10, 30, 60, 200};
	for (unsigned i = 0; i < 4; i++)
		run_chains(depths[i], walk_chain);
	return all_right(4 * unwind_truth_functions());
}

static void *run_chains_in_thread(void *argument)
{
	run_chains(60, walk_chain);
	return argument;
}

static bool a_thread_is_walked_to_its_start(void)
{
	pthread_t thread;
	return pthread_create(&thread, NULL, run_chains_in_thread, NULL) == 0 &&
	       pthread_join(thread, NULL) == 0 && all_right(unwind_truth_functions());
}

/* -- against libgcc -- */

static __attribute__((noinline)) void judge(void)
{
	struct walk_regs regs = WALK_CALLER();
	unwind_judge(&regs, &last);
	judged[last.verdict]++;
	stopped[last.walk.stop]++;
	if (last.verdict == UNWIND_WRONG)
		unwind_judge_print(&last, STDOUT_FILENO);
}

static int compare_ints(const void *a, const void *b)
{
	judge();
	return *(const int *)a - *(const int *)b;
}

static bool callbacks_of_qsort_are_walked_through_libc(void)
{
	int numbers[100];
	for (int i = 0; i < 100; i++)
		numbers[i] = i * 7919 % 100;
	qsort(numbers, 100, sizeof(int), compare_ints);
	bool good = judged[UNWIND_SAME] > 400 && judged[UNWIND_SAME] == stopped[WIRE_STOP_END] &&
		    !judged[UNWIND_INCOMPLETE] && !judged[UNWIND_WRONG];
	memset(judged, 0, sizeof(judged));
	memset(stopped, 0, sizeof(stopped));
	return good;
}

/* -- signals -- */

void own_trampoline(void);
__asm__(".text\n.balign 16\nnop\n.globl own_trampoline\nown_trampoline: mov x8, #139\nsvc #0\n");
extern const char program_start[] __asm__("__ehdr_start") __attribute__((visibility("hidden")));

struct kernel_sigaction {
	void (*handler)(int, siginfo_t *, void *);
	unsigned long flags;
	void (*restorer)(void);
	uint64_t mask;
};

static void handle(int number, void (*handler)(int, siginfo_t *, void *), unsigned long flags)
{
	enum { WITH_RESTORER = 0x04000000 };
	struct kernel_sigaction action = {handler, flags | SA_SIGINFO, NULL, 0};
	if (trampoline_address() == (uintptr_t)own_trampoline) {
		action.flags |= WITH_RESTORER;
		action.restorer = own_trampoline;
	}
	if (syscall(SYS_rt_sigaction, number, &action, NULL, sizeof(action.mask)))
		abort();
}

/* Calls nobody, so its return address stays in the register, and so must it here: who asks for it
 * has it saved. */
static __attribute__((noinline)) void trap(void)
{
	__asm__ volatile("brk #0");
}

/* [0] the trampoline, [1] in the leaf, [2] its return address, [3] the chain's. */
static void on_trap(int number, siginfo_t *info, void *context)
{
	(void)number, (void)info;
	struct walk_regs regs = WALK_CALLER();
	walk_stack(&regs, last.frames, WIRE_MAX_FRAMES, &last.walk);
	stopped[last.walk.stop]++;
	compare_with_truth(last.frames, last.walk.frame_count, 3);
	mcontext_t *machine = &((ucontext_t *)context)->uc_mcontext;
	compared += 3;
	if (last.walk.frame_count > 3)
		right += (last.frames[0] == trampoline_address()) +
			 (last.frames[1] == machine->pc) + (last.frames[2] == machine->regs[30]);
	machine->pc += 4;
}

static bool an_interrupted_leaf_is_walked_by_its_register(void)
{
	handle(SIGTRAP, on_trap, 0);
	run_chains(30, trap);
	return all_right(unwind_truth_functions());
}

static bool a_handler_on_an_alternate_stack_is_walked_back(void)
{
	static char memory[128 << 10];
	stack_t alternate = {.ss_sp = memory, .ss_size = sizeof(memory)};
	sigaltstack(&alternate, NULL);
	handle(SIGTRAP, on_trap, SA_ONSTACK);
	run_chains(30, trap);
	return all_right(unwind_truth_functions());
}

int main(void)
{
	walk_init();
	tap_print(chains_are_walked_exactly(), "chains of all frame layouts are walked exactly");
	tap_print(a_thread_is_walked_to_its_start(), "a thread is walked to its start");
	tap_print(callbacks_of_qsort_are_walked_through_libc(),
		"callbacks of qsort are walked through libc as libgcc walks them");
	if (!trampoline_address()) {
		printf("# no vdso here\n");
		trampoline_init((uintptr_t)program_start);
	}
	tap_print(an_interrupted_leaf_is_walked_by_its_register(),
		"an interrupted leaf is walked by its register");
	tap_print(a_handler_on_an_alternate_stack_is_walked_back(),
		"a handler on an alternate stack is walked back to the main stack");
	return tap_print_end();
}
