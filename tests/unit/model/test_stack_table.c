#include "model/stack_table.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include "support/random.h"
#include "support/tap_main.h"

static struct stack_table *table;

static void setup(void)
{
	ck_assert_int_eq(stack_table_new(&table, 100000, 64u << 20), 0);
}

static void teardown(void)
{
	table = stack_table_free(table);
	ck_assert_ptr_null(table);
}

/* A stack of `depth` frames that `seed` determines; neighbouring seeds share all but the outermost.
 */
static struct stack_view make_stack(struct stack_frame *frames, uint32_t depth, uint64_t seed)
{
	for (uint32_t i = 0; i < depth; i++)
		frames[i] = (struct stack_frame){
			.pc = 0x400000 + i, .offset = 0x1000 + i, .module = i % 3};
	if (depth)
		frames[depth - 1].offset = 0x100000 + seed;
	return (struct stack_view){.frames = frames, .frame_count = depth};
}

static void assert_same(struct stack_view a, struct stack_view b)
{
	ck_assert_uint_eq(a.frame_count, b.frame_count);
	ck_assert_uint_eq(a.stop, b.stop);
	ck_assert_uint_eq(a.guessed, b.guessed);
	ck_assert_mem_eq(a.frames, b.frames, a.frame_count * sizeof(a.frames[0]));
}

START_TEST(a_new_table_knows_other_only)
{
	ck_assert_uint_eq(stack_table_count(table), 1);
	ck_assert_uint_eq(stack_table_get(table, STACK_TABLE_OTHER).frame_count, 0);
	ck_assert_uint_eq(stack_table_intern(table, &(struct stack_view){0}), STACK_TABLE_OTHER);
	ck_assert_uint_eq(stack_table_folded(table), 0);
}
END_TEST

START_TEST(equal_stacks_share_an_id_and_different_ones_do_not)
{
	struct stack_frame a[8], b[8];
	struct stack_view first = make_stack(a, 8, 1), again = make_stack(b, 8, 1);
	uint32_t id = stack_table_intern(table, &first);
	ck_assert_uint_ne(id, STACK_TABLE_OTHER);
	b[3].pc = 99; /* the same code, mapped elsewhere */
	ck_assert_uint_eq(stack_table_intern(table, &again), id);

	again = make_stack(b, 7, 1);
	ck_assert_uint_ne(stack_table_intern(table, &again), id);
	again = make_stack(b, 8, 1);
	b[0].module = 7;
	ck_assert_uint_ne(stack_table_intern(table, &again), id);
	again = make_stack(b, 8, 1);
	again.stop = 1;
	ck_assert_uint_ne(stack_table_intern(table, &again), id);
	again.stop = 0;
	again.guessed = 2;
	ck_assert_uint_ne(stack_table_intern(table, &again), id);
	ck_assert_uint_eq(stack_table_count(table), 6);
}
END_TEST

START_TEST(an_empty_stack_that_says_why_is_not_other)
{
	uint32_t id = stack_table_intern(table, &(struct stack_view){.stop = 2});
	ck_assert_uint_ne(id, STACK_TABLE_OTHER);
	ck_assert_uint_eq(stack_table_get(table, id).stop, 2);
	ck_assert_uint_eq(stack_table_intern(table, &(struct stack_view){.stop = 2}), id);
}
END_TEST

START_TEST(many_stacks_come_back_as_they_went_in)
{
	enum { STACKS = 20000 };
	struct stack_frame frames[40];
	for (uint64_t i = 0; i < STACKS; i++) {
		struct stack_view stack = make_stack(frames, 1 + (uint32_t)i % 40, i);
		ck_assert_uint_eq(stack_table_intern(table, &stack), i + 1);
	}
	const struct stack_frame *place = stack_table_get(table, 1).frames;
	for (uint64_t i = 0; i < STACKS; i++) {
		struct stack_view stack = make_stack(frames, 1 + (uint32_t)i % 40, i);
		ck_assert_uint_eq(stack_table_intern(table, &stack), i + 1);
		assert_same(stack_table_get(table, (uint32_t)i + 1), stack);
	}
	ck_assert_ptr_eq(stack_table_get(table, 1).frames, place);
	ck_assert_uint_eq(stack_table_count(table), STACKS + 1);
}
END_TEST

