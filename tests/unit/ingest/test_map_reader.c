/* A heap map and its stacks laid out in memory of the test's own, and read as a worker's. */
#include "config.h"
#include "ingest/map_reader.h"
#include <errno.h>
#include <string.h>
#include "base/buffer.h"
#include "ingest/map_decode.h"
#include "ingest/segment_map.h"
#include "support/fake_map.h"
#include "support/tap_main.h"

#define GENERATION 3u
#define EPOCH	   9u

static struct fake_map map;
static struct map_reader *reader;
static struct map_reader_stats stats;
static struct {
	bool announced;
	union {
		struct wire_birth entry;
		uint8_t bytes[WIRE_RECORD_MAX];
	};
} got[64];
static unsigned count;
static bool want_stacks;
static void (*before_read)(uint64_t address, size_t size);

static int copy(uint64_t address, void *bytes, size_t size, void *data)
{
	(void)data;
	if (before_read)
		before_read(address, size);
	return fake_map_read(&map, address, bytes, size);
}

static const struct map_source source = {copy, NULL};

/* The next slice, at most `room` bytes of it. */
static int read_some(uint32_t levels, size_t room)
{
	static struct buffer records;
	uint8_t wanted[(MAP_READER_SLOTS + 7) / 8];
	const uint64_t *ids;
	uint32_t living;
	int r = map_reader_look(reader, levels, &ids, &living);
	if (r < 0)
		return r;
	memset(wanted, want_stacks ? 0xff : 0, sizeof(wanted));
	buffer_clear(&records);
	r = map_reader_read(reader, wanted, EPOCH, room, &records);
	ck_assert_uint_le(records.size, room);
	for (size_t at = 0; at < records.size; count++) {
		const struct wire_birth *entry = (const void *)(records.data + at);
		ck_assert_uint_eq(entry->epoch, EPOCH);
		memcpy(got[count].bytes, entry, entry->record.size);
		got[count].announced = entry->record.type == WIRE_LIVE;
		at += entry->record.size;
	}
	return r;
}

static void setup(void)
{
	fake_map_init(&map, 2);
	want_stacks = true;
	before_read = NULL;
	count = 0;
}

static void teardown(void)
{
	reader = map_reader_free(reader);
	fake_map_deinit(&map);
}

static struct segment_map_places places_of_map(void)
{
	return (struct segment_map_places){
		.map_address = (uint64_t)(uintptr_t)map.slots,
		.stacks_address = (uint64_t)(uintptr_t)map.stacks,
		.blocks_address = (uint64_t)(uintptr_t)map.blocks,
		.stack_count = FAKE_MAP_STACKS,
		.block_count = FAKE_MAP_BLOCKS,
		.generation = GENERATION,
	};
}

static int read_all(const struct segment_map_places *places, uint32_t levels)
{
	int r;
	ck_assert_int_eq(map_reader_new(&reader, places, &source), 0);
	do
		r = read_some(levels, 64u << 10);
	while (r == 1);
	map_reader_stats(reader, &stats);
	return r;
}

static int read_it(void)
{
	struct segment_map_places places = places_of_map();
	return read_all(&places, 2);
}

START_TEST(what_lives_is_found_with_its_stack)
{
	uint64_t frames[WIRE_MAX_FRAMES];
	for (unsigned i = 0; i < WIRE_MAX_FRAMES; i++)
		frames[i] = UINT64_C(0x7f0000000000) + (i % 2 ? i * 0x123456 : -(uint64_t)i * 99);
	for (unsigned depth = 0; depth <= 9; depth++)
		fake_map_set(&map, depth * 2500, 100 + depth, GENERATION, frames,
			depth == 9 ? WIRE_MAX_FRAMES : depth);
	ck_assert_int_eq(read_it(), 0);
	ck_assert_uint_eq(count, 10);
	ck_assert_uint_eq(stats.slots, map_decode_slots(2));
	ck_assert_uint_eq(stats.found, 10);
	ck_assert_uint_eq(stats.secret + stats.moved + stats.lost_stacks, 0);
	for (unsigned i = 0; i < 10; i++) {
		const struct wire_birth *entry = &got[i].entry;
		ck_assert_uint_eq(entry->id, 100 + i);
		ck_assert_uint_eq(entry->size_bytes, (100 + i) * 16);
		ck_assert_uint_eq(entry->interval_bytes, 512u << 10);
		ck_assert_uint_eq(entry->frame_count, i == 9 ? WIRE_MAX_FRAMES : i);
		ck_assert_mem_eq(
			got[i].entry.frames, frames, entry->frame_count * sizeof(frames[0]));
		ck_assert(got[i].announced);
	}
}
END_TEST

