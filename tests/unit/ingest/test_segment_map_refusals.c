/* Every reason for which a descriptor is refused, and that a refused one stays the caller's. */
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
#include "segment_map_fixture.h"

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

static Suite *suite(void)
{
	Suite *s = suite_create("segment_map_refusals");
	TCase *t = tcase_create("segment_map_refusals");
	tcase_add_checked_fixture(t, set_up, tear_down);
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
	tcase_add_loop_test(t, geometry_out_of_range_is_refused, 0, 10);
	tcase_add_loop_test(t, other_header_fields_out_of_range_are_refused, 0, 4);
	tcase_add_test(t, opening_what_is_no_segment_has_no_side_effects);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
