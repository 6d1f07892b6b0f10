/* Every reason for which a descriptor is refused, and that a refused one stays the caller's. */
#include "config.h"
#include "ingest/segment_map.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buffer.h"
#include "support/fake_segment.h"
#include "support/tap_main.h"

#define RING_SIZE WIRE_MIN_RING_SIZE
#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

static struct fake_segment segment;
static struct segment_map *map;
static const char *why;

static void set_up(void)
{
	fake_segment_init(&segment, 4, RING_SIZE, 0);
	map = NULL;
	why = NULL;
}

static void tear_down(void)
{
	segment_map_free(map);
	fake_segment_deinit(&segment);
}

static void assert_refused(int fd, int error)
{
	ck_assert_int_eq(segment_map_new(&map, fd, &why), error);
	ck_assert_ptr_null(map);
	ck_assert_ptr_nonnull(why);
	ck_assert_int_ge(fcntl(fd, F_GETFD), 0);
	close(fd);
}

static void assert_sealed_is_refused(int error)
{
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	assert_refused(fake_segment_dup(&segment), error);
}

static void adopt(void)
{
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	ck_assert_int_eq(segment_map_new(&map, fake_segment_dup(&segment), NULL), 0);
}

START_TEST(a_good_segment_is_taken_over_with_its_descriptor)
{
	struct stat st;

	segment.header->first_id = 100;
	segment.header->ancestors[3] = (struct wire_ancestor){7, 8, 9, 0};
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	int fd = fake_segment_dup(&segment);
	ck_assert_int_eq(segment_map_new(&map, fd, &why), 0);
	ck_assert_int_eq(segment_map_fd(map), fd);
	fstat(fd, &st);

	const struct segment_info *info = segment_map_info(map);
	ck_assert_uint_eq(info->device, st.st_dev);
	ck_assert_uint_eq(info->inode, st.st_ino);
	ck_assert_uint_eq(info->ring_count, 4);
	ck_assert_uint_eq(info->ring_size, RING_SIZE);
	ck_assert_uint_eq(info->pid_hint, segment.header->pid_hint);
	ck_assert_uint_eq(info->load_ns, 1);
	ck_assert_uint_eq(info->interval_bytes, 512u << 10);
	ck_assert_uint_eq(info->flags, WIRE_FLAG_FROM_START);
	ck_assert_uint_eq(info->first_id, 100);
	ck_assert_uint_eq(info->ancestors[0].load_ns, 0);
	ck_assert_uint_eq(info->ancestors[3].load_ns, 7);
	ck_assert_uint_eq(info->ancestors[3].first_id, 8);
	ck_assert_uint_eq(info->ancestors[3].pid_hint, 9);
	ck_assert(!info->drained_before);
	ck_assert_str_eq(info->agent_version, "test");

	map = segment_map_free(map);
	ck_assert_int_lt(fcntl(fd, F_GETFD), 0);
}
END_TEST

START_TEST(a_segment_sealed_against_execution_is_accepted_too)
{
	int probe = memfd_create("probe", MFD_CLOEXEC | MFD_NOEXEC_SEAL);

	if (probe < 0)
		return; /* before Linux 6.3 there is no such seal */
	close(probe);
	fake_segment_deinit(&segment);
	fake_segment_init(&segment, 4, RING_SIZE, MFD_NOEXEC_SEAL);
	adopt();
}
END_TEST

START_TEST(any_missing_seal_is_refused)
{
	static const int sets[] = {0, F_SEAL_SHRINK | F_SEAL_GROW, F_SEAL_SHRINK | F_SEAL_SEAL,
		F_SEAL_GROW | F_SEAL_SEAL};
	int seals = sets[_i];

	if (seals)
		fake_segment_seal(&segment, seals);
	assert_refused(fake_segment_dup(&segment), -EPERM);
}
END_TEST

START_TEST(a_segment_sealed_against_future_writes_is_refused)
{
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS | 0x10); /* F_SEAL_FUTURE_WRITE */
	assert_refused(fake_segment_dup(&segment), -EPERM);
}
END_TEST

