/*
 * What a program could notice of the agent if it looked: errno, signal masks and handlers,
 * floating-point traps, threads, the environment of its children, its core dumps. Prints TAP.
 *
 *   unseen          looks
 *   unseen core     leaves a core dump: aborts after many samples
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fenv.h>
#include <malloc.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>
#include "support/agent_view.h"
#include "support/tap_print.h"

extern char **environ;

static void *(*volatile do_malloc)(size_t) = malloc;
static void *(*volatile do_calloc)(size_t, size_t) = calloc;
static void *(*volatile do_realloc)(void *, size_t) = realloc;
static void *(*volatile do_reallocarray)(void *, size_t, size_t) = reallocarray;
static void (*volatile do_free)(void *) = free;
static volatile size_t too_much = (size_t)PTRDIFF_MAX + 1;

/* Every entry point once, with some fork of its path for each i. */
static void call_all(unsigned i)
{
	void *block = NULL, *blocks[] = {do_malloc(i), do_calloc(i, 3), do_realloc(NULL, i),
				    do_reallocarray(NULL, 2, i), aligned_alloc(64, 64 * i),
				    memalign(32, i), valloc(i)};

	if (posix_memalign(&block, 64, i) == 0)
		do_free(block);
	for (size_t b = 0; b < sizeof blocks / sizeof blocks[0]; b++) {
		if (malloc_usable_size(blocks[b]) >= i)
			blocks[b] = do_realloc(blocks[b], i + 1);
		do_free(blocks[b]);
	}
	if (i % 64 == 0)
		agent_view_drain();
}

static void test_errno(void)
{
	void *block = do_malloc(100), *none = NULL;

	errno = 4242;
	for (unsigned i = 1; i < 2000; i++)
		call_all(i);
	tap_print(errno == 4242, "errno is kept by whatever succeeds");
	bool right = true;
	for (int i = 0; i < 500; i++) {
		errno = 0;
		right &= do_malloc(too_much) == NULL && errno == ENOMEM;
		errno = 0;
		right &= do_calloc(too_much, 2) == NULL && errno == ENOMEM;
		errno = 0;
		right &= do_realloc(block, too_much) == NULL && errno == ENOMEM;
		errno = 0;
		right &= do_reallocarray(block, too_much, 2) == NULL && errno == ENOMEM;
		errno = 0;
		right &= aligned_alloc(64, too_much) == NULL && errno == ENOMEM;
		errno = 7;
		right &= posix_memalign(&none, 64, too_much) == ENOMEM && none == NULL;
		right &= errno == 7 || errno == ENOMEM; /* unspecified */
	}
	tap_print(right, "errno is set by whatever fails");
	do_free(block);
}

static void test_mask(void)
{
	sigset_t mask, before, after;
	bool right = true;

	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	sigaddset(&mask, SIGRTMIN + 3);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	sigprocmask(SIG_SETMASK, NULL, &before);
	for (unsigned i = 1; i < 500; i++)
		call_all(i);
	sigprocmask(SIG_SETMASK, NULL, &after);
	for (int number = 1; number <= SIGRTMAX; number++)
		right &= sigismember(&before, number) == sigismember(&after, number);
	sigemptyset(&mask);
	sigprocmask(SIG_SETMASK, &mask, NULL);
	tap_print(right, "the signal mask is kept");
	right = true;
	for (int number = 1; number < SIGRTMIN; number++) {
		struct sigaction action = {.sa_handler = SIG_DFL};

		if (sigaction(number, NULL, &action) == 0)
			right &= action.sa_handler == SIG_DFL || action.sa_handler == SIG_IGN;
	}
	tap_print(right, "no signal has a handler");
}

