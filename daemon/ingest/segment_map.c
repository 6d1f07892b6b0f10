/*
 * What the checks buy, in this order, because each makes the next one safe:
 *
 *   F_GET_SEALS answers for shared memory only and asks no file system, so a received FUSE or NFS
 * file is refused before anything could wait for its server. The exact set (F_SEAL_EXEC aside,
 * which MFD_NOEXEC_SEAL adds) means: a memfd, never shorter nor longer than now, mappable writable.
 *   fstatfs tells tmpfs from hugetlbfs, whose memfds take the same seals and raise SIGBUS when
 * touched. The size must be what the geometry gives, so no offset computed from it can lie outside.
 *
 * The seals do not forbid punching holes. A hole reads as zeros; reading it by pread allocates
 * nothing, through a mapping it would charge the page to the daemon. So ring data and the maps text
 * are fetched by pread, and what is mapped are WIRE_MAPPED_SIZE bytes: that much a worker can make
 * the daemon pay.
 *
 * Why no SIGBUS guard: the mapped pages lie below the size, which can no longer shrink; the
 * kernel's own mount of memfds has no block limit or quota; a failed memcg charge ends in the OOM
 * killer, not in a signal. What is left is a page that the kernel cannot produce, by a memory error
 * or a failed read from swap. A worker cannot cause either; the daemon dies by it and is started
 * again, like any program whose memory failed.
 */
#include "config.h"
#include "ingest/segment_map.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "ingest/record_decode.h"

#ifndef F_SEAL_EXEC
#define F_SEAL_EXEC 0x20
#endif
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

#define EXPECTED_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

struct segment_map {
	int fd;			    /* owns */
	struct wire_header *header; /* owns the mapping of WIRE_MAPPED_SIZE bytes */
	struct wire_ring *rings;    /* in the same mapping */
	uint32_t maps_size;
	struct segment_info info;
};

static int refuse(const char **why, int error, const char *clause)
{
	*why = clause;
	return error;
}

static int check_descriptor(int fd, struct stat *st, const char **why)
{
	int seals = fcntl(fd, F_GET_SEALS);
	int flags = fcntl(fd, F_GETFL);
	struct statfs fs;

	if (seals < 0 || flags < 0)
		return refuse(why, -EINVAL, "the descriptor is not a memfd");
	if ((seals & ~F_SEAL_EXEC) != EXPECTED_SEALS)
		return refuse(why, -EPERM, "the segment is not sealed as expected");
	if ((flags & O_ACCMODE) != O_RDWR)
		return refuse(why, -EINVAL, "the segment is not open for reading and writing");
	if (fstatfs(fd, &fs) < 0 || fstat(fd, st) < 0)
		return refuse(why, -errno, "the segment cannot be examined");
	if (fs.f_type != TMPFS_MAGIC || !S_ISREG(st->st_mode))
		return refuse(why, -EINVAL, "the segment is not in tmpfs (huge pages are refused)");
	return 0;
}

static bool power_of_two(uint32_t n)
{
	return n && !(n & (n - 1));
}

static int check_header(const struct wire_header *header, off_t file_size, const char **why)
{
	if (header->magic != WIRE_MAGIC)
		return refuse(why, -EINVAL, "the memfd is not a spprof segment");
	if (header->major != WIRE_MAJOR)
		return refuse(why, -EPROTONOSUPPORT,
			"the agent speaks another version of the segment format; use agent and "
			"daemon of the same release");
	if (header->header_size != sizeof(*header))
		return refuse(why, -EINVAL, "the segment's header has a wrong size");
	if (header->ring_count < 1 || header->ring_count > WIRE_MAX_RINGS)
		return refuse(why, -EINVAL, "the segment's number of rings is out of range");
	if (!power_of_two(header->ring_size) || header->ring_size < WIRE_MIN_RING_SIZE ||
		header->ring_size > WIRE_MAX_RING_SIZE)
		return refuse(why, -EINVAL, "the segment's ring size is out of range");
	if (header->maps_size > WIRE_MAPS_MAX)
		return refuse(why, -EINVAL, "the segment's maps text is too long");
	if (header->interval_bytes < 1 || header->interval_bytes > RECORD_DECODE_MAX_BYTES)
		return refuse(why, -EINVAL, "the segment's sampling interval is out of range");
	if (file_size != (off_t)wire_segment_size(header->ring_count, header->ring_size))
		return refuse(why, -EINVAL, "the segment's size does not fit its rings");
	return 0;
}

