/* The store of live samples' stacks: what goes in comes out, equal stacks are kept once, and what
 * is released is used again for ever. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "spprof/wire/record.h"
#include "stack_store.h"
#include "support/random.h"
#include "support/tap_main.h"

#define TINY ((size_t)8 * (32 + 3 * 64)) /* one window of entries, 23 blocks */

static struct stack_store store;
static void *memory;
static size_t memory_size;
static uint8_t scratch[STACK_STORE_SCRATCH];

static void make_store(size_t size)
{
	free(memory);
	/* Aligned as the agent's memory is, so that tools see a step over its end. */
	memory = aligned_alloc(64, (size + 63) / 64 * 64);
	ck_assert_ptr_nonnull(memory);
	memset(memory, 0, size);
	memory_size = size;
	ck_assert_int_eq(stack_store_init(&store, memory, size), 0);
}

static void set_up(void)
{
	make_store((size_t)4 << 20);
}

static void tear_down(void)
{
	free(memory);
	memory = NULL;
}

static uint32_t intern(const uint64_t *frames, unsigned count)
{
	struct stack_view view = {.frames = frames, .frame_count = (uint16_t)count};

	return stack_store_intern(&store, &view, scratch);
}

/* A stack of one frame. */
static uint32_t intern_one(uint64_t frame)
{
	return intern(&frame, 1);
}

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

static void assert_empty(void)
{
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), 0);
	ck_assert_uint_eq(stack_store_blocks_in_use(&store), 0);
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

START_TEST(the_largest_stack_takes_77_blocks)
{
	uint64_t frames[WIRE_MAX_FRAMES];
	uint32_t reference;

	for (unsigned i = 0; i < WIRE_MAX_FRAMES; i++)
		frames[i] =
			(i % 2 ? 0 : WIRE_FRAME_PYTHON) | (i % 4 < 2 ? WIRE_FRAME_PYTHON - 1 : 0);
	reference = intern(frames, WIRE_MAX_FRAMES);
	ck_assert_uint_ne(reference, 0);
	ck_assert_uint_eq(store.stacks[reference - 1].bytes, WIRE_MAX_FRAMES * 9);
	ck_assert_uint_eq(stack_store_blocks_in_use(&store), 77);
	stack_store_release(&store, reference);
	assert_empty();
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

START_TEST(memory_too_small_for_one_window_is_refused)
{
	static uint64_t words[TINY / 8];

	ck_assert_int_eq(stack_store_init(&store, words, TINY - 1), -ENOMEM);
	ck_assert_int_eq(stack_store_init(&store, words, 0), -ENOMEM);
	ck_assert_int_eq(stack_store_init(&store, words, TINY), 0);
	ck_assert_uint_ne(intern_one(1), 0);
}
END_TEST

/* Entries, then blocks, within the memory, and levels that cover all entries. */
START_TEST(the_layout_uses_the_memory_whatever_its_size)
{
	static const size_t sizes[] = {TINY, TINY + 100, 600 * 224, 1536 * 224, 3000 * 224 + 7,
		(size_t)1 << 20, (size_t)100 << 20, (size_t)5 << 30};
	uint64_t word = 0;

	for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
		uint32_t covered = 0;

		/* Only addresses are computed: nothing is touched. */
		ck_assert_int_eq(stack_store_init(&store, &word, sizes[i]), 0);
		size_t used = (size_t)((char *)&store.blocks[store.block_count] - (char *)&word);
		ck_assert_uint_le(used, sizes[i]);
		ck_assert_uint_gt(used, sizes[i] - 8 * 224);
		ck_assert_ptr_eq(store.blocks, &store.stacks[store.stack_count]);
		for (uint32_t level = 0; level < store.level_count; level++) {
			ck_assert_uint_eq(store.level[level].first, covered);
			ck_assert_uint_gt(store.level[level].windows, 0);
			covered += store.level[level].windows * STACK_STORE_WINDOW;
		}
		ck_assert_uint_eq(covered, store.stack_count);
	}
}
END_TEST

START_TEST(a_full_store_refuses_and_recovers)
{
	uint32_t references[8];

	make_store(TINY);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 8; i++) {
			ck_assert_int_eq(stack_store_crowded(&store), i >= 6);
			references[i] = intern_one(100 + i);
			ck_assert_uint_ne(references[i], 0);
		}
		ck_assert_uint_eq(intern_one(99), 0);
		/* Those it has are still found. */
		ck_assert_uint_eq(intern_one(103), references[3]);
		stack_store_release(&store, references[3]);
		stack_store_release(&store, references[5]);
		ck_assert_uint_ne(references[5] = intern_one(99), 0);
		for (unsigned i = 0; i < 8; i++)
			stack_store_release(&store, references[i]);
		assert_empty();
	}
}
END_TEST

