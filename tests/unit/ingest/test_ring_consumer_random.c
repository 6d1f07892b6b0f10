/* Random streams against lists in memory: per ring, what was written is what arrives, in order; and what is left when
 * they are damaged. */
#include "config.h"
#include "consumer_fixture.h"
#include "support/random.h"

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

static Suite *suite(void)
{
	Suite *s = suite_create("ring_consumer_random");
	TCase *t = tcase_create("rounds");
	tcase_add_checked_fixture(t, set_up, stop);
	tcase_add_loop_test(t, random_damage_is_survived_and_every_ring_recovers, 0, 6);
	suite_add_tcase(s, t);
	t = tcase_create("random");
	tcase_add_loop_test(t, random_streams_arrive_whole_and_in_order, 0, 12);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
