/* A segment made by hand, drained; what arrived is compared with what was written. */
#include "config.h"
#include "ingest/ring_consumer.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "ingest/segment_map.h"
#include "support/fake_segment.h"
#include "support/random.h"
#include "support/tap_main.h"

#define RING_SIZE WIRE_MIN_RING_SIZE
#define RINGS	  3
#define ALL	  UINT64_MAX

static struct fake_segment segment;
static struct segment_map *map;
static struct ring_consumer *consumer;
static struct ring_consumer_stats stats;

/* What the sink got, copied one after the other. */
static struct {
	uint8_t *bytes;
	size_t size, capacity, count;
} got;

static void record(const void *bytes, size_t size)
{
	if (got.size + size > got.capacity) {
		got.capacity = (got.size + size) * 2;
		got.bytes = realloc(got.bytes, got.capacity);
	}
	memcpy(got.bytes + got.size, bytes, size);
	got.size += size;
	got.count++;
}

static void on_birth(const struct wire_birth *birth, void *data)
{
	ck_assert_ptr_eq(data, &got);
	record(birth, sizeof(*birth) + birth->frame_count * sizeof(uint64_t));
}

static void on_death(const struct wire_death *death, void *data)
{
	ck_assert_ptr_eq(data, &got);
	record(death, sizeof(*death));
}

static void on_end(const struct wire_end *end, void *data)
{
	ck_assert_ptr_eq(data, &got);
	record(end, sizeof(*end));
}

static const struct record_sink sink = {
	.birth = on_birth, .live = on_birth, .death = on_death, .end = on_end, .data = &got};

static void start(uint32_t rings, uint32_t ring_size)
{
	fake_segment_init(&segment, rings, ring_size, 0);
	fake_segment_seal(&segment, FAKE_SEGMENT_SEALS);
	ck_assert_int_eq(segment_map_new(&map, fake_segment_dup(&segment), NULL), 0);
	ck_assert_int_eq(ring_consumer_new(&consumer, map), 0);
	got.size = got.count = 0;
}

static void set_up(void)
{
	start(RINGS, RING_SIZE);
}

static void stop(void)
{
	consumer = ring_consumer_free(consumer);
	map = segment_map_free(map);
	fake_segment_deinit(&segment);
}

static void restart_consumer(void)
{
	ring_consumer_free(consumer);
	ck_assert_int_eq(ring_consumer_new(&consumer, map), 0);
}

static int drain(void)
{
	int r = ring_consumer_round(consumer, false, ALL, &sink);

	ring_consumer_stats(consumer, &stats);
	return r;
}

static uint64_t *words(void)
{
	static uint64_t record_words[WIRE_RECORD_MAX / 8];

	return record_words;
}

static void append_birth(uint32_t ring, uint64_t id, uint16_t frames)
{
	fake_segment_append(&segment, ring, words(), fake_segment_birth(words(), id, frames));
}

static void append_death(uint32_t ring, uint64_t id)
{
	fake_segment_append(&segment, ring, words(), fake_segment_death(words(), id));
}

static uint64_t head_of(uint32_t ring)
{
	return atomic_load_explicit(&segment.rings[ring].head, memory_order_relaxed);
}

static uint64_t tail_of(uint32_t ring)
{
	return atomic_load_explicit(&segment.rings[ring].tail, memory_order_relaxed);
}

static void set_head(uint32_t ring, uint64_t head)
{
	atomic_store_explicit(&segment.rings[ring].head, head, memory_order_relaxed);
	atomic_store_explicit(&segment.header->dirty, UINT64_MAX, memory_order_relaxed);
}

static void assert_got_birth(size_t *at, uint64_t id, uint16_t frames)
{
	size_t size = fake_segment_birth(words(), id, frames);

	ck_assert_uint_le(*at + size, got.size);
	ck_assert_mem_eq(got.bytes + *at, words(), size);
	*at += size;
}

static void assert_got_death(size_t *at, uint64_t id)
{
	size_t size = fake_segment_death(words(), id);

	ck_assert_uint_le(*at + size, got.size);
	ck_assert_mem_eq(got.bytes + *at, words(), size);
	*at += size;
}

