/* Telling the map again: what lives is told once with its stack, in turns, with room left for
 * others. */
#include <string.h>
#include <stdlib.h>
#include "announce.h"
#include "fork_word.h"
#include "heap_map.h"
#include "record_encode.h"
#include "resync.h"
#include "ring_producer.h"
#include "sampler.h"
#include "stack_store.h"
#include "support/own_segment.h"
#include "support/tap_main.h"

#define RINGS	  2u
#define RING_SIZE (16u << 10)
#define MAX_TOLD  100000u

static struct segment segment;
static struct heap_map map;
static struct stack_store stacks;
static struct resync resync;
static struct resync_parts parts = {.segment = &segment, .map = &map, .stacks = &stacks};

/* What was read from the rings, in order. */
static struct told {
	uint16_t type, flags, frames;
	uint32_t epoch, lives;
	uint64_t id, first_frame;
} told[MAX_TOLD];
static unsigned told_count;

static void set_up(void)
{
	sampler_init(&(struct sampler_settings){.interval_bytes = 1024});
	ck_assert_int_eq(fork_word_make(), 0);
	segment_init_private(&segment);
	ck_assert_int_eq(segment_create(&segment, &(struct segment_facts){.ring_count = RINGS,
							  .ring_size = RING_SIZE,
							  .generation = 1,
							  .interval_bytes = 1024,
							  .now_ns = 1}),
		0);
	own_segment(segment.fd);
	ck_assert_int_eq(heap_map_init(&map, calloc(1, 4 << 20), 4 << 20), 0);
	ck_assert_int_eq(stack_store_init(&stacks, calloc(1, 1 << 20), 1 << 20), 0);
	told_count = 0;
}

static uint32_t stack_of(unsigned seed)
{
	uint8_t scratch[STACK_STORE_SCRATCH];
	uint64_t frames[3] = {0x400000 + seed, 0x400100, 0x400200};
	struct stack_view view = {.frames = frames, .frame_count = 3};

	return stack_store_intern(&stacks, &view, scratch);
}

/* A block in the map that nobody was told of. */
static struct wire_slot *silent(uintptr_t address, uint32_t stack, uint64_t *id)
{
	struct heap_map_entry entry = {.address = address,
		.size_bytes = 100,
		.interval_bytes = 1024,
		.birth_ns = 5,
		.stack_ref = stack,
		.tid = 7};
	struct wire_slot *slot = heap_map_insert(&map, &entry);

	ck_assert_ptr_nonnull(slot);
	if (id)
		*id = entry.id;
	return slot;
}

static void announced(uintptr_t address)
{
	uint64_t id;
	struct wire_slot *slot = silent(address, 0, &id);
	struct heap_map_entry entry;
	struct wire_birth birth;

	ck_assert(heap_map_read(&map, slot, &entry));
	record_encode_birth(&birth, &entry, NULL, 0);
	announce_birth(&segment, &map, slot, &birth);
}

static void take(unsigned ring, uint64_t at, void *out, size_t size)
{
	const uint8_t *data = segment.data + (size_t)ring * RING_SIZE;

	for (size_t i = 0; i < size; i++)
		((uint8_t *)out)[i] = data[(at + i) % RING_SIZE];
}

static void note(unsigned ring, uint64_t at, const struct wire_record *record)
{
	union {
		struct wire_birth birth;
		struct wire_death death;
		struct wire_end end;
		uint8_t bytes[WIRE_RECORD_MAX];
	} r;
	struct told *t = &told[told_count++];

	ck_assert_uint_lt(told_count, MAX_TOLD);
	take(ring, at, &r, record->size);
	*t = (struct told){.type = record->type, .flags = record->flags};
	switch (record->type) {
	case WIRE_END:
		t->epoch = r.end.epoch;
		t->lives = r.end.lives;
		break;
	case WIRE_DEATH:
		t->id = r.death.id;
		t->epoch = r.death.epoch;
		break;
	default:
		t->id = r.birth.id;
		t->epoch = r.birth.epoch;
		t->frames = r.birth.frame_count;
		t->first_frame = r.birth.frame_count ? r.birth.frames[0] : 0;
	}
}

