/*
 * Making the segment at load. Every limit that could turn a call into a signal or a surprise is
 * looked at first: ftruncate beyond RLIMIT_FSIZE kills by SIGXFSZ. Any failure leaves the program
 * unprofiled.
 */
#define _GNU_SOURCE
#include "segment.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/memfd.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include "platform/linux/raw_syscall.h"
#include "version.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8U
#endif

/* Out of the way of programs that count descriptors from 3; below 1024 for those that still
 * select(). Low numbers are the program's: where no higher one is allowed, none is kept. */
#define FD_WANTED 1000
#define FD_LOWEST 64

#define MARKS_SIZE WIRE_CODES_INDEX_OFFSET

static struct wire_header private_header;

void segment_init_private(struct segment *segment)
{
	*segment = (struct segment){.header = &private_header, .fd = -1};
}

/* 0 if the kernel does not say. */
static uint64_t soft_limit(int resource)
{
	struct rlimit limit;

	return raw_syscall4(SYS_prlimit64, 0, resource, 0, &limit) == 0 ? limit.rlim_cur : 0;
}

static long make_memfd(void)
{
	/* A kernel before 6.3 knows no MFD_NOEXEC_SEAL; one with vm.memfd_noexec=2 insists on it.
	 */
	long fd = raw_syscall2(SYS_memfd_create, WIRE_MEMFD_NAME,
		MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);

	if (fd == -EINVAL)
		fd = raw_syscall2(
			SYS_memfd_create, WIRE_MEMFD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	return fd;
}

static long move_up(long fd)
{
	uint64_t limit = soft_limit(RLIMIT_NOFILE);
	uint64_t wanted = limit > FD_WANTED ? FD_WANTED : limit - 1;
	long high = raw_syscall3(SYS_fcntl, fd, F_DUPFD_CLOEXEC, wanted);

	if (high < 0)
		return fd;
	raw_syscall1(SYS_close, fd);
	return high;
}

static void *map_shared(long fd, size_t size)
{
	long address =
		raw_syscall6(SYS_mmap, 0, (long)size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (address < 0 && address > -4096)
		return NULL;
	/* The rings hold stacks and sizes of the program: not for its core dumps. */
	raw_syscall3(SYS_madvise, address, size, MADV_DONTDUMP);
	return (void *)address;
}

static void describe(struct wire_header *header, const struct segment_facts *facts)
{
	static const char version[] = SPPROF_VERSION;

	header->magic = WIRE_MAGIC;
	header->major = WIRE_MAJOR;
	header->minor = WIRE_MINOR;
	header->header_size = sizeof *header;
	header->ring_count = facts->ring_count;
	header->ring_size = facts->ring_size;
	header->pid_hint = (uint32_t)raw_syscall0(SYS_getpid);
	header->load_ns = facts->now_ns;
	header->interval_bytes = facts->interval_bytes;
	header->flags = facts->flags;
	header->filter_cells = facts->filter_cells;
	header->generation = facts->generation;
	header->map_address = (uintptr_t)facts->map;
	header->map_max_levels = facts->map_levels;
	header->stacks_address = (uintptr_t)facts->stacks;
	header->stack_count = facts->stack_count;
	header->blocks_address = (uintptr_t)facts->blocks;
	header->block_count = facts->block_count;
	header->first_id = facts->first_id;
	for (unsigned i = 0; facts->ancestors && i < WIRE_ANCESTORS; i++)
		header->ancestors[i] = facts->ancestors[i];
	for (unsigned i = 0; i < sizeof version && i < sizeof header->agent_version - 1; i++)
		header->agent_version[i] = version[i];
}

int segment_create(struct segment *segment, const struct segment_facts *facts)
{
	size_t size = wire_segment_size(facts->ring_count, facts->ring_size);
	size_t definitions = wire_definitions_offset(facts->ring_count, facts->ring_size);
	struct stat status;

	if (soft_limit(RLIMIT_FSIZE) < size)
		return -EFBIG;
	long fd = make_memfd();
	if (fd < 0)
		return (int)fd;
	fd = move_up(fd);
	long error = raw_syscall2(SYS_ftruncate, fd, size);
	if (error == 0)
		error = raw_syscall2(SYS_fstat, fd, &status);
	uint8_t *base = error == 0 ? map_shared(fd, definitions + MARKS_SIZE) : NULL;
	if (!base) {
		raw_syscall1(SYS_close, fd);
		return error ? (int)error : -ENOMEM;
	}
	*segment = (struct segment){
		.header = (struct wire_header *)base,
		.rings = (struct wire_ring *)(base + WIRE_RINGS_OFFSET),
		.data = base + WIRE_DATA_OFFSET,
		.marks = base + definitions,
		.ring_count = facts->ring_count,
		.ring_size = facts->ring_size,
		.fd = (int)fd,
		.device = status.st_dev,
		.inode = status.st_ino,
	};
	describe(segment->header, facts);
	raw_syscall3(SYS_fcntl, fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	return 0;
}

/* For a descriptor that is gone: of a shared mapping mremap makes another one if it is to move nothing. */
static void *map_again(void *address, size_t size)
{
	long other = raw_syscall4(SYS_mremap, address, 0, size, MREMAP_MAYMOVE);

	if (other < 0 && other > -4096)
		return NULL;
	raw_syscall3(SYS_madvise, other, size, MADV_DONTDUMP);
	return (void *)other;
}

/* From the segment's beginning, for where they begin is no page's of every size. */
void segment_map_definitions(struct segment *segment)
{
	size_t size = wire_segment_size(segment->ring_count, segment->ring_size);

	/* relaxed: see segment.h. */
	if (!segment->marks || atomic_load_explicit(&segment->definitions, memory_order_relaxed))
		return;
	uint8_t *base = segment_fd_is_ours(segment) ? map_shared(segment->fd, size)
						    : map_again(segment->header, size);
	if (base)
		atomic_store_explicit(&segment->definitions,
			base + wire_definitions_offset(segment->ring_count, segment->ring_size),
			memory_order_relaxed);
}

void segment_store_maps(struct segment *segment)
{
	char *text = (char *)segment->header + WIRE_MAPS_OFFSET;
	uint32_t size = 0;

	if (segment->ring_count == 0)
		return;
	long fd = raw_syscall4(SYS_openat, AT_FDCWD, "/proc/self/maps", O_RDONLY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	while (size < WIRE_MAPS_MAX) {
		long got = raw_syscall3(SYS_read, fd, text + size, WIRE_MAPS_MAX - size);

		if (got <= 0)
			break;
		size += (uint32_t)got;
	}
	raw_syscall1(SYS_close, fd);
	segment->header->maps_size = size;
}

void segment_yield_fd(struct segment *segment)
{
	if (segment->fd < 0 || segment->fd >= FD_LOWEST)
		return;
	raw_syscall1(SYS_close, segment->fd);
	segment->fd = -1;
}

void segment_leave(struct segment *segment)
{
	if (segment_fd_is_ours(segment))
		raw_syscall1(SYS_close, segment->fd);
	segment->fd = -1;
}

void segment_forget(struct segment *segment)
{
	/* relaxed: nobody is in it any more. */
	uint8_t *definitions = atomic_load_explicit(&segment->definitions, memory_order_relaxed);
	size_t offset = wire_definitions_offset(segment->ring_count, segment->ring_size);

	if (segment->ring_count > 0)
		raw_syscall2(SYS_munmap, segment->header, offset + MARKS_SIZE);
	if (definitions)
		raw_syscall2(SYS_munmap, definitions - offset, offset + WIRE_DEFINITIONS_SIZE);
	segment_init_private(segment);
}

bool segment_fd_is_ours(const struct segment *segment)
{
	struct stat status;

	return segment->fd >= 0 && raw_syscall2(SYS_fstat, segment->fd, &status) == 0 &&
	       status.st_dev == segment->device && status.st_ino == segment->inode;
}

void segment_count(struct segment *segment, _Atomic uint64_t *counter, uint64_t add)
{
	(void)segment;
	/* relaxed: a statistic. */
	atomic_fetch_add_explicit(counter, add, memory_order_relaxed);
}

void segment_count_loss(struct segment *segment, enum wire_loss reason, uint64_t bytes)
{
	struct wire_counters *counters = &segment->header->counters;

	segment_count(segment, &counters->loss_bytes[reason], bytes);
	/* [LOSS-1] release: whatever was told before this loss was there when a daemon counts it, so a
	 * daemon that counts its losses first and reads its heads then has drained the birth of each
	 * death it counted as lost; pairs with acquire in segment_map_counters. */
	atomic_fetch_add_explicit(&counters->loss_count[reason], 1, memory_order_release);
}