/* The ring is as good as new: a record written now arrives. */
static void assert_works(uint32_t ring)
{
	size_t at = got.size;

	append_birth(ring, 4711, 9);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 4711, 9);
	ck_assert_uint_eq(at, got.size);
}

START_TEST(records_arrive_with_all_their_bytes)
{
	size_t at = 0;

	append_birth(0, 1, 0);
	append_birth(0, 2, 30);
	append_birth(0, 3, WIRE_MAX_FRAMES);
	append_death(0, 1);
	append_birth(2, 4, 1);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 0);
	assert_got_birth(&at, 2, 30);
	assert_got_birth(&at, 3, WIRE_MAX_FRAMES);
	assert_got_death(&at, 1);
	assert_got_birth(&at, 4, 1);
	ck_assert_uint_eq(at, got.size);
	ck_assert_uint_eq(stats.records, 5);
	ck_assert_uint_eq(stats.bytes, got.size);
	ck_assert_uint_eq(stats.rounds, 1);
	ck_assert_uint_eq(stats.corrupt_records + stats.corrupt_rings + stats.unknown_records, 0);
}
END_TEST

START_TEST(the_shared_tail_follows_the_head)
{
	append_birth(1, 1, 5);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(tail_of(1), head_of(1));
	ck_assert_uint_eq(tail_of(0), 0);
}
END_TEST

START_TEST(a_record_may_wrap_around_at_every_offset)
{
	uint16_t frames = 20;
	size_t size = sizeof(struct wire_birth) + frames * sizeof(uint64_t);
	uint64_t id = 1;

	for (uint64_t before = 0; before <= size; before += 8) {
		fake_segment_seek(&segment, 1, 5 * RING_SIZE - before);
		restart_consumer();
		got.size = 0;
		append_birth(1, id, frames);
		append_death(1, id);
		ck_assert_int_eq(drain(), 0);
		size_t at = 0;
		assert_got_birth(&at, id, frames);
		assert_got_death(&at, id);
		ck_assert_uint_eq(at, got.size);
		id++;
	}
}
END_TEST

START_TEST(a_ring_filled_to_the_brim_is_drained)
{
	size_t at = 0, deaths = RING_SIZE / sizeof(struct wire_death);

	fake_segment_seek(&segment, 0, 40);
	restart_consumer();
	for (uint64_t id = 1; id <= deaths; id++)
		append_death(0, id);
	ck_assert_uint_eq(head_of(0) - tail_of(0), RING_SIZE);
	ck_assert_int_eq(drain(), 0);
	for (uint64_t id = 1; id <= deaths; id++)
		assert_got_death(&at, id);
	ck_assert_uint_eq(at, got.size);
}
END_TEST

START_TEST(positions_may_pass_the_end_of_their_type)
{
	size_t at = 0;

	fake_segment_seek(&segment, 0, UINT64_MAX - 63);
	restart_consumer();
	append_birth(0, 1, 10);
	append_birth(0, 2, 10);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 10);
	assert_got_birth(&at, 2, 10);
	ck_assert_uint_eq(stats.corrupt_rings, 0);
}
END_TEST

START_TEST(a_corrupt_head_costs_its_ring_only)
{
	static const uint64_t heads[] = {1024 + RING_SIZE + 8, 1024 - 8, 0, 1025, 1028, 1031,
		1024 + RING_SIZE + 1, UINT64_MAX, UINT64_MAX - 7, UINT64_C(1) << 63};
	size_t at = 0;

	fake_segment_seek(&segment, 1, 1024);
	restart_consumer();
	append_birth(0, 1, 2);
	append_birth(2, 3, 2);
	set_head(1, heads[_i]);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 2);
	assert_got_birth(&at, 3, 2);
	ck_assert_uint_eq(at, got.size);
	ck_assert_uint_eq(stats.corrupt_rings, 1);
	ck_assert_uint_eq(tail_of(1), heads[_i] & ~UINT64_C(7));

	set_head(1, heads[_i] & ~UINT64_C(7));
	assert_works(1);
	ck_assert_uint_eq(stats.corrupt_rings, 1);
}
END_TEST

