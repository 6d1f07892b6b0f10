/*
 * A program that confines itself after it was loaded, and goes on allocating: by a limit, by
 * another root directory, by other credentials, by locking its memory, by a filter that kills.
 * Prints what it could do and the sum of what it allocated; the same bare and under the agent.
 *
 *   confined HOW [ARGUMENT]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "support/agent_view.h"

enum { STEPS = 20000, NOBODY = 65534 };

static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void (*volatile do_free)(void *) = free;

static int limit(int resource, const char *value)
{
	struct rlimit limit = {strtoul(value, NULL, 0), strtoul(value, NULL, 0)};

	return setrlimit(resource, &limit);
}

static int become_nobody(void)
{
	if (setgroups(0, NULL) != 0 || setresgid(NOBODY, NOBODY, NOBODY) != 0)
		return -1;
	return setresuid(NOBODY, NOBODY, NOBODY);
}

/* The limit holds for the unprivileged only. */
static int lock_little(const char *bytes)
{
	if (limit(RLIMIT_MEMLOCK, bytes) != 0 || (geteuid() == 0 && become_nobody() != 0))
		return -1;
	return mlockall(MCL_FUTURE);
}

/* What a worker has no business to do once it serves; `tight`: not even look for itself. */
static int install_filter(bool tight)
{
	static const int killed[] = {SYS_socket, SYS_connect, SYS_memfd_create, SYS_sendmsg,
		SYS_ftruncate, SYS_openat, SYS_fcntl, SYS_getpid, SYS_gettid};
	enum { KILLED = sizeof killed / sizeof killed[0], TIGHT = 4 };
	struct sock_filter code[2 + 2 * KILLED];
	unsigned n = 0;

	code[n++] = (struct sock_filter)BPF_STMT(
		BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (unsigned i = 0; i < (tight ? KILLED : KILLED - TIGHT); i++) {
		code[n++] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (unsigned)killed[i], 0, 1);
		code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	}
	code[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = {.len = (unsigned short)n, .filter = code};

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

static int confine(const char *how, const char *argument)
{
	if (strcmp(how, "fsize") == 0)
		return limit(RLIMIT_FSIZE, argument);
	if (strcmp(how, "nofile") == 0)
		return limit(RLIMIT_NOFILE, argument);
	if (strcmp(how, "as") == 0)
		return limit(RLIMIT_AS, argument);
	if (strcmp(how, "data") == 0)
		return limit(RLIMIT_DATA, argument);
	if (strcmp(how, "memlock") == 0)
		return lock_little(argument);
	if (strcmp(how, "lockall") == 0)
		return mlockall(MCL_FUTURE);
	if (strcmp(how, "chroot") == 0)
		return chroot(argument) == 0 ? chdir("/") : -1;
	if (strcmp(how, "nobody") == 0)
		return become_nobody();
	if (strcmp(how, "filter") == 0)
		return install_filter(strcmp(argument, "tight") == 0);
	return 0;
}

static uint64_t work(unsigned steps)
{
	static __thread void *held[128];
	uint64_t sum = 0;

	for (unsigned i = 0; i < steps; i++) {
		void **slot = &held[i % 128];
		size_t size = 100 + i * 7919u % 3000;

		*slot = i % 4 ? (do_free(*slot), do_malloc(size)) : do_realloc(*slot, size);
		if (*slot)
			memset(*slot, 1, 100), sum += size;
		if (i % 32 == 0)
			agent_view_drain();
	}
	for (int i = 0; i < 128; i++) {
		do_free(held[i]);
		held[i] = NULL;
	}
	return sum;
}

static void *work_in_thread(void *sum)
{
	*(uint64_t *)sum = work(STEPS);
	return sum;
}

static uint64_t work_in_child(void)
{
	int status = -1;
	pid_t child = fork();

	if (child == 0) {
		uint64_t sum = work(STEPS);

		_exit(sum % 251);
	}
	if (child < 0)
		return 0;
	waitpid(child, &status, 0);
	return (uint64_t)status;
}

int main(int argc, char **argv)
{
	uint64_t in_thread = 0;
	pthread_t thread;

	if (argc < 2)
		return 2;
	agent_view_open();
	int confined = confine(argv[1], argc > 2 ? argv[2] : "");
	printf("confined %d %s\n", confined, confined ? strerror(errno) : "");
	fflush(stdout);
	if (getenv("CONFINED_WAITS"))
		getchar();
	printf("alone %llu\n", (unsigned long long)work(STEPS));
	if (pthread_create(&thread, NULL, work_in_thread, &in_thread) == 0)
		pthread_join(thread, NULL);
	printf("in a thread %llu\n", (unsigned long long)in_thread);
	fflush(stdout);
	printf("in a child %llu\n", (unsigned long long)work_in_child());
	fflush(stdout);
	/* For the test, on another stream: what it found means nothing without samples. */
	dprintf(2, "%llu samples\n", (unsigned long long)agent_view_samples());
	return confined ? 4 : 3;
}
