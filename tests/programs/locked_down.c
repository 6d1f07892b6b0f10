/*
 * A program that gives up nearly all system calls, or the time stamp counter, and goes on
 * allocating in its threads. Prints TAP; bare and under the agent it says the same.
 *
 *   locked_down filter   a seccomp filter that kills for whatever allocating does not need
 *   locked_down tsc      reading the time stamp counter is a fault
 */
#define _GNU_SOURCE
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* What an agent might ask the kernel for, and this program does not. */
static const int forbidden[] = {
	SYS_gettid,
	SYS_getpid,
	SYS_tgkill,
	SYS_clock_gettime,
	SYS_memfd_create,
	SYS_ftruncate,
	SYS_socket,
	SYS_connect,
	SYS_sendmsg,
	SYS_fcntl,
	SYS_openat,
	SYS_sched_getaffinity,
};

#define COUNT (sizeof forbidden / sizeof forbidden[0])

static int forbid(void)
{
	struct sock_filter code[2 + 2 * COUNT];
	unsigned n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < COUNT; i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)forbidden[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = (unsigned short)n, .filter = code};

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void *churn(void *unused)
{
	void *(*volatile allocate)(size_t) = malloc;

	(void)unused;
	for (size_t size = 1; size < 2000; size++) {
		void *block = allocate(size);

		if (!block)
			return NULL;
		free(block);
	}
	return allocate(1);
}

static int lock_down(const char *how)
{
#ifdef PR_SET_TSC
	if (strcmp(how, "tsc") == 0)
		return prctl(PR_SET_TSC, PR_TSC_SIGSEGV, 0, 0, 0) == 0;
#endif
	return strcmp(how, "filter") == 0 && forbid();
}

int main(int argc, char **argv)
{
	pthread_t thread;
	void *block = NULL;

	if (argc != 2 || !lock_down(argv[1])) {
		puts("1..0 # SKIP the kernel does not lock down");
		return 0;
	}
	printf("%sok 1 - the main thread allocates\n", churn(NULL) ? "" : "not ");
	if (pthread_create(&thread, NULL, churn, NULL) == 0)
		pthread_join(thread, &block);
	printf("%sok 2 - a new thread allocates\n", block ? "" : "not ");
	puts("1..2");
	return 0;
}
