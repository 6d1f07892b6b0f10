/*
 * A worker without an agent: has a segment, hands it over, writes what it is told to. Options shape
 * the segment before anybody sees it; then one command per line on stdin, each answered by one
 * line, "ok" or "ok NUMBER". Ends with its input.
 *
 *   fake_worker [--unsealed] [--short] [--version=N] [--minor=N] [--rings=N]
 *
 *   handshake DIR          connect to DIR/agent.sock, hand the segment over, close
 *   send FILE DIR          the same with another file's descriptor
 *   birth ID SIZE          a sampled allocation with a stack of our own functions
 *   births FIRST COUNT SIZE
 *   code NUMBER LINE NAME FILE    a code object, in line LINE + n at unit n
 *   python ID SIZE CODE UNIT      a sampled allocation by it: its frame between two of our own functions
 *   interpreter PYTHON VERSION    what is known of one, as in struct wire_header
 *   death ID
 *   map FIRST COUNT SIZE   a heap map that holds these, in our memory, published; before a
 * handshake lose KIND COUNT BYTES  count losses (enum wire_loss) drift COUNT            count live
 * samples that were never told garbage RING           a malformed record runaway RING           a
 * head far away close                  close the segment's descriptor, as daemon() does; the
 * mapping stays fork                   a child that lives on with our segment; answers its pid
 *   exec-self [OPTIONS]    a new image with a new segment; answers again
 *   exec-other             an image without a segment
 *   exit                   at once
 */
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include "spprof/wire/handshake.h"
#include "support/fake_map.h"
#include "support/fake_segment.h"

static struct fake_segment segment;
static char *program;

/* Code locations that a symbolizer can name. */
__attribute__((noinline)) uint64_t fake_worker_leaf(void);
__attribute__((noinline)) uint64_t fake_worker_middle(void);
__attribute__((noinline)) uint64_t fake_worker_root(void);

uint64_t fake_worker_leaf(void)
{
	return (uint64_t)(uintptr_t)__builtin_return_address(0);
}

uint64_t fake_worker_middle(void)
{
	uint64_t inside = fake_worker_leaf();
	/* Not a tail call, whose return address would lie elsewhere. */
	__asm__ volatile("" : "+r"(inside));
	return inside;
}

uint64_t fake_worker_root(void)
{
	uint64_t inside = fake_worker_middle();
	__asm__ volatile("" : "+r"(inside));
	return (uint64_t)(uintptr_t)__builtin_return_address(0) + 0 * inside;
}

/* The same one whoever calls. */
static __attribute__((noinline)) void take_stack(uint64_t frames[2])
{
	frames[0] = fake_worker_middle();
	frames[1] = fake_worker_root();
}

static void count_live(uint64_t count, uint64_t digest)
{
	/* relaxed: one writer, compared when nothing moves */
	atomic_fetch_add_explicit(&segment.header->live_count, count, memory_order_relaxed);
	atomic_fetch_add_explicit(&segment.header->digest, digest, memory_order_relaxed);
}

static void write_birth(uint64_t id, uint64_t size)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	struct wire_birth *birth = (struct wire_birth *)record;
	size_t bytes = fake_segment_birth(record, id, 2);
	birth->size_bytes = size;
	take_stack(birth->frames);
	count_live(1, wire_digest(id));
	fake_segment_append(&segment, (uint32_t)(id % segment.ring_count), record, bytes);
}

static void write_python_birth(uint64_t id, uint64_t size, uint64_t code, uint64_t unit)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	struct wire_birth *birth = (struct wire_birth *)record;
	uint64_t frames[2];
	size_t bytes = fake_segment_birth(record, id, 3);
	birth->size_bytes = size;
	take_stack(frames);
	birth->frames[0] = frames[0];
	birth->frames[1] = wire_frame_python((uint32_t)code, (uint32_t)unit);
	birth->frames[2] = frames[1];
	count_live(1, wire_digest(id));
	fake_segment_append(&segment, (uint32_t)(id % segment.ring_count), record, bytes);
}

static void tell_interpreter(uint64_t python, uint64_t version)
{
	/* relaxed: for a person */
	atomic_store_explicit(&segment.header->python, (uint32_t)python, memory_order_relaxed);
	atomic_store_explicit(
		&segment.header->python_version, (uint32_t)version, memory_order_relaxed);
}