START_TEST(the_states_of_a_slot_say_what_lives)
{
	static const struct {
		uint64_t tag;
		uint32_t mark;
		int found, secret;
	} cases[] = {
		{WIRE_SLOT_EMPTY, 0, 0, 0},
		{WIRE_SLOT_TOMB, 0, 0, 0},
		{WIRE_SLOT_BUSY, 0, 0, 0},
		{WIRE_SLOT_BUSY, GENERATION - 1, 0, 0},
		{WIRE_SLOT_BUSY, GENERATION, 1, 0}, /* a death that has not been told */
		{WIRE_SLOT_FINAL, GENERATION, 1, 0},
		{WIRE_SLOT_LIMBO, GENERATION, 1, 0},
		{WIRE_SLOT_FINAL, 0, 1, 1},
		{WIRE_SLOT_FINAL, GENERATION - 1, 1, 1}, /* told by the parent */
		{WIRE_SLOT_LIMBO, 0, 1, 1},
	};
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		count = 0;
		fake_map_set(&map, 5, 7, cases[i].mark, NULL, 0);
		fake_map_set_key(&map, 5, cases[i].tag);
		ck_assert_int_eq(read_it(), 0);
		ck_assert_msg(stats.found == (uint64_t)cases[i].found, "case %u", i);
		ck_assert_msg(stats.secret == (uint64_t)cases[i].secret, "case %u", i);
		reader = map_reader_free(reader);
	}
}
END_TEST

static void reuse_the_slot(uint64_t address, size_t size)
{
	(void)address;
	if (size == sizeof(struct wire_slot)) /* the second look */
		fake_map_set(&map, 5, 8, GENERATION, NULL, 0);
}

START_TEST(an_entry_that_changes_while_it_is_read_is_left_out)
{
	fake_map_set(&map, 5, 7, GENERATION, NULL, 0);
	before_read = reuse_the_slot;
	ck_assert_int_eq(read_it(), 0);
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(stats.moved, 1);
}
END_TEST

static void complete_the_slot(uint64_t address, size_t size)
{
	(void)address;
	if (size == sizeof(struct wire_slot)) /* relaxed: one thread */
		atomic_store_explicit(&map.slots[5].size_bytes, 48, memory_order_relaxed);
}

START_TEST(an_id_beside_the_fields_of_its_predecessor_is_left_out)
{
	fake_map_set(&map, 5, 7, GENERATION, NULL, 0);
	before_read = complete_the_slot;
	ck_assert_int_eq(read_it(), 0);
	ck_assert_uint_eq(count, 0);
	ck_assert_uint_eq(stats.moved, 1);
}
END_TEST

START_TEST(stacks_of_known_ids_are_not_read)
{
	fake_map_set(&map, 5, 7, GENERATION, (uint64_t[]){1, 2, 3}, 3);
	want_stacks = false;
	ck_assert_int_eq(read_it(), 0);
	ck_assert_uint_eq(count, 1);
	ck_assert_uint_eq(got[0].entry.frame_count, 0);
	/* slices, and the second look */
	ck_assert_uint_eq(stats.reads, 1 + (map_decode_slots(2) + 1364) / MAP_READER_SLOTS);
}
END_TEST

START_TEST(a_stack_that_cannot_be_read_is_not_kept)
{
	uint64_t frames[100];
	for (unsigned i = 0; i < 100; i++)
		frames[i] = i * UINT64_C(0x10000000);
	for (unsigned i = 0; i < 8; i++)
		fake_map_set(&map, i, i + 1, GENERATION, frames, 100);
	map.stacks[1].block = FAKE_MAP_BLOCKS; /* out of range */
	map.stacks[2].block = 0;	       /* none */
	map.stacks[3].bytes++;		       /* more than the numbers take */
	map.stacks[4].frame_count = WIRE_MAX_FRAMES + 1;
	map.stacks[5].stop = WIRE_STOP_KINDS;
	map.stacks[6].bytes = UINT32_MAX;
	/* relaxed: one thread */
	atomic_store_explicit(
		&map.blocks[map.stacks[7].block].next, map.stacks[7].block, memory_order_relaxed);
	ck_assert_int_eq(read_it(), 0);
	ck_assert_uint_eq(count, 8);
	ck_assert_uint_eq(got[0].entry.frame_count, 100);
	ck_assert_uint_eq(got[0].entry.record.flags, 0);
	for (unsigned i = 1; i < 7; i++) {
		ck_assert_uint_eq(got[i].entry.frame_count, 0);
		ck_assert_uint_eq(got[i].entry.record.flags, WIRE_STACK_NOT_KEPT);
	}
	ck_assert_uint_ge(stats.lost_stacks, 6);
}
END_TEST

