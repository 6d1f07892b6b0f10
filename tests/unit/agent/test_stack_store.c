/* Which stacks come out, and by which references. */
#include <errno.h>
#include "stack_store_fixture.h"
#include "support/random.h"

static void assert_reads(uint32_t reference, const struct stack_view *expected)
{
	uint64_t frames[WIRE_MAX_FRAMES];
	struct stack_view view;

	ck_assert_int_eq(stack_store_read(&store, reference, frames, &view), 0);
	ck_assert_ptr_eq(view.frames, frames);
	ck_assert_uint_eq(view.frame_count, expected->frame_count);
	ck_assert_uint_eq(view.stop, expected->stop);
	ck_assert_uint_eq(view.guessed, expected->guessed);
	ck_assert_uint_eq(view.module_epoch, expected->module_epoch);
	for (unsigned i = 0; i < view.frame_count; i++)
		ck_assert_uint_eq(frames[i], expected->frames[i]);
}

static void assert_round_trip(const uint64_t *frames, unsigned count)
{
	struct stack_view view = {.frames = frames,
		.frame_count = (uint16_t)count,
		.stop = WIRE_STOP_NO_INFO,
		.guessed = 255,
		.module_epoch = UINT32_MAX};
	uint32_t reference = stack_store_intern(&store, &view, scratch);

	ck_assert_uint_ne(reference, 0);
	assert_reads(reference, &view);
	/* Found again: the comparison agrees with the reading. */
	ck_assert_uint_eq(stack_store_intern(&store, &view, scratch), reference);
	stack_store_release(&store, reference);
	stack_store_release(&store, reference);
	assert_empty();
}

/* What a daemon does with the blocks. */
static unsigned decode_as_the_daemon(uint32_t reference, uint64_t *frames)
{
	const struct wire_stack *stack = &store.stacks[reference - 1];
	uint8_t bytes[WIRE_MAX_FRAMES * 9 + WIRE_BLOCK_BYTES];
	uint32_t have = 0, at = 0, count = 0;
	uint64_t last[] = {0, WIRE_FRAME_PYTHON};
	unsigned kind = 0;

	for (uint32_t block = stack->block; block != 0;
		block = atomic_load(&store.blocks[block].next)) {
		memcpy(bytes + have, store.blocks[block].bytes, WIRE_BLOCK_BYTES);
		have += WIRE_BLOCK_BYTES;
	}
	ck_assert_uint_le(stack->bytes, have);
	ck_assert_uint_lt(have - stack->bytes, WIRE_BLOCK_BYTES);
	while (at < stack->bytes) {
		unsigned more = bytes[at] & WIRE_NUMBER_MORE;
		uint64_t number = 0;

		for (unsigned i = 0; i <= more; i++)
			number |= (uint64_t)bytes[at++] << 8 * i;
		number >>= WIRE_NUMBER_SHIFT;
		if (number == WIRE_NUMBER_OTHER_KIND) {
			kind ^= 1;
			continue;
		}
		number--;
		last[kind] += number & 1 ? ~(number >> 1) : number >> 1;
		frames[count++] = last[kind];
	}
	ck_assert_uint_eq(count, stack->frame_count);
	return count;
}

START_TEST(stacks_of_every_length_come_out_as_they_went_in)
{
	struct random random = {1};
	uint64_t frames[WIRE_MAX_FRAMES];

	for (unsigned i = 0; i < WIRE_MAX_FRAMES; i++)
		frames[i] = 0x7f0000000000 + random_below(&random, 1 << 22);
	for (unsigned count = 0; count <= WIRE_MAX_FRAMES; count++)
		assert_round_trip(frames, count);
}
END_TEST

/* An address, or a word of Python's. */
static uint64_t any_frame(struct random *random, bool is_python)
{
	uint64_t frame = random_next(random) >> (8 + random_below(random, 56));

	return is_python ? WIRE_FRAME_PYTHON | frame : frame;
}