START_TEST(a_head_that_stays_unaligned_is_counted_each_time_and_yields_nothing)
{
	set_head(0, 20);
	for (unsigned i = 1; i < 5; i++) {
		ck_assert_int_eq(ring_consumer_round(consumer, true, ALL, &sink), 0);
		ring_consumer_stats(consumer, &stats);
		ck_assert_uint_eq(stats.corrupt_rings, i);
	}
	ck_assert_uint_eq(got.count, 0);
}
END_TEST

START_TEST(a_corrupt_record_costs_what_follows_it_up_to_the_head)
{
	size_t at = 0;

	append_birth(0, 1, 2);
	uint64_t bad = head_of(0);
	append_birth(0, 2, 2);
	append_birth(0, 3, 2);
	append_birth(1, 4, 2);
	uint32_t size = 77;
	fake_segment_put(&segment, 0, bad, &size, sizeof(size));
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 2);
	assert_got_birth(&at, 4, 2);
	ck_assert_uint_eq(at, got.size);
	ck_assert_uint_eq(stats.corrupt_records, 1);
	ck_assert_uint_eq(tail_of(0), head_of(0));
	assert_works(0);
}
END_TEST

START_TEST(a_record_of_length_zero_never_spins)
{
	size_t offset = wire_ring_data_offset(RING_SIZE, 0);

	for (uint64_t id = 1; id <= 200; id++)
		append_death(0, id);
	ck_assert_int_eq(fallocate(segment.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				 (off_t)offset, RING_SIZE),
		0);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 0);
	ck_assert_uint_eq(stats.corrupt_records, 1);
	assert_works(0);
}
END_TEST

START_TEST(a_record_that_reaches_past_the_head_is_corrupt)
{
	append_birth(0, 1, 1);
	size_t size = fake_segment_birth(words(), 2, 30);
	fake_segment_put(&segment, 0, head_of(0), words(), size);
	set_head(0, head_of(0) + size - 8);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_uint_eq(stats.corrupt_records, 1);
	assert_works(0);
}
END_TEST

START_TEST(unknown_types_are_skipped_by_their_size)
{
	size_t at = 0;

	for (uint32_t size = 8; size <= WIRE_RECORD_MAX; size += 1024) {
		memset(words(), 0xaa, WIRE_RECORD_MAX);
		struct wire_record *newer = (struct wire_record *)words();
		newer->size = size;
		newer->type = 99;
		fake_segment_append(&segment, 0, newer, size);
	}
	append_birth(0, 5, 1);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 5, 1);
	ck_assert_uint_eq(at, got.size);
	ck_assert_uint_eq(stats.unknown_records, 5);
	ck_assert_uint_eq(stats.records, 1);
}
END_TEST

START_TEST(what_the_worker_writes_into_the_tail_is_not_read)
{
	size_t at = 0;

	append_birth(0, 1, 1);
	atomic_store_explicit(&segment.rings[0].tail, 12345, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	append_birth(0, 2, 1);
	atomic_store_explicit(&segment.rings[0].tail, 3, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 1, 1);
	assert_got_birth(&at, 2, 1);
	ck_assert_uint_eq(tail_of(0), head_of(0));
	ck_assert_uint_eq(stats.corrupt_rings, 0);
}
END_TEST

START_TEST(a_new_daemon_goes_on_where_the_last_one_stopped)
{
	size_t at = 0;

	append_birth(0, 1, 1);
	ck_assert_int_eq(drain(), 0);
	append_birth(0, 2, 1);
	got.size = 0;
	restart_consumer();
	ck_assert_int_eq(ring_consumer_round(consumer, true, ALL, &sink), 0);
	assert_got_birth(&at, 2, 1);
	ck_assert_uint_eq(at, got.size);
}
END_TEST

START_TEST(a_new_daemon_begins_at_the_head_when_the_tail_cannot_be)
{
	static const uint64_t tails[] = {1, 7, RING_SIZE * 9, UINT64_MAX};

	for (uint64_t id = 1; id < 10; id++)
		append_birth(0, id, 1);
	atomic_store_explicit(&segment.rings[0].tail, tails[_i], memory_order_relaxed);
	restart_consumer();
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 0);
	ck_assert_uint_eq(stats.corrupt_rings, 1);
	ck_assert_uint_eq(tail_of(0), head_of(0));
	assert_works(0);
}
END_TEST