START_TEST(what_was_never_announced_is_told_as_a_birth)
{
	fake_map_set(&map, 0, 1, GENERATION, NULL, 0);
	fake_map_set(&map, 1, 2, 0, NULL, 0);
	ck_assert_int_eq(read_it(), 0);
	ck_assert_uint_eq(count, 2);
	for (unsigned i = 0; i < 2; i++) {
		ck_assert_int_eq(got[i].announced, i == 0);
		ck_assert_uint_eq(got[i].entry.record.type, i == 0 ? WIRE_LIVE : WIRE_BIRTH);
		ck_assert_uint_eq(got[i].entry.record.flags, WIRE_STACK_NOT_KEPT);
	}
}
END_TEST

START_TEST(addresses_that_are_nowhere_end_a_reading)
{
	static const uint64_t nowhere[] = {8, UINT64_MAX, UINT64_MAX - (64u << 10), 1u << 20};
	struct segment_map_places places = places_of_map();
	for (unsigned i = 0; i < sizeof(nowhere) / sizeof(nowhere[0]); i++) {
		places.map_address = nowhere[i];
		ck_assert_int_eq(read_all(&places, 2), -EFAULT);
		reader = map_reader_free(reader);
	}
	places.map_address = 0;
	ck_assert_int_eq(map_reader_new(&reader, &places, &source), -ENOENT);
}
END_TEST

START_TEST(levels_that_cannot_be_are_not_read)
{
	struct segment_map_places places = places_of_map();
	ck_assert_uint_eq(map_decode_slots(WIRE_MAP_MAX_LEVELS), 511u << WIRE_MAP_LEVEL0_BITS);
	ck_assert_int_eq(read_all(&places, WIRE_MAP_MAX_LEVELS + 1), -EBADMSG);
	ck_assert_uint_eq(stats.reads, 0);
	reader = map_reader_free(reader);
	ck_assert_int_eq(read_all(&places, UINT32_MAX), -EBADMSG);
	ck_assert_uint_eq(stats.reads, 0);
	reader = map_reader_free(reader);
	ck_assert_int_eq(read_all(&places, 0), -EBADMSG);
	ck_assert_uint_eq(stats.reads, 0);
}
END_TEST

START_TEST(a_level_that_comes_into_use_meanwhile_is_read_too)
{
	struct segment_map_places places = places_of_map();
	fake_map_set(&map, 20000, 7, GENERATION, NULL, 0); /* of the second level */
	ck_assert_int_eq(map_reader_new(&reader, &places, &source), 0);
	ck_assert_int_eq(read_some(1, WIRE_RECORD_MAX), 1);
	while (read_some(2, WIRE_RECORD_MAX) == 1)
		;
	ck_assert_uint_eq(count, 1);
}
END_TEST

START_TEST(a_slice_without_room_goes_on_at_the_same_slot)
{
	struct segment_map_places places = places_of_map();
	for (unsigned i = 0; i < 40; i++)
		fake_map_set(&map, i * 3, i + 1, GENERATION, (uint64_t[]){1, 2, 3}, 3);
	ck_assert_int_eq(map_reader_new(&reader, &places, &source), 0);
	unsigned slices = 0;
	while (read_some(2, WIRE_RECORD_MAX + 100) == 1)
		slices++;
	ck_assert_uint_eq(count, 40);
	ck_assert_uint_gt(slices, 15 + 40 / 2);
	for (unsigned i = 0; i < 40; i++)
		ck_assert_uint_eq(got[i].entry.id, i + 1);
}
END_TEST

