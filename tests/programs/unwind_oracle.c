/*
 * A preload that judges the walk inside real programs: at every N-th allocation
 * (UNWIND_ORACLE_EVERY, default 1000) it walks the stack and compares with libgcc. At exit it
 * appends one line of counts to the file UNWIND_ORACLE_LOG, after the first few stacks that differ and
 * the first few places where the walk ended early, as comments. Early is what libgcc might have
 * gone on from; counted by the reason.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "unwind/stack_bounds.h"
#include "unwind_judge.h"

#define EXPORT __attribute__((visibility("default")))

enum { BOOTSTRAP_BYTES = 16384, MAX_PRINTED = 3 };

static struct {
	void *(*malloc)(size_t);
	void *(*calloc)(size_t, size_t);
	void *(*realloc)(void *, size_t);
	void (*free)(void *);
	void *(*dlopen)(const char *, int);
	int (*dlclose)(void *);
} next;

static _Alignas(16) char bootstrap[BOOTSTRAP_BYTES];
static bool ready;
static unsigned every = 1000;
static pid_t owner;
static int log_fd = -1;

static _Atomic unsigned long counts[UNWIND_WRONG + 1], stops[WIRE_STOP_KINDS];
static _Atomic unsigned long early[WIRE_STOP_KINDS];
static _Atomic unsigned long samples, frames, guessed, printed;
static __thread bool busy __attribute__((tls_model("initial-exec")));
static __thread unsigned countdown __attribute__((tls_model("initial-exec")));

static void *bootstrap_alloc(size_t size)
{
	static _Atomic size_t used;
	size_t at = atomic_fetch_add(&used, (size + 31) & ~(size_t)15);
	if (at + size + 16 > BOOTSTRAP_BYTES)
		abort();
	*(size_t *)(bootstrap + at) = size;
	return bootstrap + at + 16;
}

static bool is_bootstrap(const void *address)
{
	return (const char *)address >= bootstrap &&
	       (const char *)address < bootstrap + BOOTSTRAP_BYTES;
}

/* At the first allocation, for other libraries' constructors come before ours; what dlsym() itself
 * allocates meanwhile is served from the bootstrap memory. */
static bool find_next(void)
{
	static bool looking;
	if (next.malloc || looking)
		return next.malloc;
	looking = true;
	next.calloc = dlsym(RTLD_NEXT, "calloc");
	next.realloc = dlsym(RTLD_NEXT, "realloc");
	next.free = dlsym(RTLD_NEXT, "free");
	next.dlopen = dlsym(RTLD_NEXT, "dlopen");
	next.dlclose = dlsym(RTLD_NEXT, "dlclose");
	next.malloc = dlsym(RTLD_NEXT, "malloc");
	return next.malloc;
}

static __attribute__((constructor)) void start(void)
{
	const char *path = getenv("UNWIND_ORACLE_LOG"), *interval = getenv("UNWIND_ORACLE_EVERY");
	find_next();
	if (interval && atoi(interval) > 0)
		every = (unsigned)atoi(interval);
	if (path) {
		/* High, since programs close or count on the low numbers. */
		int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
		log_fd = fcntl(fd, F_DUPFD_CLOEXEC, 500);
		close(fd);
	}
	owner = getpid();
	walk_init();
	ready = true;
}

static void count_early(const struct unwind_judgement *judgement)
{
	static const char *const names[WIRE_STOP_KINDS] = {
		"end", "max", "no info", "bounds", "unsupported"};
	enum wire_stop stop = judgement->walk.stop;
	void *last = (void *)(uintptr_t)judgement->frames[judgement->walk.frame_count - 1];
	Dl_info info = {0};
	if (early[stop]++ >= MAX_PRINTED || stop == WIRE_STOP_MAX)
		return;
	dladdr(last, &info);
	dprintf(log_fd, "# early, %s: %p %s %s\n", names[stop], last,
		info.dli_fname ? info.dli_fname : "?", info.dli_sname ? info.dli_sname : "");
}

