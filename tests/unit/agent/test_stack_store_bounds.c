/* What the store takes, what it refuses, and what is left when its memory is overwritten. */
#include <errno.h>
#include <stdio.h>
#include "stack_store_fixture.h"
#include "support/random.h"

/* A stack of one frame. */
static uint32_t intern_one(uint64_t frame)
{
	return intern(&frame, 1);
}

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
	Suite *s = suite_create("stack_store_bounds");
	TCase *t = tcase_create("stack_store_bounds");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, the_largest_stack_takes_77_blocks);
	tcase_add_test(t, memory_too_small_for_one_window_is_refused);
	tcase_add_test(t, the_layout_uses_the_memory_whatever_its_size);
	tcase_add_test(t, a_full_store_refuses_and_recovers);
	tcase_add_test(t, a_stack_without_blocks_left_is_refused_whole);
	tcase_add_test(t, hardly_a_stack_is_refused_before_the_store_is_crowded);
	tcase_add_test(t, released_memory_is_used_again_for_ever);
	tcase_add_test(t, a_count_never_overflows);
	tcase_add_test(t, overwritten_memory_leads_nowhere_outside);
	tcase_add_test(t, a_distinct_stack_of_30_frames_takes_little_memory);
	tcase_add_test(t, a_few_stacks_touch_a_few_pages);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(stack_store_suite)