START_TEST(without_a_dirty_bit_there_is_no_round)
{
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.rounds, 0);
	append_birth(0, 1, 1);
	atomic_store_explicit(&segment.header->dirty, 0, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.rounds, 0);
	ck_assert_uint_eq(got.count, 0);
}
END_TEST

START_TEST(a_sweep_finds_what_no_dirty_bit_tells)
{
	append_birth(0, 1, 1);
	append_birth(2, 2, 1);
	atomic_store_explicit(&segment.header->dirty, 0, memory_order_relaxed);
	ck_assert_int_eq(ring_consumer_round(consumer, true, ALL, &sink), 0);
	ck_assert_uint_eq(got.count, 2);
}
END_TEST

START_TEST(one_dirty_bit_makes_a_round_over_all_rings)
{
	append_birth(0, 1, 1);
	append_birth(1, 2, 1);
	atomic_store_explicit(&segment.header->dirty, 1, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 2);
	ck_assert_uint_eq(atomic_load_explicit(&segment.header->dirty, memory_order_relaxed), 0);
}
END_TEST

START_TEST(after_a_death_the_next_round_looks_into_every_ring)
{
	append_death(0, 1);
	ck_assert_int_eq(drain(), 0);
	/* committed before that death, its bit not set yet */
	append_birth(1, 1, 1);
	atomic_store_explicit(&segment.header->dirty, 0, memory_order_relaxed);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 2);
	/* that one delivered, so another looks; then peace */
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.rounds, 3);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.rounds, 3);
}
END_TEST

/* While ring 0 is drained, more is written: to it, and to the ring that comes after. */
static void append_more(const struct wire_birth *birth, void *data)
{
	uint64_t id = birth->id;

	on_birth(birth, data);
	if (id < 10) {
		append_birth(0, 10 + id, 1);
		append_birth(1, 20 + id, 1);
	}
}

START_TEST(a_round_ends_at_the_heads_that_were_read_at_its_beginning)
{
	const struct record_sink writer = {.birth = append_more,
		.live = on_birth,
		.death = on_death,
		.end = on_end,
		.data = &got};
	size_t at = 0;

	append_birth(0, 1, 1);
	append_birth(0, 2, 1);
	append_birth(1, 3, 1);
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &writer), 0);
	assert_got_birth(&at, 1, 1);
	assert_got_birth(&at, 2, 1);
	assert_got_birth(&at, 3, 1);
	ck_assert_uint_eq(at, got.size);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(got.count, 3 + 6);
}
END_TEST

START_TEST(a_budget_slices_a_round_without_moving_its_end)
{
	unsigned calls = 0;
	size_t at = 0;
	int r;

	for (uint64_t id = 1; id <= 40; id++)
		append_birth((uint32_t)(id / 20), id, 20);
	do {
		size_t before = got.size;
		r = ring_consumer_round(consumer, false, 1000, &sink);
		ck_assert_int_ge(r, 0);
		ck_assert_uint_le(got.size - before, 1000 + WIRE_RECORD_MAX);
		ck_assert(r == 0 || got.size > before);
		if (++calls == 1)
			append_birth(2, 99, 1); /* after the round's beginning */
	} while (r == 1);
	ck_assert_uint_ge(calls, got.size / (1000 + WIRE_RECORD_MAX));
	for (uint64_t id = 1; id <= 40; id++)
		assert_got_birth(&at, id, 20);
	ck_assert_uint_eq(at, got.size);
	ck_assert_int_eq(drain(), 0);
	assert_got_birth(&at, 99, 1);
	ck_assert_uint_eq(stats.rounds, 2);
}
END_TEST

START_TEST(the_smallest_budget_still_takes_the_largest_record)
{
	append_birth(0, 1, WIRE_MAX_FRAMES);
	append_birth(0, 2, WIRE_MAX_FRAMES);
	ck_assert_int_eq(ring_consumer_round(consumer, false, 1, &sink), 1);
	ck_assert_uint_eq(got.count, 1);
	ck_assert_int_eq(ring_consumer_round(consumer, false, 1, &sink), 0);
	ck_assert_uint_eq(got.count, 2);
}
END_TEST