static void drain(void)
{
	for (unsigned ring = 0; ring < RINGS; ring++) {
		uint64_t head = atomic_load(&segment.rings[ring].head);
		uint64_t tail = atomic_load(&segment.rings[ring].tail);

		while (tail != head) {
			struct wire_record record;

			take(ring, tail, &record, sizeof record);
			note(ring, tail, &record);
			tail += record.size;
		}
		atomic_store(&segment.rings[ring].tail, tail);
	}
}

static unsigned count_told(uint16_t type, uint32_t epoch)
{
	unsigned n = 0;

	for (unsigned i = 0; i < told_count; i++)
		n += told[i].type == type && told[i].epoch == epoch;
	return n;
}

static unsigned times_told(uint16_t type, uint64_t id)
{
	unsigned n = 0;

	for (unsigned i = 0; i < told_count; i++)
		n += told[i].type == type && told[i].id == id;
	return n;
}

static void ask(uint32_t epoch)
{
	atomic_store(&segment.header->control.resync, epoch);
}

/* Turns, drained after each, until all is told. */
static unsigned tell_all(void)
{
	unsigned turns = 0;

	for (; resync_is_due(&resync, &segment); turns++) {
		ck_assert_uint_lt(turns, 100000);
		resync_turn(&resync, &parts);
		drain();
	}
	return turns;
}

START_TEST(nothing_is_told_unasked)
{
	silent(0x1000, 0, NULL);
	ck_assert(!resync_is_due(&resync, &segment));
	resync_turn(&resync, &parts);
	ask(WIRE_EPOCH_MAX + 1); /* nonsense in a word that others can write */
	ck_assert(!resync_is_due(&resync, &segment));
	resync_turn(&resync, &parts);
	drain();
	ck_assert_uint_eq(told_count, 0);
}
END_TEST

START_TEST(what_lives_is_told_once_with_its_stack_and_then_the_end)
{
	enum { BLOCKS = 1000 };
	uint64_t ids[BLOCKS];

	for (unsigned i = 0; i < BLOCKS; i++)
		silent(0x10000 + i * 0x110, stack_of(i), &ids[i]);
	for (unsigned i = 0; i < BLOCKS; i += 2) {
		struct wire_slot *slot = heap_map_take(&map, 0x10000 + i * 0x110);

		announce_death(&segment, &map, slot, 9);
	}
	ask(3);
	tell_all();
	ck_assert_uint_eq(count_told(WIRE_LIVE, 3), BLOCKS / 2);
	ck_assert_uint_eq(count_told(WIRE_END, 3), 1);
	ck_assert_uint_eq(told[told_count - 1].type, WIRE_END);
	ck_assert_uint_eq(told[told_count - 1].lives, BLOCKS / 2);
	ck_assert_uint_eq(count_told(WIRE_DEATH, 0), 0); /* nobody knew of them */
	for (unsigned i = 0; i < BLOCKS; i++)
		ck_assert_uint_eq(times_told(WIRE_LIVE, ids[i]), i % 2);
	for (unsigned i = 0; i < told_count; i++)
		if (told[i].type == WIRE_LIVE) {
			ck_assert_uint_eq(told[i].frames, 3);
			ck_assert_uint_eq(told[i].first_frame, 0x400000 + told[i].id - ids[0]);
		}
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), BLOCKS / 2);
	ck_assert(!resync_is_due(&resync, &segment));
}
END_TEST

START_TEST(what_was_announced_before_is_told_again_and_counted_once)
{
	for (unsigned i = 0; i < 20; i++)
		announced(0x1000 + i * 64);
	uint64_t digest = atomic_load(&segment.header->digest);
	drain();
	ask(1);
	tell_all();
	ask(2);
	tell_all();
	ck_assert_uint_eq(count_told(WIRE_LIVE, 1), 20);
	ck_assert_uint_eq(count_told(WIRE_LIVE, 2), 20);
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), 20);
	ck_assert_uint_eq(atomic_load(&segment.header->digest), digest);
}
END_TEST