static int read_at(int fd, size_t offset, void *bytes, size_t size)
{
	uint8_t *at = bytes;

	while (size) {
		ssize_t n = pread(fd, at, size, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO;
		at += n;
		offset += (size_t)n;
		size -= (size_t)n;
	}
	return 0;
}

/* It will be printed to people's terminals. */
static void copy_version(char *out, const char *version, size_t size)
{
	size_t i;

	for (i = 0; i < size && version[i]; i++)
		out[i] = version[i] >= ' ' && version[i] <= '~' ? version[i] : '?';
	out[i] = '\0';
}

static bool drained_before(const struct segment_map *map)
{
	bool drained = false;

	/* relaxed: the earlier daemon is gone; whether it took anything is all that is asked */
	for (uint32_t i = 0; i < map->info.ring_count; i++)
		drained |= atomic_load_explicit(&map->rings[i].tail, memory_order_relaxed) != 0;
	return drained;
}

static void fill_info(
	struct segment_info *info, const struct wire_header *header, const struct stat *st)
{
	*info = (struct segment_info){
		.device = st->st_dev,
		.inode = st->st_ino,
		.ring_count = header->ring_count,
		.ring_size = header->ring_size,
		.pid_hint = header->pid_hint,
		.flags = header->flags,
		.load_ns = header->load_ns,
		.interval_bytes = header->interval_bytes,
		.minor = header->minor,
		.first_id = header->first_id,
	};
	info->places = (struct segment_map_places){
		.map_address = header->map_address,
		.stacks_address = header->stacks_address,
		.blocks_address = header->blocks_address,
		.stack_count = header->stack_count,
		.block_count = header->block_count,
		.max_levels = header->map_max_levels,
		.generation = header->generation,
	};
	for (unsigned i = 0; i < WIRE_ANCESTORS; i++)
		info->ancestors[i] = (struct segment_map_ancestor){
			.load_ns = header->ancestors[i].load_ns,
			.first_id = header->ancestors[i].first_id,
			.pid_hint = header->ancestors[i].pid_hint,
		};
	copy_version(info->agent_version, header->agent_version, sizeof(header->agent_version));
}

int segment_map_new(struct segment_map **out, int fd, const char **why)
{
	const char *ignored;
	struct wire_header header;
	struct stat st;
	int r;

	why = why ? why : &ignored;
	r = check_descriptor(fd, &st, why);
	if (r < 0)
		return r;
	if (read_at(fd, 0, &header, sizeof(header)) < 0)
		return refuse(why, -EINVAL, "the memfd is too short to be a spprof segment");
	r = check_header(&header, st.st_size, why);
	if (r < 0)
		return r;

	void *mapped = mmap(NULL, WIRE_MAPPED_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mapped == MAP_FAILED)
		return refuse(why, -errno, "the segment cannot be mapped");

	struct segment_map *map = alloc_zeroed(1, sizeof(*map));
	map->fd = fd;
	map->header = mapped;
	map->rings = (struct wire_ring *)((uint8_t *)mapped + WIRE_RINGS_OFFSET);
	map->maps_size = header.maps_size;
	fill_info(&map->info, &header, &st);
	map->info.drained_before = drained_before(map);
	*out = map;
	return 0;
}

/* The device number of the kernel's own mount, on which all memfds lie, and nothing else. */
static int memfd_device(dev_t *out)
{
	int fd = memfd_create("spprof-device", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
	struct stat st;

	if (fd < 0 && errno == EINVAL) /* before Linux 6.3 */
		fd = memfd_create("spprof-device", MFD_CLOEXEC);
	if (fd < 0)
		return -errno;
	int r = fstat(fd, &st) < 0 ? -errno : 0;
	close(fd);
	*out = st.st_dev;
	return r;
}

/* O_PATH opens nothing, and DONT_SYNC keeps a network or FUSE file system from being asked. */
static int check_is_memfd(int path_fd, const char **why)
{
	struct statx sx;
	dev_t device = 0;
	int r = memfd_device(&device);

	if (r < 0)
		return refuse(why, r, "no memfd could be made to compare with");
	if (statx(path_fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_TYPE, &sx) < 0)
		return refuse(why, -errno, "the descriptor cannot be examined");
	if (!S_ISREG(sx.stx_mode) || makedev(sx.stx_dev_major, sx.stx_dev_minor) != device)
		return refuse(why, -EINVAL, "the descriptor is not a memfd");
	return 0;
}

int segment_map_open_path(struct segment_map **out, int path_fd, const char **why)
{
	const char *ignored;
	char link[64];

	why = why ? why : &ignored;
	int r = check_is_memfd(path_fd, why);
	if (r < 0)
		return r;

	/* O_NONBLOCK: the worker may hold a lease on its file, which would stall the opener. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	int fd = open(link, O_RDWR | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return refuse(why, -errno, "the segment cannot be opened for reading and writing");
	r = segment_map_new(out, fd, why);
	if (r < 0)
		close(fd);
	return r;
}

int segment_map_open(struct segment_map **out, int dir_fd, const char *name, const char **why)
{
	const char *ignored;

	why = why ? why : &ignored;
	int path_fd = openat(dir_fd, name, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return refuse(why, -errno, "the descriptor is gone or may not be opened");
	int r = segment_map_open_path(out, path_fd, why);
	close(path_fd);
	return r;
}

struct segment_map *segment_map_free(struct segment_map *map)
{
	if (map) {
		munmap(map->header, WIRE_MAPPED_SIZE);
		close(map->fd);
		free(map);
	}
	return NULL;
}

const struct segment_info *segment_map_info(const struct segment_map *map)
{
	return &map->info;
}

/* relaxed: each counter is a statistic of its own */
static uint64_t read_word(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

void segment_map_counters(const struct segment_map *map, struct segment_counters *out)
{
	const struct wire_counters *c = &map->header->counters;

	*out = (struct segment_counters){
		.samples = read_word(&c->samples),
		.sampled_deaths = read_word(&c->sampled_deaths),
		.unannounced_dead = read_word(&c->unannounced_dead),
		.missed_frees = read_word(&c->missed_frees),
		.filter_positives = read_word(&c->filter_positives),
		.filter_false = read_word(&c->filter_false),
		.map_collisions = read_word(&c->map_collisions),
		.rule_misses = read_word(&c->rule_misses),
		.services = read_word(&c->services),
		.interval_bytes = read_word(&c->interval_bytes),
		.map_slots = read_word(&c->map_slots),
		.filter_cells_used = read_word(&c->filter_cells_used),
		.live_count = read_word(&map->header->live_count),
		.digest = read_word(&map->header->digest),
		.filter_saturated = read_word(&c->filter_saturated),
		.stacks = read_word(&c->stacks),
		.stack_blocks = read_word(&c->stack_blocks),
		.stacks_not_kept = read_word(&c->stacks_not_kept),
		.resync_slices = read_word(&c->resync_slices),
		.resync_slots = read_word(&c->resync_slots),
		.resync_lives = read_word(&c->resync_lives),
		.resync_refused = read_word(&c->resync_refused),
		.audits = read_word(&c->audits),
		.audits_dropped = read_word(&c->audits_dropped),
		.audits_foreign = read_word(&c->audits_foreign),
		.python_samples = read_word(&c->python_samples),
		.python_skipped = read_word(&c->python_skipped),
		.python_unpaired = read_word(&c->python_unpaired),
		.codes = read_word(&c->codes),
		.codes_not_kept = read_word(&c->codes_not_kept),
		.objects_sampled = read_word(&c->objects_sampled),
		/* relaxed: both are for a person */
		.python = atomic_load_explicit(&map->header->python, memory_order_relaxed),
		.python_version =
			atomic_load_explicit(&map->header->python_version, memory_order_relaxed),
		/* relaxed: a level seen late is seen the next time */
		.map_levels = atomic_load_explicit(&map->header->map_levels, memory_order_relaxed),
	};
	for (unsigned i = 0; i < WIRE_LOSS_KINDS; i++) {
		/* [LOSS-1] acquire: what was told before these losses is seen by whoever reads the heads
		 * next; pairs with segment_count_loss. */
		out->loss_count[i] = atomic_load_explicit(&c->loss_count[i], memory_order_acquire);
		out->loss_bytes[i] = read_word(&c->loss_bytes[i]);
	}
}

int segment_map_maps_text(const struct segment_map *map, struct buffer *out)
{
	uint8_t *text = buffer_reserve(out, map->maps_size);
	int r = read_at(map->fd, WIRE_MAPS_OFFSET, text, map->maps_size);

	if (r == 0)
		out->size += map->maps_size;
	return r;
}

uint64_t segment_map_take_dirty(struct segment_map *map)
{
	_Atomic uint64_t *dirty = &map->header->dirty;

	/* relaxed: spares an idle worker's cache line; a bit set just now is taken the next time */
	if (atomic_load_explicit(dirty, memory_order_relaxed) == 0)
		return 0;
	/* [DIRTY-1] acquire: heads released before a bit was set are seen by the loads that follow;
	 * pairs with DIRTY-1 in ring_producer.c */
	return atomic_exchange_explicit(dirty, 0, memory_order_acquire);
}

uint32_t segment_map_requested_resync(const struct segment_map *map)
{
	/* relaxed: whoever wrote it is gone or is us, and only its value is asked for */
	return atomic_load_explicit(&map->header->control.resync, memory_order_relaxed);
}

void segment_map_request_resync(struct segment_map *map, uint32_t epoch)
{
	/* [SYNC-1] release: what has been drained before was announced before the walk that sees
	 * this; pairs with SYNC-1 in resync.c of the agent */
	atomic_store_explicit(&map->header->control.resync, epoch, memory_order_release);
}

void segment_map_set_control(struct segment_map *map, uint64_t interval_bytes, bool stop)
{
	struct wire_control *control = &map->header->control;

	/* relaxed: each word stands for itself */
	atomic_store_explicit(&control->interval_bytes, interval_bytes, memory_order_relaxed);
	atomic_store_explicit(&control->flags, stop ? WIRE_CONTROL_STOP : 0, memory_order_relaxed);
}

uint64_t segment_map_taken_bytes(const struct segment_map *map)
{
	uint64_t sum = 0;

	/* relaxed: only this daemon and a dead one write it, and it is only reported */
	for (uint32_t i = 0; i < map->info.ring_count; i++)
		sum += read_word(&map->rings[i].tail);
	return sum;
}

const struct wire_ring *segment_map_ring(const struct segment_map *map, uint32_t ring)
{
	return &map->rings[ring];
}

void segment_map_store_tail(struct segment_map *map, uint32_t ring, uint64_t tail)
{
	/* [RING-2] release: the bytes below the tail have been copied out before the producer may
	 * write over them; pairs with RING-2 in ring_producer.c */
	atomic_store_explicit(&map->rings[ring].tail, tail, memory_order_release);
}

int segment_map_read(const struct segment_map *map, size_t offset, void *bytes, size_t size)
{
	return read_at(map->fd, offset, bytes, size);
}

/* Nobody waits for the segment's pages: they are in memory, or room for them is refused. */
int segment_map_write_definitions(
	const struct segment_map *map, size_t offset, const void *bytes, size_t size)
{
	size_t begin = wire_definitions_offset(map->info.ring_count, map->info.ring_size);
	ssize_t n;

	do
		n = pwrite(map->fd, bytes, size, (off_t)(begin + offset));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	return (size_t)n == size ? 0 : -EIO;
}

int segment_map_read_definitions(
	const struct segment_map *map, size_t offset, void *bytes, size_t size)
{
	size_t begin = wire_definitions_offset(map->info.ring_count, map->info.ring_size);

	return read_at(map->fd, begin + offset, bytes, size);
}

int segment_map_fd(const struct segment_map *map)
{
	return map->fd;
}
