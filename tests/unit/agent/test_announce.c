/*
 * Rings and the announce/retire protocol in one thread: what is written, when it is not, and what
 * is counted then. Concurrency is the stress tests' and the model's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "announce.h"
#include "fork_word.h"
#include "heap_map.h"
#include "lease.h"
#include "private_memory.h"
#include "ring_producer.h"
#include "segment.h"
#include "spprof/wire/record.h"
#include "support/tap_main.h"
#include "support/own_segment.h"
#include "thread_state.h"

#define RINGS	  2
#define RING_SIZE WIRE_MIN_RING_SIZE

static struct segment segment;
static struct heap_map map;
static uint64_t tail[RINGS];

static void set_up(void)
{
	size_t size = sizeof(struct wire_slot) << WIRE_MAP_LEVEL0_BITS;

	ck_assert_int_eq(fork_word_make(), 0);
	segment_init_private(&segment);
	ck_assert_int_eq(segment_create(&segment, &(struct segment_facts){.ring_count = RINGS,
							  .ring_size = RING_SIZE,
							  .interval_bytes = 1024,
							  .now_ns = 77}),
		0);
	own_segment(segment.fd);
	ck_assert_int_eq(heap_map_init(&map, private_memory_map(size), size), 0);
	memset(tail, 0, sizeof tail);
}

static uint64_t loss(enum wire_loss reason)
{
	return atomic_load(&segment.header->counters.loss_count[reason]);
}

static uint64_t head(unsigned ring)
{
	return atomic_load(&segment.rings[ring].head);
}

/* The record at `tail` of a ring, copied out; its type, or 0 if there is none. */
static unsigned next_record(unsigned ring, void *out)
{
	uint8_t *data = segment.data + (size_t)ring * RING_SIZE;
	struct wire_record record;

	if (tail[ring] == head(ring))
		return 0;
	for (unsigned i = 0; i < sizeof record; i++)
		((uint8_t *)&record)[i] = data[(tail[ring] + i) % RING_SIZE];
	for (unsigned i = 0; i < record.size; i++)
		((uint8_t *)out)[i] = data[(tail[ring] + i) % RING_SIZE];
	tail[ring] += record.size;
	return record.type;
}

static void consume(unsigned ring)
{
	tail[ring] = head(ring);
	atomic_store(&segment.rings[ring].tail, tail[ring]);
}

static struct wire_slot *born(uintptr_t address, unsigned frames, uint64_t *id)
{
	static union {
		struct wire_birth birth;
		uint8_t bytes[WIRE_RECORD_MAX];
	} record;
	struct heap_map_entry entry = {.address = address,
		.size_bytes = 100,
		.interval_bytes = 1024,
		.birth_ns = 5,
		.tid = 1};
	struct wire_slot *slot = heap_map_insert(&map, &entry);

	record.birth = (struct wire_birth){
		.record = {sizeof record.birth + 8 * frames, WIRE_BIRTH, 0},
		.id = entry.id,
		.size_bytes = 100,
		.interval_bytes = 1024,
		.time_ns = 5,
		.address = address,
		.tid = 1,
		.frame_count = frames,
	};
	for (unsigned i = 0; i < frames; i++)
		record.birth.frames[i] = 0x1000 + i;
	announce_birth(&segment, &map, slot, &record.birth);
	if (id)
		*id = entry.id;
	return slot;
}

static void dies(uintptr_t address)
{
	struct wire_slot *slot = heap_map_take(&map, address);

	ck_assert_ptr_nonnull(slot);
	announce_death(&segment, &map, slot, 6);
}

START_TEST(the_segment_is_sealed_and_of_the_size_that_its_geometry_gives)
{
	off_t size = lseek(segment.fd, 0, SEEK_END);

	ck_assert_int_eq(size, wire_segment_size(RINGS, RING_SIZE));
	ck_assert_int_eq(
		fcntl(segment.fd, F_GET_SEALS) & ~0x20, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL);
	ck_assert_int_ne(ftruncate(segment.fd, 4096), 0);
	ck_assert_int_ge(segment.fd, 900);
	ck_assert_int_eq(fcntl(segment.fd, F_GETFD), FD_CLOEXEC);
	ck_assert(segment_fd_is_ours(&segment));
	ck_assert_uint_eq(segment.header->magic, WIRE_MAGIC);
	ck_assert_uint_eq(segment.header->pid_hint, getpid());
}
END_TEST

