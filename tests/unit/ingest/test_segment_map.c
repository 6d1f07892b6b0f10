/* What is taken over from a worker's segment, and what of it stays what it was. */
#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/buffer.h"
#include "segment_map_fixture.h"

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 8u
#endif

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

START_TEST(a_newer_minor_version_is_accepted)
{
	segment.header->minor = WIRE_MINOR + 7;
	adopt();
	ck_assert_uint_eq(segment_map_info(map)->minor, WIRE_MINOR + 7);
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
	tcase_add_test(t, a_newer_minor_version_is_accepted);
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
	tcase_add_test(t, a_lease_on_the_segment_does_not_stall_the_daemon);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