START_TEST(frames_may_lie_anywhere_in_the_address_space)
{
	static const uint64_t last = WIRE_FRAME_PYTHON - 1;
	const uint64_t ends[] = {0, last, 0, last, 1, last - 1, last, last, 0, 0, WIRE_FRAME_PYTHON,
		WIRE_FRAME_PYTHON | last, last, WIRE_FRAME_PYTHON, WIRE_FRAME_PYTHON, 0};
	struct random random = {2};
	uint64_t frames[WIRE_MAX_FRAMES];

	assert_round_trip(ends, sizeof ends / sizeof *ends);
	assert_round_trip(ends + 10, sizeof ends / sizeof *ends - 10);
	for (unsigned round = 0; round < 2000; round++) {
		unsigned count = (unsigned)random_below(&random, WIRE_MAX_FRAMES + 1);
		unsigned python = (unsigned)random_below(&random, 3);

		/* Numbers of 1 to 8 bytes in every place of a block. */
		for (unsigned i = 0; i < count; i++)
			frames[i] = any_frame(&random, random_below(&random, 2) < python);
		assert_round_trip(frames, count);
	}
}
END_TEST

/* No frame looks like that, but a walk may have been led astray. */
START_TEST(what_is_no_frame_stays_within_its_blocks)
{
	struct random random = {4};
	uint64_t frames[WIRE_MAX_FRAMES], decoded[WIRE_MAX_FRAMES];
	struct stack_view view;

	for (unsigned round = 0; round < 2000; round++) {
		unsigned count = 1 + (unsigned)random_below(&random, WIRE_MAX_FRAMES);

		for (unsigned i = 0; i < count; i++)
			frames[i] = random_next(&random) >> random_below(&random, 8);
		uint32_t reference = intern(frames, count);
		ck_assert_uint_ne(reference, 0);
		ck_assert_int_eq(stack_store_read(&store, reference, decoded, &view), 0);
		ck_assert_uint_eq(view.frame_count, count);
		stack_store_release(&store, reference);
		assert_empty();
	}
}
END_TEST

START_TEST(the_bytes_are_what_the_wire_says)
{
	struct random random = {3};
	uint64_t frames[WIRE_MAX_FRAMES], decoded[WIRE_MAX_FRAMES];

	for (unsigned round = 0; round < 500; round++) {
		unsigned count = (unsigned)random_below(&random, WIRE_MAX_FRAMES + 1);

		for (unsigned i = 0; i < count; i++)
			frames[i] = any_frame(&random, random_below(&random, 4) == 0);
		uint32_t reference = intern(frames, count);
		ck_assert_uint_ne(reference, 0);
		ck_assert_uint_eq(decode_as_the_daemon(reference, decoded), count);
		ck_assert_mem_eq(decoded, frames, count * sizeof *frames);
		stack_store_release(&store, reference);
	}
}
END_TEST

START_TEST(equal_stacks_are_kept_once)
{
	uint64_t frames[30], copy[30];
	uint32_t reference;

	for (unsigned i = 0; i < 30; i++)
		copy[i] = frames[i] = 0x550000001000 + i * 0x1234;
	reference = intern(frames, 30);
	ck_assert_uint_ne(reference, 0);
	ck_assert_uint_eq(intern(copy, 30), reference);
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), 1);
	stack_store_release(&store, reference);
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), 1);
	stack_store_release(&store, reference);
	assert_empty();
}
END_TEST

START_TEST(whatever_differs_makes_another_stack)
{
	uint64_t frames[3] = {0x1000, 0x2000, 0x3000}, other[3] = {0x1000, 0x2001, 0x3000};
	struct stack_view views[] = {
		{frames, 3, 0, 0, 0},
		{other, 3, 0, 0, 0},
		{frames, 2, 0, 0, 0},
		{frames, 3, WIRE_STOP_MAX, 0, 0},
		{frames, 3, 0, 1, 0},
		{frames, 3, 0, 0, 1},
		{frames, 0, 0, 0, 0},
		{frames, 0, 1, 0, 0},
	};
	enum { COUNT = sizeof views / sizeof *views };
	uint32_t references[COUNT];

	for (unsigned i = 0; i < COUNT; i++)
		references[i] = stack_store_intern(&store, &views[i], scratch);
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), COUNT);
	for (unsigned i = 0; i < COUNT; i++) {
		assert_reads(references[i], &views[i]);
		stack_store_release(&store, references[i]);
	}
	assert_empty();
}
END_TEST