static uint64_t held_id;

static bool is_ready(const struct wire_birth *birth, void *data)
{
	ck_assert_ptr_eq(data, &got);
	return birth->id != held_id;
}

START_TEST(no_record_waits_while_another_ring_fills)
{
	struct record_sink holding = sink;
	size_t bytes = 0;

	holding.ready = is_ready;
	held_id = 1;
	append_birth(0, 1, 4);
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &holding), RING_CONSUMER_HELD);
	for (uint64_t id = 2; bytes <= segment.ring_size / 2; id++) {
		append_birth(1, id, 4);
		bytes += sizeof(struct wire_birth) + 4 * sizeof(uint64_t);
	}
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &holding), 0);
	size_t at = 0;
	assert_got_birth(&at, 1, 4);
}
END_TEST

START_TEST(a_record_that_is_not_ready_comes_again_and_nothing_overtakes_it)
{
	struct record_sink holding = sink;
	size_t at = 0;

	holding.ready = is_ready;
	held_id = 2;
	for (uint64_t id = 1; id <= 3; id++)
		append_birth(0, id, 4);
	append_birth(1, 4, 4);
	for (int i = 0; i < 3; i++)
		ck_assert_int_eq(
			ring_consumer_round(consumer, false, ALL, &holding), RING_CONSUMER_HELD);
	assert_got_birth(&at, 1, 4);
	ck_assert_uint_eq(at, got.size);
	append_birth(1, 5, 4); /* not this round's */
	held_id = 4;
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &holding), RING_CONSUMER_HELD);
	held_id = 0;
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &holding), 0);
	ring_consumer_stats(consumer, &stats);
	ck_assert_uint_eq(stats.rounds, 1);
	ck_assert_uint_eq(stats.records, 4);
	ck_assert_uint_eq(stats.corrupt_records, 0);
	for (uint64_t id = 2; id <= 4; id++)
		assert_got_birth(&at, id, 4);
	ck_assert_uint_eq(at, got.size);
}
END_TEST

START_TEST(a_segment_that_cannot_be_read_is_an_error)
{
	append_birth(0, 1, 1);
	int nothing = open("/dev/null", O_WRONLY | O_CLOEXEC);
	ck_assert_int_ge(dup2(nothing, segment_map_fd(map)), 0);
	close(nothing);
	ck_assert_int_eq(drain(), -EBADF);
	ck_assert_uint_eq(got.count, 0);
}
END_TEST

START_TEST(draining_an_untouched_ring_allocates_no_pages)
{
	struct stat before, after;

	ck_assert_int_eq(fstat(segment.fd, &before), 0);
	for (uint32_t i = 0; i < RINGS; i++)
		set_head(i, RING_SIZE);
	ck_assert_int_eq(drain(), 0);
	ck_assert_uint_eq(stats.corrupt_records, RINGS);
	ck_assert_int_eq(fstat(segment.fd, &after), 0);
	ck_assert_int_eq(after.st_blocks, before.st_blocks);
}
END_TEST

/* Random streams against lists in memory: per ring, what was written is what arrives, in order. */

static struct random dice;

struct stream {
	uint8_t *bytes;
	size_t size, capacity, seen;
};

static struct stream streams[WIRE_MAX_RINGS];

static size_t random_record(uint64_t id)
{
	struct wire_record *newer = (struct wire_record *)words();

	switch (random_below(&dice, 8)) {
	case 0:
	case 1:
	case 2:
		return fake_segment_death(words(), id);
	case 3:
		memset(words(), 0x55, WIRE_RECORD_MAX);
		newer->size = (uint32_t)(1 + random_below(&dice, WIRE_RECORD_MAX / 8)) * 8;
		newer->type = 50;
		return newer->size;
	case 4:
		return fake_segment_birth(
			words(), id, (uint16_t)random_below(&dice, WIRE_MAX_FRAMES + 1));
	default:
		return fake_segment_birth(words(), id, (uint16_t)random_below(&dice, 40));
	}
}