START_TEST(a_stack_without_blocks_left_is_refused_whole)
{
	uint64_t large[WIRE_MAX_FRAMES], small = 7;
	uint32_t first, second;

	make_store(TINY);
	for (unsigned i = 0; i < WIRE_MAX_FRAMES; i++)
		large[i] = i % 2 ? 0 : UINT64_C(1) << 55; /* 8 bytes each */
	first = intern(large, 112);			  /* 15 of 23 blocks */
	ck_assert_uint_ne(first, 0);
	ck_assert_uint_eq(stack_store_blocks_in_use(&store), 15);
	ck_assert_uint_eq(intern(large, 66), 0); /* 9 */
	ck_assert_uint_eq(stack_store_blocks_in_use(&store), 15);
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), 1);
	ck_assert(!stack_store_crowded(&store));
	second = intern(large, 60); /* 8: all that was taken in vain came back */
	ck_assert_uint_ne(second, 0);
	ck_assert(stack_store_crowded(&store));
	ck_assert_uint_eq(intern(&small, 1), 0);
	stack_store_release(&store, first);
	stack_store_release(&store, second);
	assert_empty();
	ck_assert_uint_ne(intern(large, 172), 0);
}
END_TEST

START_TEST(hardly_a_stack_is_refused_before_the_store_is_crowded)
{
	uint32_t count = store.stack_count / 4 * 3, refused = 0;
	uint32_t *references = calloc(count, sizeof *references);

	ck_assert_ptr_nonnull(references);
	for (uint32_t i = 0; i < count; i++) {
		references[i] = intern_one(0x400000 + 16 * (uint64_t)i);
		refused += references[i] == 0;
	}
	printf("# %u of %u refused\n", refused, count);
	ck_assert_uint_le(refused, count / 1000);
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), count - refused);
	for (uint32_t i = 0; i < count; i++)
		if (references[i] != 0)
			ck_assert_uint_eq(intern_one(0x400000 + 16 * (uint64_t)i), references[i]);
	for (uint32_t i = 0; i < count; i++) {
		stack_store_release(&store, references[i]);
		stack_store_release(&store, references[i]);
	}
	assert_empty();
	free(references);
}
END_TEST