static void test_floating_point(void)
{
	fexcept_t before, after;
	fenv_t environment;
	volatile double third = 1.0 / 3;
	bool right = true;

	fegetenv(&environment);
	fesetround(FE_TOWARDZERO);
	feraiseexcept(FE_INEXACT | FE_UNDERFLOW);
	fegetexceptflag(&before, FE_ALL_EXCEPT);
	for (unsigned i = 1; i < 500; i++)
		call_all(i);
	fegetexceptflag(&after, FE_ALL_EXCEPT);
	right &= memcmp(&before, &after, sizeof before) == 0 && fegetround() == FE_TOWARDZERO;
	feclearexcept(FE_ALL_EXCEPT);
	feenableexcept(FE_ALL_EXCEPT);
	for (unsigned i = 1; i < 500; i++)
		call_all(i);
	right &= fetestexcept(FE_ALL_EXCEPT) == 0;
	fedisableexcept(FE_ALL_EXCEPT);
	fesetenv(&environment);
	tap_print(right && third < 1, "floating point is as it was, and nothing traps");
}

static void test_threads(void)
{
	unsigned tasks = 0;
	DIR *directory = opendir("/proc/self/task");

	for (struct dirent *entry; directory && (entry = readdir(directory));)
		tasks += entry->d_name[0] != '.';
	if (directory)
		closedir(directory);
	tap_print(tasks == 1, "there is no thread but the program's");
}

/* Of the environment, only what the program was started with: the shell counts. */
static void test_environment(void)
{
	FILE *child = popen("env | sort", "r");
	char line[8192];
	bool right = child != NULL;

	while (child && fgets(line, sizeof line, child)) {
		char *value = strchr(line, '=');

		if (!value || strncmp(line, "SPPROF_", 7) != 0)
			continue;
		line[strcspn(line, "\n")] = '\0';
		*value++ = '\0';
		const char *mine = getenv(line);
		right &= mine && strcmp(mine, value) == 0;
	}
	if (child)
		pclose(child);
	for (char **variable = environ; *variable; variable++)
		right &= strncmp(*variable, "SPPROF_", 7) != 0 || getenv("SPPROF_RATE") != NULL;
	tap_print(right, "children inherit the environment as it was");
}

/* The agent's mappings: its own, and anonymous ones without a name next to them. By size: nothing
 * of this program's own is as large and private and unreserved. */
static void test_core_flags(void)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	char line[512], name[256] = "";
	unsigned dumped = 0, ours = 0;
	unsigned long start = 0, end = 0;

	while (maps && fgets(line, sizeof line, maps)) {
		char flags[8];

		if (sscanf(line, "%lx-%lx %7s %*s %*s %*s %255[^\n]", &start, &end, flags, name) >=
			3) {
			if (sscanf(line, "%*x-%*x %*s %*s %*s %*s %255[^\n]", name) != 1)
				name[0] = '\0';
			continue;
		}
		if (strncmp(line, "VmFlags:", 8) != 0)
			continue;
		bool shared = strstr(name, "memfd:spprof") != NULL;
		bool reserved = !name[0] && strstr(line, " nr") && strstr(line, " nh");
		if (!shared && !reserved)
			continue;
		ours++;
		dumped += strstr(line, " dd") == NULL;
	}
	if (maps)
		fclose(maps);
	printf("# %u mappings are the agent's, %u of them would be dumped\n", ours, dumped);
	tap_print(dumped == 0 && (!agent_view_header || ours >= 2),
		"core dumps leave the agent's mappings out");
}

static void leave_core(void)
{
	struct rlimit limit = {RLIM_INFINITY, RLIM_INFINITY};

	if (setrlimit(RLIMIT_CORE, &limit) != 0)
		_exit(3);
	for (unsigned i = 0; i < 20000; i++) {
		if (!do_malloc(64))
			_exit(5);
		if (i % 64 == 0)
			agent_view_drain();
	}
	if (!agent_view_sampled(19000))
		_exit(4);
	fflush(stdout);
	abort();
}

int main(int argc, char **argv)
{
	agent_view_open();
	if (argc == 2 && strcmp(argv[1], "core") == 0)
		leave_core();
	test_errno();
	test_mask();
	test_floating_point();
	test_threads();
	test_environment();
	test_core_flags();
	tap_print(agent_view_sampled(10000), "allocations were sampled");
	return tap_print_end();
}