START_TEST(a_descriptor_that_was_closed_and_reused_is_not_ours)
{
	int other = open("/dev/null", O_RDONLY);

	ck_assert_int_eq(dup2(other, segment.fd), segment.fd);
	ck_assert(!segment_fd_is_ours(&segment));
}
END_TEST

START_TEST(a_birth_is_told_with_its_frames_and_marks_the_slot)
{
	union {
		struct wire_birth birth;
		uint8_t bytes[WIRE_RECORD_MAX];
	} got;
	uint64_t id;
	struct wire_slot *slot = born(0x4000, 40, &id);

	ck_assert_uint_eq(next_record(0, &got), WIRE_BIRTH);
	ck_assert_uint_eq(got.birth.id, id);
	ck_assert_uint_eq(got.birth.address, 0x4000);
	ck_assert_uint_eq(got.birth.frame_count, 40);
	ck_assert_uint_eq(got.birth.frames[39], 0x1000 + 39);
	ck_assert_uint_eq(next_record(0, &got), 0);
	ck_assert_uint_eq(
		atomic_load(&slot->id_mark), id << WIRE_SLOT_MARK_BITS | heap_map_generation(&map));
	ck_assert_uint_eq(atomic_load(&segment.header->dirty), 1);
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), 1);
	ck_assert_uint_eq(atomic_load(&segment.header->digest), wire_digest(id));
	ck_assert_uint_eq(atomic_load(&segment.rings[0].lease), 0);
}
END_TEST

START_TEST(a_death_names_the_id_and_takes_the_digest_back)
{
	struct wire_death death;
	uint64_t id;

	born(0x4000, 3, &id);
	tail[0] = head(0);
	dies(0x4000);
	ck_assert_uint_eq(next_record(0, &death), WIRE_DEATH);
	ck_assert_uint_eq(death.id, id);
	ck_assert_uint_eq(death.time_ns, 6);
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), 0);
	ck_assert_uint_eq(atomic_load(&segment.header->digest), 0);
	ck_assert_ptr_null(heap_map_take(&map, 0x4000));
}
END_TEST

START_TEST(a_block_retired_while_it_was_announced_is_told_dead_by_one_side)
{
	struct heap_map_entry entry = {.address = 0x4000, .size_bytes = 1, .interval_bytes = 1};
	struct wire_birth birth = {.record = {sizeof birth, WIRE_BIRTH, 0},
		.address = 0x4000,
		.size_bytes = 1,
		.interval_bytes = 1};
	uint8_t got[WIRE_RECORD_MAX];
	struct wire_slot *slot = heap_map_insert(&map, &entry);

	birth.id = entry.id;
	dies(0x4000); /* before the announcement: nothing to take back */
	ck_assert_uint_eq(next_record(0, got), 0);
	ck_assert_ptr_eq(
		born(0x4000, 0, NULL), slot); /* the slot has a new tenant of the same address */
	ck_assert_uint_eq(next_record(0, got), WIRE_BIRTH);
	announce_birth(&segment, &map, slot, &birth); /* the delayed announcer */
	ck_assert_uint_eq(next_record(0, got), WIRE_BIRTH);
	ck_assert_uint_eq(next_record(0, got), WIRE_DEATH);
	ck_assert_uint_eq(((struct wire_death *)got)->id, entry.id);
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), 1);
	dies(0x4000);
	ck_assert_uint_eq(next_record(0, got), WIRE_DEATH);
	ck_assert_uint_eq(((struct wire_death *)got)->id, entry.id + 1);
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), 0);
	ck_assert_uint_eq(atomic_load(&segment.header->digest), 0);
}
END_TEST

