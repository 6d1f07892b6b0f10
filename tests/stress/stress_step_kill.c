/*
 * A worker under the agent is stepped, instruction by instruction, through a free of a sampled
 * block and a sampled malloc, and killed at one instruction of the agent's; another is killed at
 * the next, and so on. What its segment holds is then read by the daemon's consumer: a beginning of
 * what an unharmed worker tells, that never gets shorter, and a digest that is off by one step at
 * most. In a second series only threads die, each at the same instruction, and the survivor must be
 * sampled on.
 *
 * TAP. `make check` takes every STRIDE-th instruction, SPPROF_STRESS=N every (STRIDE/N)-th.
 */
#define _GNU_SOURCE
#include "config.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>
#include "ingest/ring_consumer.h"
#include "ingest/segment_map.h"
#include "spprof/wire/record.h"

enum {
	STRIDE = 1,	    /* of instructions at which the process is killed */
	THREAD_STRIDE = 21, /* at which its threads are */
	MAX_RECORDS = 256,
	MAX_STEPS = 1 << 16,
	BREAKPOINT = 0xcc,
};

static char agent[4096], victim[4096];
static int tests, failures;

static void check(bool ok, const char *what)
{
	failures += !ok;
	printf("%sok %d - %s\n", ok ? "" : "not ", ++tests, what);
}

#if defined(__x86_64__)

struct range {
	unsigned long start, end;
};

/* The agent's instructions between the two breakpoints, in an unharmed worker. */
struct way {
	unsigned count;
	unsigned long at[MAX_STEPS];
};

/* What a worker has told until it died. */
struct testimony {
	unsigned count;
	uint64_t ids[MAX_RECORDS];
	bool deaths[MAX_RECORDS];
	bool surprised, sound, digest_right;
};

static pid_t start(const char *mode)
{
	pid_t pid = fork();

	if (pid != 0)
		return pid;
	setenv("LD_PRELOAD", agent, 1);
	setenv("SPPROF_RATE", "1", 1);
	setenv("SPPROF_SEED", "1", 1);
	setenv("SPPROF_CEILING", "0", 1);
	setenv("SPPROF_SOCKET", "/nonexistent", 1);
	/* The same addresses each time, for the same way; where that is forbidden, some ways
	 * differ. */
	personality(ADDR_NO_RANDOMIZE);
	if (ptrace(PTRACE_TRACEME, 0, 0, 0) != 0)
		_exit(99);
	execl(victim, victim, mode, (char *)NULL);
	_exit(98);
}

static struct range agent_text(pid_t pid)
{
	struct range range = {0, 0};
	char path[64], line[4096], flags[8];
	unsigned long from, to;

	snprintf(path, sizeof path, "/proc/%d/maps", pid);
	FILE *maps = fopen(path, "r");
	while (maps && fgets(line, sizeof line, maps))
		if (strstr(line, "libspprof-agent.so") &&
			sscanf(line, "%lx-%lx %7s", &from, &to, flags) == 3 && flags[2] == 'x')
			range = (struct range){from, to};
	if (maps)
		fclose(maps);
	return range;
}

/* The worker's segment, locked against daemons of this machine. */
static struct segment_map *open_segment(pid_t pid)
{
	struct segment_map *map = NULL;
	char path[64], target[256];

	snprintf(path, sizeof path, "/proc/%d/fd", pid);
	DIR *directory = opendir(path);
	for (struct dirent *entry; directory && !map && (entry = readdir(directory));) {
		ssize_t size =
			readlinkat(dirfd(directory), entry->d_name, target, sizeof target - 1);

		target[size < 0 ? 0 : size] = '\0';
		if (strstr(target, "memfd:" WIRE_MEMFD_NAME))
			segment_map_open(&map, dirfd(directory), entry->d_name, NULL);
	}
	if (directory)
		closedir(directory);
	if (map)
		flock(segment_map_fd(map), LOCK_EX | LOCK_NB);
	return map;
}