START_TEST(the_ids_asked_about_are_those_that_live)
{
	struct segment_map_places places = places_of_map();
	uint8_t wanted[(MAP_READER_SLOTS + 7) / 8] = {[1] = 1u << 1};
	struct buffer records = BUFFER_INIT;
	const uint64_t *ids;
	uint32_t living;
	for (unsigned i = 0; i < 12; i++)
		fake_map_set(&map, i * 7, i + 1, GENERATION, (uint64_t[]){1, 2, 3}, 3);
	fake_map_clear(&map, 7);
	ck_assert_int_eq(map_reader_new(&reader, &places, &source), 0);
	ck_assert_int_eq(map_reader_look(reader, 2, &ids, &living), 0);
	ck_assert_uint_eq(living, 11);
	ck_assert_uint_eq(ids[0], 1);
	ck_assert_uint_eq(ids[9], 11);
	map_reader_read(reader, wanted, EPOCH, 64u << 10, &records);
	for (size_t at = 0; at < records.size;) {
		const struct wire_birth *entry = (const void *)(records.data + at);
		ck_assert_uint_eq(entry->frame_count, entry->id == 11 ? 3 : 0);
		at += entry->record.size;
	}
	buffer_deinit(&records);
}
END_TEST

START_TEST(numbers_end_where_the_stack_ends)
{
	uint8_t bytes[16];
	uint64_t frames[2];
	memset(bytes, 0xff, sizeof(bytes));
	ck_assert(map_decode_frames(bytes, 8, 1, frames));
	ck_assert_uint_eq(frames[0], (UINT64_C(1) << 60) - 1);
	ck_assert(!map_decode_frames(bytes, 7, 1, frames));
	ck_assert(!map_decode_frames(bytes, 9, 1, frames));
	ck_assert(!map_decode_frames(bytes, 9, 2, frames));
	ck_assert(!map_decode_frames(bytes, 8, 2, frames));
	ck_assert(map_decode_frames(bytes, 16, 2, frames));
	ck_assert(map_decode_frames(bytes, 0, 0, frames));
	ck_assert(!map_decode_frames(bytes, 0, 1, frames));
}
END_TEST

START_TEST(a_number_0_leads_to_a_frame_of_the_other_kind)
{
	enum { OTHER = 0, SAME = 1 << 3, ONE_MORE = 3 << 3, TWO_MORE = 5 << 3, ONE_LESS = 2 << 3 };
	static const uint8_t bytes[] = {
		OTHER, SAME, ONE_MORE, OTHER, TWO_MORE, OTHER, ONE_LESS, SAME};
	uint64_t frames[5];
	ck_assert(map_decode_frames(bytes, sizeof(bytes), 5, frames));
	ck_assert_uint_eq(frames[0], WIRE_FRAME_PYTHON);
	ck_assert_uint_eq(frames[1], WIRE_FRAME_PYTHON + 1);
	ck_assert_uint_eq(frames[2], 2);
	ck_assert_uint_eq(frames[3], WIRE_FRAME_PYTHON);
	ck_assert_uint_eq(frames[4], WIRE_FRAME_PYTHON);
	ck_assert(!map_decode_frames(bytes, 1, 1, frames));
	ck_assert(!map_decode_frames((const uint8_t[]){OTHER, OTHER}, 2, 1, frames));
	ck_assert(!map_decode_frames((const uint8_t[]){OTHER, OTHER, SAME}, 3, 1, frames));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("map_reader");
	TCase *t = tcase_create("map_reader");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, what_lives_is_found_with_its_stack);
	tcase_add_test(t, the_states_of_a_slot_say_what_lives);
	tcase_add_test(t, an_entry_that_changes_while_it_is_read_is_left_out);
	tcase_add_test(t, an_id_beside_the_fields_of_its_predecessor_is_left_out);
	tcase_add_test(t, stacks_of_known_ids_are_not_read);
	tcase_add_test(t, a_stack_that_cannot_be_read_is_not_kept);
	tcase_add_test(t, what_was_never_announced_is_told_as_a_birth);
	tcase_add_test(t, addresses_that_are_nowhere_end_a_reading);
	tcase_add_test(t, levels_that_cannot_be_are_not_read);
	tcase_add_test(t, a_level_that_comes_into_use_meanwhile_is_read_too);
	tcase_add_test(t, a_slice_without_room_goes_on_at_the_same_slot);
	tcase_add_test(t, the_ids_asked_about_are_those_that_live);
	tcase_add_test(t, numbers_end_where_the_stack_ends);
	tcase_add_test(t, a_number_0_leads_to_a_frame_of_the_other_kind);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