static void judge(const struct walk_regs *regs)
{
	static __thread struct unwind_judgement judgement;
	int error = errno;
	unwind_judge(regs, &judgement);
	if (errno != error) /* counted as wrong: the walk or libgcc has touched it */
		judgement.verdict = UNWIND_WRONG;
	samples++;
	frames += judgement.walk.frame_count;
	counts[judgement.verdict]++;
	stops[judgement.walk.stop]++;
	guessed += judgement.walk.guessed > 0;
	if (judgement.verdict == UNWIND_INCOMPLETE)
		count_early(&judgement);
	if (judgement.verdict == UNWIND_WRONG && printed++ < MAX_PRINTED)
		unwind_judge_print(&judgement, log_fd);
	errno = error;
}

/* Judged with the regs of the hook's caller, so the hook must keep its frame until this returns. */
static inline void count_down(const struct walk_regs *regs)
{
	if (!ready || busy || ++countdown < every)
		return;
	countdown = 0;
	busy = true;
	judge(regs);
	busy = false;
}

EXPORT void *malloc(size_t size)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	if (!find_next())
		return bootstrap_alloc(size);
	count_down(&regs);
	return next.malloc(size);
}

EXPORT void *calloc(size_t count, size_t size)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	if (!find_next())
		return bootstrap_alloc(count * size);
	count_down(&regs);
	return next.calloc(count, size);
}

EXPORT void *realloc(void *old, size_t size)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	if (!find_next() || is_bootstrap(old)) {
		void *block = next.malloc ? next.malloc(size) : bootstrap_alloc(size);
		size_t old_size = old ? ((size_t *)old)[-2] : 0;
		return block && old ? memcpy(block, old, old_size < size ? old_size : size) : block;
	}
	count_down(&regs);
	return next.realloc(old, size);
}

EXPORT void free(void *block)
{
	if (next.free && !is_bootstrap(block))
		next.free(block);
}

/* A call and no jump, unlike the agent's: the programs here have no libraries that only their
 * caller finds. */
EXPORT void *dlopen(const char *file, int mode)
{
	void *handle = find_next() ? next.dlopen(file, mode) : NULL;
	walk_opened();
	return handle;
}

EXPORT int dlclose(void *handle)
{
	walk_closing();
	int result = find_next() ? next.dlclose(handle) : 0;
	walk_closed();
	return result;
}

static __attribute__((destructor)) void finish(void)
{
	char name[32] = "?";
	if (log_fd < 0 || getpid() != owner)
		return;
	busy = true;
	int fd = open("/proc/self/comm", O_RDONLY | O_CLOEXEC);
	ssize_t length = fd < 0 ? 0 : read(fd, name, sizeof(name) - 1);
	name[length > 0 ? length - 1 : 1] = 0;
	for (char *c = name; *c; c++)
		*c = *c == ' ' ? '_' : *c;
	dprintf(log_fd,
		"%s samples %lu frames %lu same %lu incomplete %lu wrong %lu end %lu max %lu "
		"no_info "
		"%lu bounds %lu unsupported %lu guessed %lu misses %lu probes %lu "
		"early_max %lu early_no_info %lu early_bounds %lu early_unsupported %lu\n",
		name, samples, frames, counts[UNWIND_SAME], counts[UNWIND_INCOMPLETE],
		counts[UNWIND_WRONG], stops[WIRE_STOP_END], stops[WIRE_STOP_MAX],
		stops[WIRE_STOP_NO_INFO], stops[WIRE_STOP_BOUNDS], stops[WIRE_STOP_UNSUPPORTED],
		guessed, (unsigned long)walk_misses(), (unsigned long)stack_bounds_probes(),
		early[WIRE_STOP_MAX], early[WIRE_STOP_NO_INFO], early[WIRE_STOP_BOUNDS],
		early[WIRE_STOP_UNSUPPORTED]);
}