static unsigned long instruction_pointer(pid_t tid)
{
	return (unsigned long)ptrace(
		PTRACE_PEEKUSER, tid, offsetof(struct user_regs_struct, rip), 0);
}

static bool wait_for_stop(pid_t tid)
{
	int status;

	return waitpid(tid, &status, __WALL) == tid && WIFSTOPPED(status) &&
	       WSTOPSIG(status) == SIGTRAP;
}

static bool step(pid_t tid)
{
	return ptrace(PTRACE_SINGLESTEP, tid, 0, 0) == 0 && wait_for_stop(tid);
}

/* From the first breakpoint to the second: writes down every instruction of the agent's. */
static bool trace_way(pid_t tid, struct range text, struct way *way)
{
	for (way->count = 0;;) {
		unsigned long at = instruction_pointer(tid);

		if (at >= text.start && at < text.end) {
			if (way->count == MAX_STEPS)
				return false;
			way->at[way->count++] = at;
		} else if ((ptrace(PTRACE_PEEKTEXT, tid, at, 0) & 0xff) == BREAKPOINT) {
			return true;
		}
		if (!step(tid))
			return false;
	}
}

static unsigned times_before(const struct way *way, unsigned target)
{
	unsigned times = 0;

	for (unsigned i = 0; i < target; i++)
		times += way->at[i] == way->at[target];
	return times;
}

enum reached { REACHED, NOT_REACHED, FAILED };

/* To instruction number `target` of the way, or if this one is another, to the second breakpoint.
 * Not by steps, which are slow: by a breakpoint of our own, so many times. */
static enum reached run_to(pid_t tid, const struct way *way, unsigned target)
{
	unsigned long at = way->at[target];
	unsigned times = times_before(way, target);
	long word = ptrace(PTRACE_PEEKTEXT, tid, at, 0);

	for (;;) {
		/* Over the instruction under the breakpoint, if we stand on it. */
		if (instruction_pointer(tid) == at && !step(tid))
			return FAILED;
		if (ptrace(PTRACE_POKETEXT, tid, at, (word & ~0xffl) | BREAKPOINT) != 0 ||
			ptrace(PTRACE_CONT, tid, 0, 0) != 0 || !wait_for_stop(tid) ||
			ptrace(PTRACE_POKETEXT, tid, at, word) != 0)
			return FAILED;
		if (instruction_pointer(tid) != at + 1)
			return NOT_REACHED;
		if (ptrace(PTRACE_POKEUSER, tid, offsetof(struct user_regs_struct, rip), at) != 0)
			return FAILED;
		if (times-- == 0)
			return REACHED;
	}
}

static bool run_to_breakpoint(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) /* exec */
		return false;
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL);
	ptrace(PTRACE_CONT, pid, 0, 0);
	return waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP;
}

static void note(struct testimony *said, uint64_t id, bool death)
{
	if (said->count == MAX_RECORDS)
		abort();
	said->ids[said->count] = id;
	said->deaths[said->count++] = death;
}

static void on_birth(const struct wire_birth *birth, void *data)
{
	note(data, birth->id, false);
}

static void on_death(const struct wire_death *death, void *data)
{
	note(data, death->id, true);
}

/* Nobody asks for the map to be told again. */
static void on_live(const struct wire_birth *live, void *data)
{
	(void)live;
	((struct testimony *)data)->surprised = true;
}

static void on_end(const struct wire_end *end, void *data)
{
	(void)end;
	((struct testimony *)data)->surprised = true;
}

/* The header's digest is that of what was told, but for one id at most. */
static bool digest_is_right(const struct testimony *said, const struct segment_map *map)
{
	struct segment_counters counters;
	uint64_t digest = 0, live = 0;

	segment_map_counters(map, &counters);
	for (unsigned i = 0; i < said->count; i++) {
		digest += said->deaths[i] ? -wire_digest(said->ids[i]) : wire_digest(said->ids[i]);
		live += said->deaths[i] ? -UINT64_C(1) : 1;
	}
	uint64_t off = counters.digest - digest, blocks = counters.live_count - live;
	/* Counted, then summed, and told before or after: a kill in between leaves some without the
	 * others. */
	if (blocks + 1 > 2)
		return false;
	if (off == 0)
		return true;
	for (uint64_t id = 1; id < MAX_RECORDS; id++)
		if (off == wire_digest(id) || off == -wire_digest(id))
			return true;
	return false;
}