START_TEST(records_wrap_around_the_end_of_a_ring)
{
	uint8_t got[WIRE_RECORD_MAX];

	for (unsigned i = 1; i <= 300; i++) {
		born(i * 64, i % 37, NULL);
		ck_assert_uint_eq(next_record(0, got), WIRE_BIRTH);
		ck_assert_uint_eq(((struct wire_birth *)got)->address, i * 64);
		for (unsigned k = 0; k < i % 37; k++)
			ck_assert_uint_eq(((struct wire_birth *)got)->frames[k], 0x1000 + k);
		consume(0);
	}
	ck_assert_uint_gt(head(0), 2 * RING_SIZE);
	ck_assert_uint_eq(head(1), 0);
}
END_TEST

START_TEST(a_full_ring_hands_over_to_the_next_and_full_rings_are_counted)
{
	uint64_t births = 0;

	while (loss(WIRE_LOSS_BIRTH_RING_FULL) == 0)
		born(++births * 64, 100, NULL);
	ck_assert_uint_gt(head(0), 0);
	ck_assert_uint_gt(head(1), 0);
	ck_assert_uint_eq(loss(WIRE_LOSS_BIRTH_RING_FULL), 1);
	/* 100 bytes at an interval of 1024 stand for about 1075 */
	ck_assert_uint_gt(
		atomic_load(&segment.header->counters.loss_bytes[WIRE_LOSS_BIRTH_RING_FULL]), 1060);
	ck_assert_uint_lt(
		atomic_load(&segment.header->counters.loss_bytes[WIRE_LOSS_BIRTH_RING_FULL]), 1090);
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), births - 1);
}
END_TEST

START_TEST(an_unannounced_block_dies_without_a_record)
{
	uint64_t births = 0;

	while (loss(WIRE_LOSS_BIRTH_RING_FULL) == 0)
		born(++births * 64, 100, NULL);
	uint64_t before = head(0) + head(1);
	dies(births * 64);
	ck_assert_uint_eq(head(0) + head(1), before);
	ck_assert_uint_eq(atomic_load(&segment.header->counters.unannounced_dead), 1);
	ck_assert_uint_eq(loss(WIRE_LOSS_DEATH_UNWRITTEN), 0);
}
END_TEST

START_TEST(a_death_without_room_is_counted)
{
	uint64_t births = 0;

	while (loss(WIRE_LOSS_BIRTH_RING_FULL) == 0)
		born(++births * 64, 0, NULL);
	uint64_t victim = 1;
	while (loss(WIRE_LOSS_DEATH_UNWRITTEN) == 0)
		dies(victim++ * 64);
	ck_assert_uint_eq(loss(WIRE_LOSS_DEATH_UNWRITTEN), 1);
}
END_TEST

START_TEST(rings_leased_by_others_are_passed_over)
{
	uint64_t word = lease_try(&segment.rings[0].lease, (uint32_t)getpid(), 1);

	ck_assert_uint_ne(word, 0);
	born(0x4000, 1, NULL);
	ck_assert_uint_eq(head(0), 0);
	ck_assert_uint_gt(head(1), 0);
	uint64_t word1 = lease_try(&segment.rings[1].lease, (uint32_t)getpid(), 1);
	born(0x5000, 1, NULL);
	ck_assert_uint_eq(loss(WIRE_LOSS_BIRTH_NO_RING), 1);
	lease_release(&segment.rings[1].lease, word1);
	lease_release(&segment.rings[0].lease, word);
	born(0x6000, 1, NULL);
	ck_assert_uint_gt(head(0), 0);
}
END_TEST

START_TEST(a_dead_threads_lease_is_reaped_and_a_living_ones_is_not)
{
	pid_t gone = fork();

	if (gone == 0)
		_exit(0);
	waitpid(gone, NULL, 0);
	ck_assert_uint_ne(lease_try(&segment.rings[0].lease, (uint32_t)gone, 1), 0);
	ck_assert_uint_ne(lease_try(&segment.rings[1].lease, (uint32_t)getpid(), 1), 0);
	ring_producer_reap(&segment, UINT64_C(9000000000));
	ck_assert_uint_eq(atomic_load(&segment.rings[0].lease), 0);
	ck_assert_uint_ne(atomic_load(&segment.rings[1].lease), 0);
}
END_TEST