/* The comparison behind the hash, which no two stacks of a test ever share. */
START_TEST(stacks_with_the_same_hash_are_told_apart)
{
	uint64_t a = 0x1000, b = 0x1001, hash;
	uint32_t first, second;

	make_store(TINY);
	first = intern(&b, 1);
	hash = atomic_load(&store.stacks[first - 1].hash);
	stack_store_release(&store, first);
	/* As if `a` had the hash of `b`; there is but one window. */
	first = intern(&a, 1);
	atomic_store(&store.stacks[first - 1].hash, hash);
	second = intern(&b, 1);
	ck_assert_uint_ne(second, first);
	ck_assert_uint_eq(intern(&b, 1), second);
	/* The count that was taken to compare was given back. */
	stack_store_release(&store, first);
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), 1);
}
END_TEST

START_TEST(a_stack_of_too_many_frames_is_refused)
{
	static uint64_t frames[WIRE_MAX_FRAMES + 1];

	ck_assert_uint_eq(intern(frames, WIRE_MAX_FRAMES + 1), 0);
	assert_empty();
}
END_TEST

START_TEST(a_stale_reference_gives_what_is_there_now_or_nothing)
{
	uint64_t frame = 1, other = 2;
	struct stack_view view = {.frames = &other, .frame_count = 1};
	uint32_t stale, reference;

	make_store(TINY);
	stale = intern(&frame, 1);
	ck_assert(stack_store_acquire(&store, stale));
	stack_store_release(&store, stale);
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), 1);
	stack_store_release(&store, stale);
	ck_assert(!stack_store_acquire(&store, stale));
	reference = intern(&other, 1);
	ck_assert_uint_eq(reference, stale);
	ck_assert(stack_store_acquire(&store, stale));
	assert_reads(stale, &view);
	stack_store_release(&store, reference);
	assert_reads(stale, &view);
	stack_store_release(&store, stale);
	assert_empty();
}
END_TEST

START_TEST(references_that_never_were_are_refused)
{
	uint64_t frames[WIRE_MAX_FRAMES];
	struct stack_view view;
	uint32_t wrong[] = {0, 1, store.stack_count, store.stack_count + 1, UINT32_MAX};

	for (unsigned i = 0; i < sizeof wrong / sizeof *wrong; i++)
		ck_assert(!stack_store_acquire(&store, wrong[i]));
	ck_assert_int_eq(stack_store_read(&store, 0, frames, &view), -EINVAL);
	ck_assert_int_eq(stack_store_read(&store, store.stack_count + 1, frames, &view), -EINVAL);
	stack_store_release(&store, 0);
	stack_store_release(&store, UINT32_MAX);
	assert_empty();
}
END_TEST

START_TEST(an_entry_that_is_busy_is_left_alone)
{
	uint64_t frame = 1;
	uint32_t left, reference;

	/* As its thread left it that was killed while it filled or emptied the entry. */
	make_store(TINY);
	left = intern(&frame, 1);
	atomic_store(&store.stacks[left - 1].refs, 1);
	ck_assert(!stack_store_acquire(&store, left));
	reference = intern(&frame, 1);
	ck_assert_uint_ne(reference, 0);
	ck_assert_uint_ne(reference, left);
	stack_store_release(&store, reference);
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), 1);
	ck_assert_uint_eq(atomic_load(&store.stacks[left - 1].refs), 1);
}
END_TEST

static Suite *stack_store_suite(void)
{
	Suite *s = suite_create("stack_store");
	TCase *t = tcase_create("stack_store");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, stacks_of_every_length_come_out_as_they_went_in);
	tcase_add_test(t, frames_may_lie_anywhere_in_the_address_space);
	tcase_add_test(t, what_is_no_frame_stays_within_its_blocks);
	tcase_add_test(t, the_bytes_are_what_the_wire_says);
	tcase_add_test(t, equal_stacks_are_kept_once);
	tcase_add_test(t, whatever_differs_makes_another_stack);
	tcase_add_test(t, stacks_with_the_same_hash_are_told_apart);
	tcase_add_test(t, a_stack_of_too_many_frames_is_refused);
	tcase_add_test(t, a_stale_reference_gives_what_is_there_now_or_nothing);
	tcase_add_test(t, references_that_never_were_are_refused);
	tcase_add_test(t, an_entry_that_is_busy_is_left_alone);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(stack_store_suite)