static bool rings_are_sound(const struct segment_map *map)
{
	const struct segment_info *info = segment_map_info(map);
	bool sound = true;

	for (uint32_t i = 0; i < info->ring_count; i++) {
		const struct wire_ring *ring = segment_map_ring(map, i);
		uint64_t head = atomic_load_explicit(&ring->head, memory_order_acquire);

		sound &= head % 8 == 0 &&
			 head == atomic_load_explicit(&ring->tail, memory_order_relaxed);
	}
	return sound;
}

static void hear(struct testimony *said, struct segment_map *map)
{
	const struct record_sink sink = {
		on_birth, on_live, on_death, on_end, NULL, said, NULL, NULL};
	struct ring_consumer_stats stats;
	struct ring_consumer *consumer;
	int r;

	if (ring_consumer_new(&consumer, map) != 0)
		abort();
	do
		r = ring_consumer_round(consumer, true, 1 << 20, &sink);
	while (r == 1);
	ring_consumer_stats(consumer, &stats);
	ring_consumer_free(consumer);
	said->sound = r == 0 && !said->surprised && rings_are_sound(map) &&
		      stats.corrupt_records + stats.corrupt_rings + stats.unknown_records == 0;
	said->digest_right = digest_is_right(said, map);
}

/* Lets a worker run to its first breakpoint and then, by `go`, on; kills it and hears what it has
 * told. */
static bool kill_after(bool (*go)(pid_t pid, void *data), void *data, struct testimony *said)
{
	pid_t pid = start("alone");
	struct segment_map *map = NULL;
	bool done = false;

	*said = (struct testimony){0};
	if (pid < 0)
		return false;
	if (run_to_breakpoint(pid)) {
		map = open_segment(pid);
		done = map && go(pid, data);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	if (done)
		hear(said, map);
	segment_map_free(map);
	return done;
}

static bool go_all_the_way(pid_t pid, void *way)
{
	return trace_way(pid, agent_text(pid), way);
}

struct aim {
	const struct way *way;
	unsigned target;
	enum reached reached;
};

static bool go_to_target(pid_t pid, void *data)
{
	struct aim *aim = data;

	aim->reached = run_to(pid, aim->way, aim->target);
	return aim->reached != FAILED;
}

static bool is_beginning_of(const struct testimony *said, const struct testimony *whole)
{
	return said->count <= whole->count &&
	       memcmp(said->ids, whole->ids, said->count * sizeof said->ids[0]) == 0 &&
	       memcmp(said->deaths, whole->deaths, said->count * sizeof said->deaths[0]) == 0;
}

static void kill_everywhere(const struct testimony *whole, const struct way *way, unsigned stride)
{
	unsigned kills = 0, astray = 0, unsound = 0, off = 0, wrong = 0, shrunk = 0, last = 0;
	struct testimony said;

	for (unsigned i = 0; i < way->count; i += stride, kills++) {
		struct aim aim = {.way = way, .target = i};

		if (!kill_after(go_to_target, &aim, &said))
			abort();
		astray += aim.reached != REACHED;
		unsound += !said.sound;
		off += !said.digest_right;
		wrong += !is_beginning_of(&said, whole) || whole->count - said.count > 2;
		shrunk += said.count < last;
		last = aim.reached == REACHED ? said.count : last;
	}
	printf("# %u instructions, %u kills, %u of them came too late\n", way->count, kills,
		astray);
	check(astray <= kills / 10, "workers are killed where they are meant to be");
	check(unsound == 0, "rings drain cleanly wherever their worker was killed");
	check(wrong == 0, "what was told before is there, and nothing else");
	check(shrunk == 0, "what a later instruction leaves is no less");
	check(off == 0, "the digest is off by one step at most");
}

/* The thread's next instruction is the end of its life. */
static void make_it_exit(pid_t tid, unsigned long syscall_instruction)
{
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, tid, 0, &registers) != 0)
		abort();
	registers.rip = syscall_instruction;
	registers.rax = SYS_exit;
	registers.orig_rax = (unsigned long long)-1;
	registers.rdi = 0;
	if (ptrace(PTRACE_SETREGS, tid, 0, &registers) != 0)
		abort();
}