/* Millions of stacks of all sizes through a few blocks: nothing seeps away. */
START_TEST(released_memory_is_used_again_for_ever)
{
	enum { HELD = 6, CYCLES = 1000000 };
	uint32_t held[HELD] = {0};
	struct random random = {4};
	unsigned refused = 0;

	make_store(TINY);
	for (unsigned cycle = 0; cycle < CYCLES; cycle++) {
		unsigned slot = (unsigned)random_below(&random, HELD);
		unsigned count = (unsigned)random_below(&random, 20);
		uint64_t frames[20];

		for (unsigned i = 0; i < count; i++)
			frames[i] = random_next(&random);
		stack_store_release(&store, held[slot]);
		held[slot] = intern(frames, count);
		refused += held[slot] == 0;
	}
	/* Six at most have 24 blocks, and hardly ever all of them. */
	ck_assert_uint_lt(refused, CYCLES / 100);
	for (unsigned i = 0; i < HELD; i++)
		stack_store_release(&store, held[i]);
	assert_empty();
	ck_assert_uint_ne(intern((const uint64_t[]){1, 1, 1, 1, 1, 1, 1, 1}, 8), 0);
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

START_TEST(a_count_never_overflows)
{
	uint64_t frame = 1;
	uint32_t full = intern(&frame, 1), other;

	atomic_store(&store.stacks[full - 1].refs, UINT64_C(7) << 32 | 0x80000000);
	ck_assert(!stack_store_acquire(&store, full));
	other = intern(&frame, 1);
	ck_assert_uint_ne(other, 0);
	ck_assert_uint_ne(other, full);
}
END_TEST

/* The program wrote over the agent's memory: frames are wrong, but nothing outside is touched. */
START_TEST(overwritten_memory_leads_nowhere_outside)
{
	struct random random = {5};
	uint64_t frames[WIRE_MAX_FRAMES];
	struct stack_view view;

	for (unsigned round = 0; round < 2000; round++) {
		uint32_t references[8];

		make_store(TINY);
		for (unsigned i = 0; i < 8; i++) {
			for (unsigned j = 0; j < 20; j++)
				frames[j] = random_next(&random);
			references[i] = intern(frames, 4 * i % 20);
		}
		for (unsigned i = 0; i < 100; i++)
			((uint8_t *)memory)[random_below(&random, memory_size)] =
				(uint8_t)random_next(&random);
		for (unsigned i = 0; i < 8; i++) {
			stack_store_acquire(&store, references[i]);
			stack_store_read(&store, references[i], frames, &view);
			stack_store_release(&store, references[i]);
			stack_store_release(&store, references[i]);
			intern(frames, 10);
		}
	}
}
END_TEST

/* A realistic program: 4 modules, functions called from several places, 30 frames. */
START_TEST(a_distinct_stack_of_30_frames_takes_little_memory)
{
	enum { STACKS = 2000, FRAMES = 30, MODULES = 4 };
	static const uint64_t base[MODULES] = {
		0x555555554000, 0x7ffff7a00000, 0x7ffff6800000, 0x7ffff7fc0000};
	static const uint64_t text[MODULES] = {8 << 20, 2 << 20, 4 << 20, 128 << 10};
	struct random random = {6};
	uint64_t bytes;

	for (unsigned n = 0; n < STACKS; n++) {
		uint64_t frames[FRAMES];
		unsigned module = 1;

		for (unsigned i = 0; i < FRAMES; i++) {
			if (random_below(&random, 4) == 0)
				module = (unsigned)random_below(&random, MODULES);
			frames[i] = base[module] + random_below(&random, text[module]);
		}
		ck_assert_uint_ne(intern(frames, FRAMES), 0);
	}
	ck_assert_uint_eq(stack_store_stacks_in_use(&store), STACKS);
	bytes = (uint64_t)stack_store_blocks_in_use(&store) * sizeof(struct wire_stack_block) +
		(uint64_t)STACKS * sizeof(struct wire_stack);
	printf("# %.1f bytes per distinct stack of %d frames\n", (double)bytes / STACKS, FRAMES);
	ck_assert_uint_le(bytes / STACKS, 300);
}
END_TEST

START_TEST(a_few_stacks_touch_a_few_pages)
{
	enum { PAGE = 4096, STACKS = 100 };
	unsigned touched = 0;

	for (unsigned i = 0; i < STACKS; i++)
		ck_assert_uint_ne(intern_one(0x400000 + 16 * i), 0);
	for (size_t page = 0; page < memory_size / PAGE; page++) {
		const char *bytes = (const char *)memory + page * PAGE;
		bool zero = bytes[0] == 0 && memcmp(bytes, bytes + 1, PAGE - 1) == 0;

		touched += !zero;
	}
	/* 16 KiB of entries, 101 blocks. */
	ck_assert_uint_le(touched, 4 + 3);
}
END_TEST

static Suite *stack_store_suite(void)
{
	Suite *suite = suite_create("stack_store");
	TCase *tcase = tcase_create("stack_store");

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, stacks_of_every_length_come_out_as_they_went_in);
	tcase_add_test(tcase, frames_may_lie_anywhere_in_the_address_space);
	tcase_add_test(tcase, the_largest_stack_takes_77_blocks);
	tcase_add_test(tcase, what_is_no_frame_stays_within_its_blocks);
	tcase_add_test(tcase, the_bytes_are_what_the_wire_says);
	tcase_add_test(tcase, equal_stacks_are_kept_once);
	tcase_add_test(tcase, whatever_differs_makes_another_stack);
	tcase_add_test(tcase, stacks_with_the_same_hash_are_told_apart);
	tcase_add_test(tcase, a_stack_of_too_many_frames_is_refused);
	tcase_add_test(tcase, memory_too_small_for_one_window_is_refused);
	tcase_add_test(tcase, the_layout_uses_the_memory_whatever_its_size);
	tcase_add_test(tcase, a_full_store_refuses_and_recovers);
	tcase_add_test(tcase, a_stack_without_blocks_left_is_refused_whole);
	tcase_add_test(tcase, hardly_a_stack_is_refused_before_the_store_is_crowded);
	tcase_add_test(tcase, released_memory_is_used_again_for_ever);
	tcase_add_test(tcase, a_stale_reference_gives_what_is_there_now_or_nothing);
	tcase_add_test(tcase, references_that_never_were_are_refused);
	tcase_add_test(tcase, an_entry_that_is_busy_is_left_alone);
	tcase_add_test(tcase, a_count_never_overflows);
	tcase_add_test(tcase, overwritten_memory_leads_nowhere_outside);
	tcase_add_test(tcase, a_distinct_stack_of_30_frames_takes_little_memory);
	tcase_add_test(tcase, a_few_stacks_touch_a_few_pages);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(stack_store_suite)