START_TEST(a_segment_sealed_against_writing_is_refused)
{
	munmap(segment.base, segment.size);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS | F_SEAL_WRITE);
	assert_refused(fake_segment_dup(&segment), -EPERM);
	segment.base = mmap(NULL, segment.size, PROT_READ, MAP_PRIVATE, segment.fd, 0);
}
END_TEST

START_TEST(what_is_no_memfd_is_refused)
{
	int fds[2];

	assert_refused(open("/dev/zero", O_RDWR | O_CLOEXEC), -EINVAL);
	assert_refused(open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC), -EINVAL);
	ck_assert_int_eq(pipe(fds), 0);
	assert_refused(fds[0], -EINVAL);
	assert_refused(fds[1], -EINVAL);
	assert_refused(open("/proc/self/fd", O_PATH | O_CLOEXEC), -EINVAL);
	/* a file of a mounted tmpfs can have no seals but F_SEAL_SEAL, others have none */
	FILE *file = tmpfile();
	ck_assert_ptr_nonnull(file);
	int fd = fcntl(fileno(file), F_DUPFD_CLOEXEC, 0);
	fclose(file);
	ck_assert_int_lt(segment_map_new(&map, fd, &why), 0);
	close(fd);
	ck_assert_int_eq(segment_map_new(&map, -1, &why), -EINVAL);
}
END_TEST

START_TEST(a_descriptor_that_cannot_write_is_refused)
{
	char path[64];

	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", segment.fd);
	assert_refused(open(path, O_RDONLY | O_CLOEXEC), -EINVAL);
	assert_refused(open(path, O_PATH | O_CLOEXEC), -EINVAL);
}
END_TEST

START_TEST(huge_pages_are_refused_before_they_are_touched)
{
	int fd = memfd_create(WIRE_MEMFD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_HUGETLB);

	if (fd < 0)
		return; /* no huge page support here */
	ck_assert_int_eq(ftruncate(fd, 2 << 20), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, FAKE_SEGMENT_SEALS), 0);
	assert_refused(fd, -EINVAL);
}
END_TEST

START_TEST(a_file_too_short_for_a_header_is_refused)
{
	static const off_t sizes[] = {0, 1, 4095};
	int fd = memfd_create(WIRE_MEMFD_NAME, MFD_CLOEXEC | MFD_ALLOW_SEALING);

	ck_assert_int_eq(ftruncate(fd, sizes[_i]), 0);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, FAKE_SEGMENT_SEALS), 0);
	assert_refused(fd, -EINVAL);
}
END_TEST

START_TEST(a_size_that_does_not_fit_the_geometry_is_refused)
{
	static const int deltas[] = {-1, 1, -4096, 4096, -(int)RING_SIZE, RING_SIZE};

	ck_assert_int_eq(ftruncate(segment.fd, (off_t)segment.size + deltas[_i]), 0);
	assert_sealed_is_refused(-EINVAL);
}
END_TEST

START_TEST(a_wrong_magic_is_refused)
{
	segment.header->magic ^= 1;
	assert_sealed_is_refused(-EINVAL);
}
END_TEST

START_TEST(another_major_version_is_refused_as_such)
{
	segment.header->major = WIRE_MAJOR + 1;
	assert_sealed_is_refused(-EPROTONOSUPPORT);
}
END_TEST

START_TEST(a_newer_minor_version_is_accepted)
{
	segment.header->minor = WIRE_MINOR + 7;
	adopt();
	ck_assert_uint_eq(segment_map_info(map)->minor, WIRE_MINOR + 7);
}
END_TEST

START_TEST(geometry_out_of_range_is_refused)
{
	static const struct {
		uint32_t ring_count, ring_size;
	} cases[] = {
		{0, RING_SIZE},
		{WIRE_MAX_RINGS + 1, RING_SIZE},
		{UINT32_MAX, RING_SIZE},
		{4, 0},
		{4, RING_SIZE / 2},
		{4, RING_SIZE + 8},
		{4, WIRE_MAX_RING_SIZE * 2},
		{4, UINT32_MAX},
		{3, RING_SIZE}, /* plausible, but not this file's */
		{4, RING_SIZE * 2},
	};

	segment.header->ring_count = cases[_i].ring_count;
	segment.header->ring_size = cases[_i].ring_size;
	assert_sealed_is_refused(-EINVAL);
}
END_TEST