/* The index tells stacks apart by 32 bits of hash: of so many, about ten pairs share all of them.
 */
START_TEST(stacks_whose_hashes_collide_stay_apart)
{
	enum { STACKS = 300000 };
	struct stack_table *large;
	struct stack_frame frame = {0};
	struct stack_view stack = {.frames = &frame, .frame_count = 1};
	ck_assert_int_eq(stack_table_new(&large, STACKS + 1, 64u << 20), 0);
	for (uint32_t i = 0; i < STACKS; i++) {
		frame.offset = (uint64_t)i << 20;
		ck_assert_uint_eq(stack_table_intern(large, &stack), i + 1);
	}
	for (uint32_t i = 0; i < STACKS; i++)
		ck_assert_uint_eq(
			stack_table_get(large, i + 1).frames[0].offset, (uint64_t)i << 20);
	stack_table_free(large);
}
END_TEST

START_TEST(past_the_limit_of_stacks_new_ones_fold_and_old_ones_are_found)
{
	struct stack_table *small;
	struct stack_frame frames[4];
	ck_assert_int_eq(stack_table_new(&small, 10, 1 << 20), 0);
	for (uint64_t i = 0; i < 30; i++) {
		struct stack_view stack = make_stack(frames, 4, i);
		ck_assert_uint_eq(
			stack_table_intern(small, &stack), i < 9 ? i + 1 : STACK_TABLE_OTHER);
	}
	ck_assert_uint_eq(stack_table_count(small), 10);
	ck_assert_uint_eq(stack_table_folded(small), 21);
	struct stack_view known = make_stack(frames, 4, 8);
	ck_assert_uint_eq(stack_table_intern(small, &known), 9);
	ck_assert_uint_eq(stack_table_folded(small), 21);
	stack_table_free(small);
}
END_TEST

START_TEST(the_limit_of_bytes_holds_whatever_the_depths)
{
	const size_t limits[] = {0, 1000, 5000, 20000, 100000, 1000000};
	static struct stack_frame frames[512];
	for (size_t l = 0; l < sizeof(limits) / sizeof(limits[0]); l++) {
		struct stack_table *small;
		struct random random = {l};
		ck_assert_int_eq(stack_table_new(&small, 1000000, limits[l]), 0);
		size_t empty = stack_table_bytes(small);
		for (uint64_t i = 0; i < 5000; i++) {
			uint32_t depth = (uint32_t)random_below(&random, i % 10 ? 20 : 513);
			struct stack_view stack = make_stack(frames, depth, i);
			stack_table_intern(small, &stack);
			ck_assert_uint_le(
				stack_table_bytes(small), limits[l] > empty ? limits[l] : empty);
		}
		ck_assert_uint_gt(stack_table_folded(small), 0);
		if (limits[l] >= 20000) /* and the room is used */
			ck_assert_uint_gt(stack_table_bytes(small), limits[l] / 2);
		stack_table_free(small);
	}
}
END_TEST

START_TEST(a_table_without_room_for_other_is_refused)
{
	struct stack_table *none = NULL;
	ck_assert_int_eq(stack_table_new(&none, 0, 1 << 20), -EINVAL);
	ck_assert_ptr_null(none);
	ck_assert_ptr_null(stack_table_free(NULL));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("stack_table");
	TCase *t = tcase_create("stack_table");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_new_table_knows_other_only);
	tcase_add_test(t, equal_stacks_share_an_id_and_different_ones_do_not);
	tcase_add_test(t, an_empty_stack_that_says_why_is_not_other);
	tcase_add_test(t, many_stacks_come_back_as_they_went_in);
	tcase_add_test(t, stacks_whose_hashes_collide_stay_apart);
	tcase_add_test(t, past_the_limit_of_stacks_new_ones_fold_and_old_ones_are_found);
	tcase_add_test(t, the_limit_of_bytes_holds_whatever_the_depths);
	tcase_add_test(t, a_table_without_room_for_other_is_refused);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
