/* mixed_stack: which Python frames stand behind which return address. */
#include <string.h>
#include "python/mixed_stack.h"
#include "python/runtime.h"
#include "support/tap_main.h"

/* Native frame i has the stack from 1000 + 100 i on, and is 0x100 + i; Python's words are P(0), P(1), ... */
#define N(i) (UINT64_C(0x100) + (i))
#define P(i) wire_frame_python(1 + (i), 5)

static struct mixed_stack mixed;
static struct runtime runtime;
static uint64_t out[WIRE_MAX_FRAMES];
static uint32_t total;

static void setup(void)
{
	memset(&mixed, 0, sizeof mixed);
	memset(&runtime, 0, sizeof runtime);
	runtime.layout.chain = LAYOUT_SHIMS;
	for (uint32_t i = 0; i < WIRE_MAX_FRAMES; i++) {
		mixed.native[i] = N(i);
		mixed.sp[i] = 1000 + 100 * i;
	}
}

static void group(uintptr_t address, uint32_t count)
{
	struct frames *python = &mixed.python;

	for (; count > 0; count--, python->count++)
		python->words[python->count] = P(python->count);
	python->groups[python->group_count++] =
		(struct frames_group){.address = address, .end = python->count};
}

static unsigned merge(uint32_t count, uint8_t stop)
{
	return mixed_stack_merge(&mixed, count, stop, &runtime, out, &total);
}

static void assert_frames(const uint64_t *expected, uint32_t count)
{
	ck_assert_uint_eq(total, count);
	for (uint32_t i = 0; i < count; i++)
		ck_assert_uint_eq(out[i], expected[i]);
}

#define ASSERT_FRAMES(...)                                                                         \
	assert_frames((const uint64_t[]){__VA_ARGS__},                                             \
		sizeof((const uint64_t[]){__VA_ARGS__}) / sizeof(uint64_t))

START_TEST(a_group_stands_behind_the_frame_that_holds_its_address)
{
	group(1250, 2);
	group(1400, 1);
	ck_assert_uint_eq(merge(6, WIRE_STOP_END), MIXED_STACK_PAIRED);
	ASSERT_FRAMES(N(0), N(1), N(2), P(0), P(1), N(3), N(4), P(2), N(5));
}
END_TEST

START_TEST(a_frame_ends_where_the_next_begins)
{
	group(1199, 1);
	group(1200, 1);
	ck_assert_uint_eq(merge(4, WIRE_STOP_END), MIXED_STACK_PAIRED);
	ASSERT_FRAMES(N(0), N(1), P(0), N(2), P(1), N(3));
}
END_TEST

START_TEST(what_the_walk_did_not_come_to_stands_at_the_end)
{
	group(1150, 1);
	group(2000, 2);
	group(3000, 1);
	ck_assert_uint_eq(merge(3, WIRE_STOP_NO_INFO), MIXED_STACK_UNPAIRED);
	ASSERT_FRAMES(N(0), N(1), P(0), N(2), P(1), P(2), P(3));
}
END_TEST

START_TEST(a_group_without_an_address_stands_at_the_end)
{
	group(1150, 1);
	group(0, 1);
	ck_assert_uint_eq(merge(3, WIRE_STOP_END), MIXED_STACK_UNPAIRED);
	ASSERT_FRAMES(N(0), N(1), P(0), N(2), P(1));
}
END_TEST

START_TEST(frames_on_another_stack_are_passed_over)
{
	/* A handler's stack lies above, the one that it interrupted below. */
	mixed.sp[0] = 900000;
	mixed.sp[1] = 900100;
	group(1250, 1);
	ck_assert_uint_eq(merge(5, WIRE_STOP_END), MIXED_STACK_PAIRED);
	ASSERT_FRAMES(N(0), N(1), N(2), P(0), N(3), N(4));
}
END_TEST

START_TEST(of_too_many_the_innermost_are_kept)
{
	group(1050, 300);
	group(1250, 200);
	ck_assert_uint_eq(merge(20, WIRE_STOP_END), MIXED_STACK_CUT);
	ck_assert_uint_eq(total, WIRE_MAX_FRAMES);
	ck_assert_uint_eq(out[0], N(0));
	ck_assert_uint_eq(out[300], P(299));
	ck_assert_uint_eq(out[303], P(300));
	ck_assert_uint_eq(out[502], P(499));
	ck_assert_uint_eq(out[503], N(3));
	ck_assert_uint_eq(out[511], N(11));
}
END_TEST

START_TEST(a_group_that_has_no_room_is_cut)
{
	group(1050, WIRE_MAX_FRAMES);
	ck_assert_uint_eq(merge(WIRE_MAX_FRAMES, WIRE_STOP_MAX), MIXED_STACK_CUT);
	ck_assert_uint_eq(total, WIRE_MAX_FRAMES);
	ck_assert_uint_eq(out[1], P(0));
	ck_assert_uint_eq(out[WIRE_MAX_FRAMES - 1], P(WIRE_MAX_FRAMES - 2));
}
END_TEST

START_TEST(frame_objects_stand_behind_the_evaluators_calls)
{
	runtime.layout.chain = LAYOUT_FRAME_OBJECTS;
	runtime.evaluator_start = 5000;
	runtime.evaluator_end = 6000;
	mixed.native[1] = 5100;
	mixed.native[3] = 6000; /* a call that is its last instruction */
	mixed.native[4] = 5000; /* one before it is another function's */
	group(0, 1);
	group(0, 1);
	ck_assert_uint_eq(merge(6, WIRE_STOP_END), MIXED_STACK_PAIRED);
	ASSERT_FRAMES(N(0), 5100, P(0), N(2), 6000, P(1), 5000, N(5));
}
END_TEST

START_TEST(frame_objects_are_counted_from_the_outside)
{
	runtime.layout.chain = LAYOUT_FRAME_OBJECTS;
	runtime.evaluator_start = 5000;
	runtime.evaluator_end = 6000;
	mixed.native[2] = 5100;
	mixed.native[4] = 5200;
	group(0, 1);
	group(0, 1);
	group(0, 1);
	ck_assert_uint_eq(merge(6, WIRE_STOP_END), MIXED_STACK_UNPAIRED);
	ASSERT_FRAMES(N(0), N(1), 5100, P(0), P(1), N(3), 5200, P(2), N(5));
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("mixed_stack");
	TCase *t = tcase_create("mixed_stack");

	tcase_add_checked_fixture(t, setup, NULL);
	tcase_add_test(t, a_group_stands_behind_the_frame_that_holds_its_address);
	tcase_add_test(t, a_frame_ends_where_the_next_begins);
	tcase_add_test(t, what_the_walk_did_not_come_to_stands_at_the_end);
	tcase_add_test(t, a_group_without_an_address_stands_at_the_end);
	tcase_add_test(t, frames_on_another_stack_are_passed_over);
	tcase_add_test(t, of_too_many_the_innermost_are_kept);
	tcase_add_test(t, a_group_that_has_no_room_is_cut);
	tcase_add_test(t, frame_objects_stand_behind_the_evaluators_calls);
	tcase_add_test(t, frame_objects_are_counted_from_the_outside);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