/* At the first breakpoint of a thread. */
static bool let_thread_die(pid_t tid, const struct way *way, unsigned target)
{
	struct user_regs_struct registers;

	if (ptrace(PTRACE_GETREGS, tid, 0, &registers) != 0)
		abort();
	if (run_to(tid, way, target) != REACHED)
		return false;
	make_it_exit(tid, registers.rax);
	return true;
}

/* The survivor's exit status. */
static int kill_threads_at(const struct way *way, unsigned target, unsigned *deaths)
{
	pid_t pid = start("threads"), tid, stepped = 0;
	int status;

	if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status))
		return -1;
	ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE);
	ptrace(PTRACE_CONT, pid, 0, 0);
	while ((tid = waitpid(-1, &status, __WALL)) > 0) {
		if (!WIFSTOPPED(status)) {
			if (tid == pid)
				return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
			continue;
		}
		int number = WSTOPSIG(status), pass = 0;
		bool at_breakpoint = number == SIGTRAP && status >> 16 == 0;
		if (at_breakpoint && tid != stepped) {
			stepped = tid;
			*deaths += let_thread_die(tid, way, target);
		} else if (number != SIGTRAP && number != SIGSTOP) {
			pass = number;
		}
		ptrace(PTRACE_CONT, tid, 0, pass);
	}
	return -1;
}

static void kill_threads_everywhere(const struct way *way, unsigned stride)
{
	unsigned runs = 0, deaths = 0, bad = 0;

	/* Each failure takes as long as a survivor waits: two are enough. */
	for (unsigned i = 0; i < way->count && bad < 2; i += stride, runs++) {
		int status = kill_threads_at(way, i, &deaths);

		if (status != 0)
			printf("# threads died at instruction %u: status %d\n", i, status);
		bad += status != 0;
	}
	printf("# %u threads died in %u processes\n", deaths, runs);
	check(deaths >= runs, "threads die half-way");
	check(bad == 0, "a thread that survives others is sampled on, and gets what they held");
}

static unsigned stride_of(unsigned usual)
{
	const char *scale = getenv("SPPROF_STRESS");
	unsigned by = scale ? (unsigned)strtoul(scale, NULL, 10) : 1;

	return by == 0 || usual / by == 0 ? 1 : usual / by;
}

static int run(void)
{
	static struct way way;
	struct testimony whole;

	if (!kill_after(go_all_the_way, &way, &whole)) {
		puts("1..0 # SKIP processes may not be traced here");
		return 0;
	}
	check(whole.sound && whole.digest_right && whole.count >= 3,
		"an unharmed worker tells all");
	kill_everywhere(&whole, &way, stride_of(STRIDE));
	kill_threads_everywhere(&way, stride_of(THREAD_STRIDE));
	printf("1..%d\n", tests);
	return failures ? EXIT_FAILURE : EXIT_SUCCESS;
}

#else

static int run(void)
{
	puts("1..0 # SKIP not for this processor");
	return 0;
}

#endif

int main(void)
{
	const char *build = getenv("BUILDDIR");

	if (!build)
		build = ".";
	snprintf(agent, sizeof agent, "%s/.libs/libspprof-agent.so", build);
	snprintf(victim, sizeof victim, "%s/tests/programs/step_victim", build);
	if (access(agent, R_OK) != 0) {
		puts("1..0 # SKIP no preloadable agent in this build");
		return 0;
	}
	return run();
}