START_TEST(a_turn_looks_at_64_slots_at_most)
{
	for (unsigned i = 0; i < 3000; i++)
		silent(0x10000 + i * 0x110, 0, NULL);
	struct wire_counters *counters = &segment.header->counters;
	uint64_t before = 0;
	ask(1);
	while (resync_is_due(&resync, &segment)) {
		resync_turn(&resync, &parts);
		uint64_t seen = atomic_load(&counters->resync_slots);

		ck_assert_uint_le(seen - before, WIRE_SLICE_SLOTS);
		before = seen;
		drain();
	}
	ck_assert_uint_ge(before, heap_map_slots_in_use(&map));
	ck_assert_uint_eq(atomic_load(&counters->resync_lives), 3000);
}
END_TEST

START_TEST(turns_come_more_often_while_one_is_open)
{
	for (unsigned i = 0; i < 100; i++)
		silent(0x10000 + i * 0x110, 0, NULL);
	ck_assert_uint_eq(sampler_tick(), SAMPLER_TICK);
	ask(1);
	resync_turn(&resync, &parts);
	ck_assert_uint_eq(sampler_tick(), SAMPLER_TICK_OPEN);
	tell_all();
	ck_assert_uint_eq(sampler_tick(), SAMPLER_TICK);
}
END_TEST

START_TEST(half_of_each_ring_is_left_to_others_and_nothing_is_missed_for_it)
{
	enum { BLOCKS = 2000 };

	for (unsigned i = 0; i < BLOCKS; i++)
		silent(0x10000 + i * 0x110, stack_of(i), NULL);
	ask(1);
	for (unsigned i = 0; i < 1000; i++)
		resync_turn(&resync, &parts);
	for (unsigned ring = 0; ring < RINGS; ring++)
		ck_assert_uint_le(atomic_load(&segment.rings[ring].head), RING_SIZE / 2);
	ck_assert_uint_gt(atomic_load(&segment.header->counters.resync_refused), 0);
	ck_assert(resync_is_due(&resync, &segment));
	drain();
	tell_all();
	ck_assert_uint_eq(count_told(WIRE_LIVE, 1), BLOCKS);
	ck_assert_uint_eq(told[told_count - 1].lives, BLOCKS);
	for (unsigned i = 0; i < WIRE_LOSS_KINDS; i++)
		ck_assert_uint_eq(atomic_load(&segment.header->counters.loss_count[i]), 0);
}
END_TEST

START_TEST(while_rings_are_full_the_tick_is_long_again)
{
	for (unsigned i = 0; i < 2000; i++)
		silent(0x10000 + i * 0x110, stack_of(i), NULL);
	ask(1);
	for (unsigned i = 0; i < 1000; i++)
		resync_turn(&resync, &parts);
	ck_assert_uint_eq(sampler_tick(), SAMPLER_TICK);
	drain();
	tell_all();
	ck_assert_uint_eq(count_told(WIRE_LIVE, 1), 2000);
}
END_TEST

START_TEST(a_new_epoch_begins_anew)
{
	for (unsigned i = 0; i < 500; i++)
		silent(0x10000 + i * 0x110, 0, NULL);
	ask(1);
	for (unsigned i = 0; i < 10; i++)
		resync_turn(&resync, &parts);
	ask(2);
	tell_all();
	ck_assert_uint_eq(count_told(WIRE_END, 1), 0);
	ck_assert_uint_eq(count_told(WIRE_LIVE, 2), 500);
	ck_assert_uint_eq(told[told_count - 1].epoch, 2);
}
END_TEST

START_TEST(a_block_in_the_middle_of_its_realloc_is_told)
{
	uint64_t id;

	silent(0x1000, 0, &id);
	ck_assert_ptr_nonnull(heap_map_suspend(&map, 0x1000));
	ask(1);
	tell_all();
	ck_assert_uint_eq(times_told(WIRE_LIVE, id), 1);
}
END_TEST