static void produce(uint32_t ring, uint64_t id)
{
	size_t size = random_record(id);
	struct stream *stream = &streams[ring];

	if (head_of(ring) + size - tail_of(ring) > segment.ring_size)
		return;
	if (((struct wire_record *)words())->type != 50) {
		if (stream->size + size > stream->capacity) {
			stream->capacity = (stream->size + size) * 2;
			stream->bytes = realloc(stream->bytes, stream->capacity);
		}
		memcpy(stream->bytes + stream->size, words(), size);
		stream->size += size;
	}
	fake_segment_append(&segment, ring, words(), size);
}

/* Each record carries an id, and ids name their ring. */
static void check_against_streams(uint32_t rings)
{
	for (size_t at = 0; at < got.size;) {
		const struct wire_record *one = (const void *)(got.bytes + at);
		uint64_t id;
		memcpy(&id, got.bytes + at + sizeof(*one), sizeof(id));
		struct stream *stream = &streams[id % rings];
		ck_assert_uint_le(stream->seen + one->size, stream->size);
		ck_assert_mem_eq(got.bytes + at, stream->bytes + stream->seen, one->size);
		stream->seen += one->size;
		at += one->size;
	}
	got.size = 0;
}

START_TEST(random_streams_arrive_whole_and_in_order)
{
	dice.state = (uint64_t)_i << 32;
	uint32_t rings = (uint32_t)random_below(&dice, WIRE_MAX_RINGS) + 1;

	start(rings, RING_SIZE << random_below(&dice, 3));
	for (uint32_t i = 0; i < rings; i++)
		fake_segment_seek(&segment, i, random_below(&dice, 1 << 20) * 8);
	restart_consumer();
	for (uint64_t id = rings; id < 8000; id++) {
		produce((uint32_t)(id % rings), id);
		if (random_below(&dice, 16) == 0) {
			uint64_t budget =
				random_below(&dice, 4) ? 1 + random_below(&dice, 20000) : ALL;
			ck_assert_int_ge(ring_consumer_round(consumer, false, budget, &sink), 0);
			check_against_streams(rings);
		}
	}
	while (ring_consumer_round(consumer, false, ALL, &sink) == 1)
		;
	ck_assert_int_eq(ring_consumer_round(consumer, true, ALL, &sink), 0);
	check_against_streams(rings);
	for (uint32_t i = 0; i < rings; i++) {
		ck_assert_uint_eq(streams[i].seen, streams[i].size);
		ck_assert_uint_gt(streams[i].size, 0);
		free(streams[i].bytes);
		streams[i] = (struct stream){0};
	}
	ring_consumer_stats(consumer, &stats);
	ck_assert_uint_eq(stats.corrupt_records + stats.corrupt_rings, 0);
	stop();
}
END_TEST

START_TEST(random_damage_is_survived_and_every_ring_recovers)
{
	dice.state = (uint64_t)(1000 + _i) << 32;
	for (unsigned i = 0; i < 3000; i++) {
		uint32_t ring = (uint32_t)random_below(&dice, RINGS);
		uint64_t word =
			random_below(&dice, 2) ? random_below(&dice, 200) : random_next(&dice);

		if (random_below(&dice, 4) == 0)
			fake_segment_put(
				&segment, ring, random_below(&dice, RING_SIZE / 8) * 8, &word, 8);
		else if (random_below(&dice, 4) == 0)
			set_head(ring,
				head_of(ring) + random_below(&dice, RING_SIZE * 2) - RING_SIZE / 2);
		else
			append_birth(ring, 1 + i, (uint16_t)random_below(&dice, 100));
		if (random_below(&dice, 4) == 0)
			ck_assert_int_ge(ring_consumer_round(consumer, false, 5000, &sink), 0);
	}
	while (ring_consumer_round(consumer, true, ALL, &sink) == 1)
		;
	for (uint32_t i = 0; i < RINGS; i++)
		set_head(i, (head_of(i) + 7) & ~UINT64_C(7));
	ck_assert_int_eq(ring_consumer_round(consumer, true, ALL, &sink), 0);
	ring_consumer_stats(consumer, &stats);
	ck_assert_uint_gt(stats.corrupt_records, 0);
	ck_assert_uint_gt(stats.corrupt_rings, 0);
	for (uint32_t i = 0; i < RINGS; i++)
		assert_works(i);
}
END_TEST