START_TEST(other_header_fields_out_of_range_are_refused)
{
	switch (_i) {
	case 0:
		segment.header->header_size = 4095;
		break;
	case 1:
		segment.header->maps_size = WIRE_MAPS_MAX + 1;
		break;
	case 2:
		segment.header->interval_bytes = 0;
		break;
	case 3:
		segment.header->interval_bytes = (UINT64_C(1) << 62) + 1;
		break;
	}
	assert_sealed_is_refused(-EINVAL);
}
END_TEST

START_TEST(a_version_without_end_is_cut_and_cleaned)
{
	memset(segment.header->agent_version, 'x', sizeof(segment.header->agent_version));
	segment.header->agent_version[3] = '\033';
	segment.header->agent_version[4] = '\n';
	adopt();
	ck_assert_str_eq(segment_map_info(map)->agent_version, "xxx??xxxxxxxxxxxxxxxxxxxxxxxxxxx");
}
END_TEST

START_TEST(what_the_worker_changes_later_changes_nothing_here)
{
	adopt();
	memset(segment.header, 0xff, 256);
	ck_assert_uint_eq(segment_map_info(map)->ring_count, 4);
	ck_assert_uint_eq(segment_map_info(map)->ring_size, RING_SIZE);
	struct buffer text = BUFFER_INIT;
	ck_assert_int_eq(segment_map_maps_text(map, &text), 0);
	ck_assert_uint_eq(text.size, 0);
	buffer_deinit(&text);
}
END_TEST

START_TEST(a_tail_that_has_moved_tells_of_an_earlier_daemon)
{
	fake_segment_seek(&segment, 3, 64);
	adopt();
	ck_assert(segment_map_info(map)->drained_before);
}
END_TEST

START_TEST(counters_are_copied)
{
	struct segment_counters counters;
	_Atomic uint64_t *words = (_Atomic uint64_t *)&segment.header->counters;

	for (unsigned i = 0; i < sizeof(struct wire_counters) / 8; i++)
		atomic_store_explicit(&words[i], i + 1, memory_order_relaxed);
	atomic_store_explicit(&segment.header->live_count, 91, memory_order_relaxed);
	atomic_store_explicit(&segment.header->digest, 92, memory_order_relaxed);
	atomic_store_explicit(&segment.header->map_levels, 3, memory_order_relaxed);
	adopt();
	segment_map_counters(map, &counters);
	ck_assert_uint_eq(counters.samples, 1);
	ck_assert_uint_eq(counters.sampled_deaths, 2);
	ck_assert_uint_eq(counters.unannounced_dead, 3);
	ck_assert_uint_eq(counters.missed_frees, 4);
	ck_assert_uint_eq(counters.filter_positives, 5);
	ck_assert_uint_eq(counters.filter_false, 6);
	ck_assert_uint_eq(counters.map_collisions, 7);
	ck_assert_uint_eq(counters.rule_misses, 8);
	ck_assert_uint_eq(counters.services, 9);
	ck_assert_uint_eq(counters.interval_bytes, 10);
	ck_assert_uint_eq(counters.map_slots, 11);
	ck_assert_uint_eq(counters.filter_cells_used, 12);
	for (unsigned i = 0; i < WIRE_LOSS_KINDS; i++) {
		ck_assert_uint_eq(counters.loss_count[i], 13 + i);
		ck_assert_uint_eq(counters.loss_bytes[i], 13 + WIRE_LOSS_KINDS + 2 + i);
	}
	ck_assert_uint_eq(counters.live_count, 91);
	ck_assert_uint_eq(counters.digest, 92);
	unsigned next = 13 + 2 * (WIRE_LOSS_KINDS + 2);
	ck_assert_uint_eq(counters.filter_saturated, next);
	ck_assert_uint_eq(counters.stacks, next + 1);
	ck_assert_uint_eq(counters.stack_blocks, next + 2);
	ck_assert_uint_eq(counters.stacks_not_kept, next + 3);
	ck_assert_uint_eq(counters.resync_slices, next + 4);
	ck_assert_uint_eq(counters.resync_slots, next + 5);
	ck_assert_uint_eq(counters.resync_lives, next + 6);
	ck_assert_uint_eq(counters.resync_refused, next + 7);
	ck_assert_uint_eq(counters.audits, next + 8);
	ck_assert_uint_eq(counters.audits_dropped, next + 9);
	ck_assert_uint_eq(counters.audits_foreign, next + 10);
	ck_assert_uint_eq(counters.map_levels, 3);
}
END_TEST