static void write_death(uint64_t id)
{
	_Alignas(8) uint8_t record[WIRE_RECORD_MAX];
	size_t bytes = fake_segment_death(record, id);
	count_live(UINT64_MAX, -wire_digest(id));
	fake_segment_append(&segment, (uint32_t)(id % segment.ring_count), record, bytes);
}

/* Lives as long as we do. */
static void publish_map(uint64_t first, uint64_t count, uint64_t size)
{
	static struct fake_map map;
	uint64_t frames[2];
	struct wire_header *header = segment.header;
	take_stack(frames);
	fake_map_init(&map, 1);
	/* The daemon is no ancestor of ours: Yama asks for this if it is not root's. */
	prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY);
	for (uint64_t i = 0; i < count; i++) {
		uint32_t slot = (uint32_t)(i * 37);
		fake_map_set(&map, slot, first + i, 1, frames, 2);
		/* relaxed: nobody looks yet */
		atomic_store_explicit(&map.slots[slot].size_bytes, size, memory_order_relaxed);
	}
	header->map_address = (uint64_t)(uintptr_t)map.slots;
	header->stacks_address = (uint64_t)(uintptr_t)map.stacks;
	header->blocks_address = (uint64_t)(uintptr_t)map.blocks;
	header->stack_count = FAKE_MAP_STACKS;
	header->block_count = FAKE_MAP_BLOCKS;
	header->map_max_levels = 1;
	header->generation = 1;
	atomic_store_explicit(&header->map_levels, 1, memory_order_relaxed);
}

static int hand_over(int fd, const char *directory)
{
	struct wire_handshake handshake = {
		.magic = WIRE_HANDSHAKE_MAGIC, .major = WIRE_MAJOR, .minor = WIRE_MINOR};
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof fd)];
	} control = {.header = {.cmsg_len = CMSG_LEN(sizeof fd),
			     .cmsg_level = SOL_SOCKET,
			     .cmsg_type = SCM_RIGHTS}};
	struct iovec piece = {&handshake, sizeof handshake};
	struct msghdr message = {.msg_iov = &piece,
		.msg_iovlen = 1,
		.msg_control = control.space,
		.msg_controllen = sizeof control.space};
	memcpy(CMSG_DATA(&control.header), &fd, sizeof fd);
	snprintf(address.sun_path, sizeof address.sun_path, "%s/%s", directory, WIRE_AGENT_SOCKET);
	int client = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	int failed = connect(client, (struct sockaddr *)&address, sizeof address) < 0 ||
		     sendmsg(client, &message, MSG_NOSIGNAL) < 0;
	close(client);
	return failed;
}

static int send_file(char *path, char *directory)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int failed = fd < 0 || hand_over(fd, directory);
	close(fd);
	return failed;
}

static void lose(unsigned kind, uint64_t count, uint64_t bytes)
{
	struct wire_counters *counters = &segment.header->counters;
	if (kind >= WIRE_LOSS_KINDS)
		abort();
	/* relaxed: statistics */
	atomic_fetch_add_explicit(&counters->loss_count[kind], count, memory_order_relaxed);
	atomic_fetch_add_explicit(&counters->loss_bytes[kind], bytes, memory_order_relaxed);
}

static void write_garbage(uint32_t ring)
{
	uint64_t nonsense[4] = {UINT64_MAX, UINT64_MAX, 7, 7};
	fake_segment_append(&segment, ring % segment.ring_count, nonsense, sizeof nonsense);
}

static void run_away(uint32_t ring)
{
	/* relaxed: nothing is published */
	atomic_store_explicit(&segment.rings[ring % segment.ring_count].head, UINT64_C(1) << 60,
		memory_order_relaxed);
	atomic_fetch_or_explicit(&segment.header->dirty, UINT64_C(1) << (ring % segment.ring_count),
		memory_order_relaxed);
}

static pid_t fork_child(void)
{
	int end[2];
	if (pipe(end) < 0)
		abort();
	pid_t child = fork();
	if (child == 0) {
		char byte;
		/* Ends with its parent, whose end of the pipe closes then. */
		close(end[1]);
		_exit(read(end[0], &byte, 1) != 0);
	}
	close(end[0]);
	return child;
}

static void exec_other(void)
{
	/* Reads commands as we do, answers nothing, ends with its input. */
	execl("/bin/sh", "sh", "-c", "echo ok; while read line; do :; done", (char *)NULL);
	abort();
}

static void exec_self(char *options)
{
	char *arguments[8] = {program};
	for (int i = 1; i < 7 && (arguments[i] = strtok(i == 1 ? options : NULL, " ")) != NULL; i++)
		;
	execv("/proc/self/exe", arguments);
	abort();
}