static const uint8_t *heard_at;

static void on_audit(const struct wire_audit *part, void *data)
{
	(void)data;
	heard_at = part->payload;
}

/* Looks at what belonged to calls that have returned. */
static __attribute__((noinline, no_sanitize("address", "thread"))) size_t count_bytes(
	const volatile uint8_t *from, size_t size, uint8_t value)
{
	size_t count = 0;
	for (size_t i = 0; i < size; i++)
		count += from[i] == value;
	return count;
}

START_TEST(what_an_audit_brought_is_not_left_in_memory)
{
	enum { SECRET = 0xa5, BYTES = 4096 };
	struct record_sink audits = sink;
	size_t size = fake_segment_audit(words(), 1, 4, BYTES, 32);
	memset((uint8_t *)words() + size - BYTES, SECRET, BYTES);
	fake_segment_append(&segment, 0, words(), size);
	audits.audit = on_audit;
	ck_assert_int_eq(ring_consumer_round(consumer, false, ALL, &audits), 0);
	size_t left = count_bytes(heard_at, BYTES, SECRET);
	ck_assert_uint_le(left, BYTES / 16);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("ring_consumer");
	TCase *t = tcase_create("rounds");
	TCase *random = tcase_create("random");

	tcase_add_checked_fixture(t, set_up, stop);
	tcase_add_test(t, records_arrive_with_all_their_bytes);
	tcase_add_test(t, the_shared_tail_follows_the_head);
	tcase_add_test(t, a_record_may_wrap_around_at_every_offset);
	tcase_add_test(t, a_ring_filled_to_the_brim_is_drained);
	tcase_add_test(t, positions_may_pass_the_end_of_their_type);
	tcase_add_loop_test(t, a_corrupt_head_costs_its_ring_only, 0, 10);
	tcase_add_test(t, a_head_that_stays_unaligned_is_counted_each_time_and_yields_nothing);
	tcase_add_test(t, a_corrupt_record_costs_what_follows_it_up_to_the_head);
	tcase_add_test(t, a_record_of_length_zero_never_spins);
	tcase_add_test(t, a_record_that_reaches_past_the_head_is_corrupt);
	tcase_add_test(t, unknown_types_are_skipped_by_their_size);
	tcase_add_test(t, what_the_worker_writes_into_the_tail_is_not_read);
	tcase_add_test(t, a_new_daemon_goes_on_where_the_last_one_stopped);
	tcase_add_loop_test(t, a_new_daemon_begins_at_the_head_when_the_tail_cannot_be, 0, 4);
	tcase_add_test(t, without_a_dirty_bit_there_is_no_round);
	tcase_add_test(t, a_sweep_finds_what_no_dirty_bit_tells);
	tcase_add_test(t, one_dirty_bit_makes_a_round_over_all_rings);
	tcase_add_test(t, after_a_death_the_next_round_looks_into_every_ring);
	tcase_add_test(t, a_round_ends_at_the_heads_that_were_read_at_its_beginning);
	tcase_add_test(t, a_budget_slices_a_round_without_moving_its_end);
	tcase_add_test(t, the_smallest_budget_still_takes_the_largest_record);
	tcase_add_test(t, a_record_that_is_not_ready_comes_again_and_nothing_overtakes_it);
	tcase_add_test(t, no_record_waits_while_another_ring_fills);
	tcase_add_test(t, a_segment_that_cannot_be_read_is_an_error);
	tcase_add_test(t, draining_an_untouched_ring_allocates_no_pages);
	tcase_add_test(t, what_an_audit_brought_is_not_left_in_memory);
	tcase_add_loop_test(t, random_damage_is_survived_and_every_ring_recovers, 0, 6);
	tcase_add_loop_test(random, random_streams_arrive_whole_and_in_order, 0, 12);
	suite_add_tcase(s, t);
	suite_add_tcase(s, random);
	return s;
}

TAP_MAIN(suite)