START_TEST(a_death_that_stalls_before_it_tells_counts_as_living_if_it_was_announced)
{
	uint64_t unknown;

	announced(0x1000);
	silent(0x2000, 0, &unknown);
	drain();
	struct wire_slot *stalled = heap_map_take(&map, 0x1000);
	heap_map_take(&map, 0x2000);
	ask(1);
	tell_all();
	/* The digest counts the one and not the other. */
	ck_assert_uint_eq(count_told(WIRE_LIVE, 1), 1);
	ck_assert_uint_eq(times_told(WIRE_LIVE, unknown), 0);
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), 1);
	announce_death(&segment, &map, stalled, 9);
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), 0);
}
END_TEST

START_TEST(a_stack_that_was_not_kept_is_told_as_such)
{
	uint64_t without, with;

	silent(0x1000, 0, &without);
	silent(0x2000, stack_of(1), &with);
	ask(1);
	tell_all();
	for (unsigned i = 0; i < told_count; i++)
		if (told[i].type == WIRE_LIVE)
			ck_assert_uint_eq(
				told[i].flags, told[i].id == without ? WIRE_STACK_NOT_KEPT : 0);
	ck_assert_uint_eq(times_told(WIRE_LIVE, with), 1);
}
END_TEST

START_TEST(an_empty_map_ends_at_once_and_levels_are_all_told)
{
	ask(1);
	tell_all();
	ck_assert_uint_eq(told[0].type, WIRE_END);
	ck_assert_uint_eq(told[0].lives, 0);
	/* More than the first level holds. */
	for (unsigned i = 0; i < 20000; i++)
		silent(0x10000 + i * 0x110, 0, NULL);
	ck_assert_uint_gt(heap_map_slots_in_use(&map), 1u << WIRE_MAP_LEVEL0_BITS);
	ask(2);
	tell_all();
	ck_assert_uint_eq(count_told(WIRE_LIVE, 2), 20000);
}
END_TEST

START_TEST(after_a_fork_what_the_parent_announced_is_announced_anew)
{
	for (unsigned i = 0; i < 10; i++)
		announced(0x1000 + i * 64);
	drain();
	/* As the child does it, in a segment of its own. */
	heap_map_settle(&map, 2);
	resync_reset(&resync);
	atomic_store(&segment.header->live_count, 0);
	atomic_store(&segment.header->digest, 0);
	told_count = 0;
	ask(1);
	tell_all();
	ck_assert_uint_eq(count_told(WIRE_LIVE, 1), 10);
	ck_assert_uint_eq(atomic_load(&segment.header->live_count), 10);
}
END_TEST

static Suite *resync_suite(void)
{
	Suite *suite = suite_create("resync");
	TCase *tell = tcase_create("tell");

	tcase_add_checked_fixture(tell, set_up, NULL);
	tcase_add_test(tell, nothing_is_told_unasked);
	tcase_add_test(tell, what_lives_is_told_once_with_its_stack_and_then_the_end);
	tcase_add_test(tell, what_was_announced_before_is_told_again_and_counted_once);
	tcase_add_test(tell, a_turn_looks_at_64_slots_at_most);
	tcase_add_test(tell, turns_come_more_often_while_one_is_open);
	tcase_add_test(tell, half_of_each_ring_is_left_to_others_and_nothing_is_missed_for_it);
	tcase_add_test(tell, while_rings_are_full_the_tick_is_long_again);
	tcase_add_test(tell, a_new_epoch_begins_anew);
	tcase_add_test(tell, a_block_in_the_middle_of_its_realloc_is_told);
	tcase_add_test(
		tell, a_death_that_stalls_before_it_tells_counts_as_living_if_it_was_announced);
	tcase_add_test(tell, a_stack_that_was_not_kept_is_told_as_such);
	tcase_add_test(tell, an_empty_map_ends_at_once_and_levels_are_all_told);
	tcase_add_test(tell, after_a_fork_what_the_parent_announced_is_announced_anew);
	suite_add_tcase(suite, tell);
	return suite;
}

TAP_MAIN(resync_suite)