START_TEST(control_words_reach_the_worker)
{
	struct wire_control *control = &segment.header->control;

	/* relaxed: one thread */
	atomic_store_explicit(&control->resync, 41, memory_order_relaxed);
	adopt();
	ck_assert_uint_eq(segment_map_requested_resync(map), 41);
	segment_map_request_resync(map, 42);
	ck_assert_uint_eq(atomic_load_explicit(&control->resync, memory_order_relaxed), 42);
	segment_map_set_control(map, 65536, true);
	ck_assert_uint_eq(
		atomic_load_explicit(&control->interval_bytes, memory_order_relaxed), 65536);
	ck_assert_uint_eq(
		atomic_load_explicit(&control->flags, memory_order_relaxed), WIRE_CONTROL_STOP);
	segment_map_set_control(map, 0, false);
	ck_assert_uint_eq(atomic_load_explicit(&control->interval_bytes, memory_order_relaxed), 0);
	ck_assert_uint_eq(atomic_load_explicit(&control->flags, memory_order_relaxed), 0);
	ck_assert_uint_eq(atomic_load_explicit(&control->resync, memory_order_relaxed), 42);
}
END_TEST

START_TEST(the_maps_text_is_appended_whole)
{
	struct buffer text = BUFFER_INIT;

	fake_segment_maps(&segment, "55-56 r-xp 0 0:0 0 /bin/x\n");
	adopt();
	buffer_puts(&text, "before ");
	ck_assert_int_eq(segment_map_maps_text(map, &text), 0);
	buffer_putc(&text, '\0');
	ck_assert_str_eq((char *)text.data, "before 55-56 r-xp 0 0:0 0 /bin/x\n");
	buffer_deinit(&text);
}
END_TEST

START_TEST(the_dirty_word_is_taken_once)
{
	adopt();
	ck_assert_uint_eq(segment_map_take_dirty(map), 0);
	atomic_store_explicit(&segment.header->dirty, 5, memory_order_relaxed);
	ck_assert_uint_eq(segment_map_take_dirty(map), 5);
	ck_assert_uint_eq(segment_map_take_dirty(map), 0);
}
END_TEST

START_TEST(reading_a_sparse_segment_allocates_nothing_but_the_header_pages)
{
	static uint8_t bytes[RING_SIZE];
	struct segment_counters counters;
	struct buffer text = BUFFER_INIT;
	struct stat st;

	segment.header->maps_size = WIRE_MAPS_MAX;
	adopt();
	for (uint32_t i = 0; i < segment.ring_count; i++) {
		size_t offset = wire_ring_data_offset(RING_SIZE, i);
		ck_assert_int_eq(segment_map_read(map, offset, bytes, sizeof(bytes)), 0);
	}
	ck_assert_int_eq(segment_map_maps_text(map, &text), 0);
	segment_map_counters(map, &counters);
	ck_assert_int_eq(fstat(segment.fd, &st), 0);
	/* whole pages, and with 64 KiB pages the three rounded up are one */
	long page = sysconf(_SC_PAGESIZE);
	long mapped = ((long)WIRE_MAPPED_SIZE + page - 1) / page * page;
	ck_assert_int_le(st.st_blocks * 512, mapped);
	buffer_deinit(&text);
}
END_TEST

START_TEST(reading_past_the_end_is_an_error)
{
	uint64_t word;

	adopt();
	ck_assert_int_eq(segment_map_read(map, segment.size - 8, &word, 8), 0);
	ck_assert_int_eq(segment_map_read(map, segment.size - 4, &word, 8), -EIO);
}
END_TEST

static const char *fd_name(int fd)
{
	static char name[16];

	snprintf(name, sizeof(name), "%d", fd);
	return name;
}

