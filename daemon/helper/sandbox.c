/*
 * Order matters: descriptors and directory first; capabilities and identity while setting them is
 * still allowed; then what a change of identity would reset (dumpable, the parent's death signal);
 * then the system call filter, which forbids all of the above.
 *
 * The filter answers EPERM instead of killing: libdw tries to open files that a binary names (.dwo,
 * supplements), and goes on without them.
 */
#define _GNU_SOURCE
#include "helper/sandbox.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "base/log.h"

#define NOBODY	65534
#define LOOKING (1u << CAP_SYS_PTRACE | 1u << CAP_DAC_READ_SEARCH)

/* Sanitizers reserve terabytes of address space, and have a few calls of their own. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
	__has_feature(memory_sanitizer)
#define SANITIZED 1
#endif
#endif

static void report(const char *what, int error)
{
	log_warning("cannot %s: %s; going on without it", what, strerror(error));
}

static void leave_files(void)
{
#ifdef SYS_close_range
	syscall(SYS_close_range, 4u, ~0u, 0u);
#endif
	if (chdir("/") < 0)
		report("change to /", errno);
}

/* Capabilities also reach an unprivileged daemon's children: systemd's AmbientCapabilities= are
 * inherited. */
static void drop_capabilities(uint32_t kept)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (kept != 0 && syscall(SYS_capget, &header, data) < 0)
		report("ask for its capabilities", errno);
	kept &= data[0].permitted;
	data[0] = (struct __user_cap_data_struct){.permitted = kept, .effective = kept};
	data[1] = (struct __user_cap_data_struct){0};
	if (syscall(SYS_capset, &header, data) < 0)
		report("drop capabilities", errno);
}

static void drop_identity(void)
{
	if (geteuid() != 0)
		return;
	for (int capability = 0; prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0;)
		capability++;
	if (setgroups(0, NULL) < 0)
		report("leave its groups", errno);
	if (setresgid(NOBODY, NOBODY, NOBODY) < 0)
		report("become group nobody", errno);
	if (setresuid(NOBODY, NOBODY, NOBODY) < 0)
		report("become user nobody", errno);
}

static void limit(int resource, rlim_t value, const char *what)
{
	struct rlimit wanted = {value, value}, now;
	if (getrlimit(resource, &now) == 0 && now.rlim_max < value)
		wanted = (struct rlimit){now.rlim_max, now.rlim_max};
	if (setrlimit(resource, &wanted) < 0)
		report(what, errno);
}

static void limit_resources(const struct sandbox_limits *limits)
{
#ifndef SANITIZED
	limit(RLIMIT_AS, limits->address_space_bytes, "limit address space");
#endif
	limit(RLIMIT_NOFILE, limits->descriptors, "limit descriptors");
	limit(RLIMIT_CORE, 0, "limit core dumps");
	limit(RLIMIT_NPROC, 0, "limit processes");
}

/* The socket's end tells of the daemon's, but only to a process that reads it, not to one in an
 * endless loop. */
static void close_doors(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		report("give up new privileges", errno);
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		report("forbid tracing", errno);
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		report("follow the daemon's end", errno);
}

/* What libelf, libdw, malloc, the socket, another process's memory and the log need. */
static const int allowed_calls[] = {
	SCMP_SYS(recvmsg),
	SCMP_SYS(sendmsg),
	SCMP_SYS(read),
	SCMP_SYS(pread64),
	SCMP_SYS(lseek),
	SCMP_SYS(fstat),
	SCMP_SYS(fcntl),
	SCMP_SYS(close),
	SCMP_SYS(write),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(brk),
	SCMP_SYS(futex),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(restart_syscall),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
#ifdef SANITIZED
	SCMP_SYS(sigaltstack),
	SCMP_SYS(sched_yield),
#endif
};

/* For reading alone: nothing is made, cut or written to. */
static int allow_looking(scmp_filter_ctx filter)
{
	int r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
		SCMP_A2(SCMP_CMP_EQ, O_RDONLY | O_CLOEXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			SCMP_A2(SCMP_CMP_EQ, O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(openat), 1,
			SCMP_A2(SCMP_CMP_EQ, O_PATH | O_CLOEXEC, 0));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(getdents64), 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(readlinkat), 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(statx), 0);
	return r;
}

static int allow_calls(scmp_filter_ctx filter)
{
	int r = 0;
	for (size_t i = 0; r == 0 && i < sizeof(allowed_calls) / sizeof(allowed_calls[0]); i++)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, allowed_calls[i], 0);
	/* no new code in this process */
	const struct scmp_arg_cmp not_executable = SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mmap), 1, not_executable);
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(mprotect), 1, not_executable);
	/* fstat as some C libraries spell it; the filter cannot see that the path is "", so the
	 * existence and size of files stay visible */
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
			SCMP_A3(SCMP_CMP_MASKED_EQ, AT_EMPTY_PATH, AT_EMPTY_PATH));
	if (r == 0)
		r = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(prlimit64), 2,
			SCMP_A0(SCMP_CMP_EQ, 0, 0), SCMP_A1(SCMP_CMP_EQ, RLIMIT_FSIZE, 0));
	return r;
}

static void filter_calls(bool looks_at_processes)
{
	scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ERRNO(EPERM));
	int r = filter ? allow_calls(filter) : -ENOMEM;
	if (r == 0 && looks_at_processes)
		r = allow_looking(filter);
	if (r == 0)
		r = seccomp_load(filter);
	if (r < 0)
		report("install the system call filter", -r);
	if (filter)
		seccomp_release(filter);
}

void sandbox_enter(const struct sandbox_limits *limits)
{
	leave_files();
	if (!limits->looks_at_processes)
		drop_identity();
	drop_capabilities(limits->looks_at_processes ? LOOKING : 0);
	limit_resources(limits);
	close_doors();
	signal(SIGXFSZ, SIG_IGN);
	filter_calls(limits->looks_at_processes);
	/* not earlier: standard error may be a file, and what was reported above would be lost */
	limit(RLIMIT_FSIZE, 0, "limit file size");
}