static void *both_ids(void *ids)
{
	((uint32_t *)ids)[0] = thread_state_tid();
	((uint32_t *)ids)[1] = (uint32_t)syscall(SYS_gettid);
	return NULL;
}

START_TEST(a_vfork_child_takes_no_lease_from_its_parent)
{
	thread_state_init();
	ck_assert_uint_ne(lease_try(&segment.rings[0].lease, thread_state_tid(), 1), 0);
	pid_t child = vfork();
	if (child == 0) {
		ring_producer_reap(&segment, UINT64_C(90000000000));
		_exit(0);
	}
	waitpid(child, NULL, 0);
	ck_assert_uint_ne(atomic_load(&segment.rings[0].lease), 0);
}
END_TEST

START_TEST(a_thread_signs_with_the_id_that_the_kernel_knows_it_by)
{
	uint32_t ids[2];
	pthread_t thread;

	thread_state_init();
	thread_state.tid = 0;
	ck_assert_uint_eq(thread_state_tid(), (uint32_t)syscall(SYS_gettid));
	ck_assert_int_eq(pthread_create(&thread, NULL, both_ids, ids), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(ids[0], ids[1]);
}
END_TEST

START_TEST(positions_that_the_other_side_scribbled_on_count_as_full)
{
	atomic_store(&segment.rings[0].tail, UINT64_C(1) << 60);
	atomic_store(&segment.rings[1].tail, UINT64_MAX / 3);
	born(0x4000, 1, NULL);
	ck_assert_uint_eq(loss(WIRE_LOSS_BIRTH_RING_FULL), 1);
	ck_assert_uint_eq(head(0) + head(1), 0);
	atomic_store(&segment.rings[0].tail, 0);
	atomic_store(&segment.rings[0].head, 3);
	born(0x5000, 1, NULL);
	ck_assert_uint_eq(head(0), 3);
}
END_TEST

START_TEST(a_forked_child_writes_nothing_into_its_parents_segment)
{
	pid_t child = fork();
	int status;

	if (child == 0) {
		if (!fork_word_is_child())
			_exit(1);
		born(0x4000, 3, NULL);
		_exit(0);
	}
	waitpid(child, &status, 0);
	ck_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	ck_assert(!fork_word_is_child());
	ck_assert_uint_eq(head(0) + head(1), 0);
	for (unsigned i = 0; i < 512; i++)
		ck_assert_uint_eq(segment.data[i], 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("announce");
	TCase *one = tcase_create("one thread");

	tcase_add_checked_fixture(one, set_up, NULL);
	tcase_add_test(one, the_segment_is_sealed_and_of_the_size_that_its_geometry_gives);
	tcase_add_test(one, a_descriptor_that_was_closed_and_reused_is_not_ours);
	tcase_add_test(one, a_birth_is_told_with_its_frames_and_marks_the_slot);
	tcase_add_test(one, a_death_names_the_id_and_takes_the_digest_back);
	tcase_add_test(one, a_block_retired_while_it_was_announced_is_told_dead_by_one_side);
	tcase_add_test(one, records_wrap_around_the_end_of_a_ring);
	tcase_add_test(one, a_full_ring_hands_over_to_the_next_and_full_rings_are_counted);
	tcase_add_test(one, an_unannounced_block_dies_without_a_record);
	tcase_add_test(one, a_death_without_room_is_counted);
	tcase_add_test(one, rings_leased_by_others_are_passed_over);
	tcase_add_test(one, a_dead_threads_lease_is_reaped_and_a_living_ones_is_not);
	tcase_add_test(one, a_vfork_child_takes_no_lease_from_its_parent);
	tcase_add_test(one, a_thread_signs_with_the_id_that_the_kernel_knows_it_by);
	tcase_add_test(one, positions_that_the_other_side_scribbled_on_count_as_full);
	tcase_add_test(one, a_forked_child_writes_nothing_into_its_parents_segment);
	suite_add_tcase(suite, one);
	return suite;
}

TAP_MAIN(make_suite)