START_TEST(a_segment_is_found_through_a_process_descriptors)
{
	int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	ck_assert_int_eq(segment_map_open(&map, dir, fd_name(segment.fd), &why), 0);
	ck_assert_int_ne(segment_map_fd(map), segment.fd);
	ck_assert_uint_eq(segment_map_info(map)->ring_count, 4);
	close(dir);
}
END_TEST

START_TEST(opening_what_is_no_segment_has_no_side_effects)
{
	int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fds[2];

	/* an end of a pipe would be opened for the other end's readers, a lease would be broken */
	ck_assert_int_eq(pipe(fds), 0);
	ck_assert_int_eq(segment_map_open(&map, dir, fd_name(fds[0]), &why), -EINVAL);
	ck_assert_int_eq(segment_map_open(&map, dir, fd_name(dir), &why), -EINVAL);
	int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
	ck_assert_int_eq(segment_map_open(&map, dir, fd_name(zero), &why), -EINVAL);
	int self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(segment_map_open(&map, dir, fd_name(self), &why), -EINVAL);
	ck_assert_int_eq(segment_map_open(&map, dir, "99999", &why), -ENOENT);
	/* an unsealed memfd passes the first gate and fails the second */
	ck_assert_int_eq(segment_map_open(&map, dir, fd_name(segment.fd), &why), -EPERM);
	ck_assert_ptr_null(map);
	close(self);
	close(zero);
	close(fds[0]);
	close(fds[1]);
	close(dir);
}
END_TEST

START_TEST(a_lease_on_the_segment_does_not_stall_the_daemon)
{
	char path[64];
	int dir = open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", segment.fd);
	int reader = open(path, O_RDONLY | O_CLOEXEC);
	close(segment.fd); /* who still had it open for writing could take no lease */
	segment.fd = reader;
	signal(SIGIO, SIG_IGN);
	ck_assert_int_eq(fcntl(reader, F_SETLEASE, F_RDLCK), 0);
	ck_assert_int_eq(segment_map_open(&map, dir, fd_name(reader), &why), -EAGAIN);
	close(dir);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("segment_map");
	TCase *t = tcase_create("segment_map");

	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, a_good_segment_is_taken_over_with_its_descriptor);
	tcase_add_test(t, a_segment_sealed_against_execution_is_accepted_too);
	tcase_add_loop_test(t, any_missing_seal_is_refused, 0, 4);
	tcase_add_test(t, a_segment_sealed_against_future_writes_is_refused);
	tcase_add_test(t, a_segment_sealed_against_writing_is_refused);
	tcase_add_test(t, what_is_no_memfd_is_refused);
	tcase_add_test(t, a_descriptor_that_cannot_write_is_refused);
	tcase_add_test(t, huge_pages_are_refused_before_they_are_touched);
	tcase_add_loop_test(t, a_file_too_short_for_a_header_is_refused, 0, 3);
	tcase_add_loop_test(t, a_size_that_does_not_fit_the_geometry_is_refused, 0, 6);
	tcase_add_test(t, a_wrong_magic_is_refused);
	tcase_add_test(t, another_major_version_is_refused_as_such);
	tcase_add_test(t, a_newer_minor_version_is_accepted);
	tcase_add_loop_test(t, geometry_out_of_range_is_refused, 0, 10);
	tcase_add_loop_test(t, other_header_fields_out_of_range_are_refused, 0, 4);
	tcase_add_test(t, a_version_without_end_is_cut_and_cleaned);
	tcase_add_test(t, what_the_worker_changes_later_changes_nothing_here);
	tcase_add_test(t, a_tail_that_has_moved_tells_of_an_earlier_daemon);
	tcase_add_test(t, counters_are_copied);
	tcase_add_test(t, control_words_reach_the_worker);
	tcase_add_test(t, the_maps_text_is_appended_whole);
	tcase_add_test(t, the_dirty_word_is_taken_once);
	tcase_add_test(t, reading_a_sparse_segment_allocates_nothing_but_the_header_pages);
	tcase_add_test(t, reading_past_the_end_is_an_error);
	tcase_add_test(t, a_segment_is_found_through_a_process_descriptors);
	tcase_add_test(t, opening_what_is_no_segment_has_no_side_effects);
	tcase_add_test(t, a_lease_on_the_segment_does_not_stall_the_daemon);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