static void births(uint64_t first, uint64_t count, uint64_t size)
{
	for (uint64_t i = 0; i < count; i++)
		write_birth(first + i, size);
}

/* The answer's number, or -1: none. */
static long run(char *line)
{
	char path[256], directory[256];
	uint64_t a, b, c, d;
	if (sscanf(line, "handshake %255s", directory) == 1)
		return hand_over(segment.fd, directory);
	if (sscanf(line, "send %255s %255s", path, directory) == 2)
		return send_file(path, directory);
	if (sscanf(line, "births %" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b, &c) == 3)
		births(a, b, c);
	else if (sscanf(line, "map %" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b, &c) == 3)
		publish_map(a, b, c);
	else if (sscanf(line, "birth %" SCNu64 " %" SCNu64, &a, &b) == 2)
		write_birth(a, b);
	else if (sscanf(line, "code %" SCNu64 " %" SCNu64 " %255s %255s", &a, &b, path,
			 directory) == 4)
		fake_segment_code(&segment, (uint32_t)a, path, directory, (int32_t)b);
	else if (sscanf(line, "python %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b, &c,
			 &d) == 4)
		write_python_birth(a, b, c, d);
	else if (sscanf(line, "interpreter %" SCNu64 " %" SCNu64, &a, &b) == 2)
		tell_interpreter(a, b);
	else if (sscanf(line, "death %" SCNu64, &a) == 1)
		write_death(a);
	else if (sscanf(line, "lose %" SCNu64 " %" SCNu64 " %" SCNu64, &a, &b, &c) == 3)
		lose((unsigned)a, b, c);
	else if (sscanf(line, "drift %" SCNu64, &a) == 1)
		count_live(a, 12345);
	else if (sscanf(line, "garbage %" SCNu64, &a) == 1)
		write_garbage((uint32_t)a);
	else if (sscanf(line, "runaway %" SCNu64, &a) == 1)
		run_away((uint32_t)a);
	else if (strcmp(line, "close") == 0)
		close(segment.fd);
	else if (strcmp(line, "fork") == 0)
		return fork_child();
	else if (strncmp(line, "exec-self", 9) == 0)
		exec_self(line + 9);
	else if (strcmp(line, "exec-other") == 0)
		exec_other();
	else if (strcmp(line, "exit") == 0)
		_exit(0);
	else
		abort();
	return -1;
}

static void store_maps(void)
{
	char text[32768];
	int fd = open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
	size_t size = 0;
	ssize_t got;
	while (size < sizeof text - 1 && (got = read(fd, text + size, sizeof text - 1 - size)) > 0)
		size += (size_t)got;
	close(fd);
	text[size] = '\0';
	fake_segment_maps(&segment, text);
}

static bool option(int argc, char **argv, const char *name, unsigned *value)
{
	size_t length = strlen(name);
	for (int i = 1; i < argc; i++) {
		if (strncmp(argv[i], name, length) != 0)
			continue;
		if (argv[i][length] == '=')
			*value = (unsigned)atoi(argv[i] + length + 1);
		return true;
	}
	return false;
}

static void make_segment(int argc, char **argv)
{
	unsigned rings = 4, version = WIRE_MAJOR, minor = WIRE_MINOR;
	option(argc, argv, "--rings", &rings);
	option(argc, argv, "--version", &version);
	option(argc, argv, "--minor", &minor);
	fake_segment_init(&segment, rings, 64u << 10, 0);
	/* This one is for a daemon to consume. */
	flock(segment.fd, LOCK_UN);
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	segment.header->load_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	segment.header->major = (uint16_t)version;
	segment.header->minor = (uint16_t)minor;
	atomic_store_explicit(
		&segment.header->counters.interval_bytes, 512u << 10, memory_order_relaxed);
	store_maps();
	if (option(argc, argv, "--short", &rings) && ftruncate(segment.fd, 65536) < 0)
		abort();
	if (!option(argc, argv, "--unsealed", &rings))
		fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
}

int main(int argc, char **argv)
{
	char line[1024];
	program = argv[0];
	make_segment(argc, argv);
	printf("ok\n");
	fflush(stdout);
	while (fgets(line, sizeof line, stdin) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		long number = run(line);
		if (number < 0)
			printf("ok\n");
		else
			printf("ok %ld\n", number);
		fflush(stdout);
	}
	return 0;
}
