/* frames: chains of frames as each version has them, made by hand. */
#include <string.h>
#include "fork_word.h"
#include "python/codes.h"
#include "python/frames.h"
#include "python/runtime.h"
#include "segment.h"
#include "support/fake_code.h"
#include "support/tap_main.h"

enum { MANY = 4000, CODE_TYPE = 0x1230 };

struct object { /* a thread's state, a CFrame or a frame of any version */
	_Alignas(8) uint8_t bytes[128];
};

static struct segment segment;
static struct runtime runtime;
static struct object state, cframes[4], frames[MANY];
static struct fake_code *code;
static struct frames taken;
static void *current, *own;
static int finalizing;

static void *current_state(void)
{
	return current;
}

static void *own_state(void)
{
	return own;
}

static int is_finalizing(void)
{
	return finalizing;
}

static void put(struct object *object, uint16_t offset, uintptr_t value)
{
	memcpy(object->bytes + offset, &value, sizeof value);
}

/* Code whose fields are at the places of 3.12 in all layouts: what differs between them is tested elsewhere. */
static void setup_version(uint32_t version)
{
	const struct segment_facts facts = {.ring_count = 2, .ring_size = 64u << 10};
	struct layout ours = fake_layout();

	ck_assert(layout_known(version, &runtime.layout));
	runtime.layout.code_first_line = ours.code_first_line;
	runtime.layout.code_file = ours.code_file;
	runtime.layout.code_name = ours.code_name;
	runtime.layout.code_lines = ours.code_lines;
	if (runtime.layout.lasti_is_pointer)
		runtime.layout.code_bytes = ours.code_bytes;
	runtime.current_state = current_state;
	runtime.own_state = own_state;
	runtime.is_finalizing = is_finalizing;
	runtime.code_type = CODE_TYPE;
	ck_assert_int_eq(fork_word_make(), 0);
	ck_assert_int_eq(segment_create(&segment, &facts), 0);
	segment_map_definitions(&segment);
	ck_assert(codes_init());
	code = fake_code_new("f", "/srv/app.py", 1, 1);
	code->type = (const void *)CODE_TYPE;
	current = own = &state;
}

static void make_frame(unsigned i, uintptr_t instruction, uintptr_t previous, uint8_t owner)
{
	const struct layout *layout = &runtime.layout;

	put(&frames[i], layout->frame_code, (uintptr_t)code);
	put(&frames[i], layout->frame_previous, previous);
	if (layout->lasti_is_pointer)
		put(&frames[i], layout->frame_lasti, instruction);
	else
		memcpy(frames[i].bytes + layout->frame_lasti, &instruction, 4);
	if (layout->frame_owner)
		frames[i].bytes[layout->frame_owner] = owner;
}

static uintptr_t at(unsigned i)
{
	return (uintptr_t)&frames[i];
}

static enum frames_verdict take(void)
{
	return frames_take(&runtime, &segment, &taken);
}

static void assert_group(unsigned i, const void *address, uint32_t end)
{
	ck_assert_uint_lt(i, taken.group_count);
	ck_assert_uint_eq(taken.groups[i].address, (uintptr_t)address);
	ck_assert_uint_eq(taken.groups[i].end, end);
}

static void assert_unit(unsigned i, uint32_t unit)
{
	ck_assert(wire_frame_is_python(taken.words[i]));
	ck_assert_uint_eq(wire_frame_code(taken.words[i]), 1);
	ck_assert_uint_eq(wire_frame_unit(taken.words[i]), unit);
}

START_TEST(frame_objects_are_groups_of_one_without_a_place)
{
	setup_version(0x309);
	put(&state, runtime.layout.state_frame, at(0));
	make_frame(0, 20, at(1), 0);
	make_frame(1, (uintptr_t)-1, 0, 0);
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	ck_assert_uint_eq(taken.count, 2);
	assert_unit(0, 10); /* bytes */
	assert_unit(1, WIRE_FRAME_NO_UNIT);
	assert_group(0, NULL, 1);
	assert_group(1, NULL, 2);
}
END_TEST

START_TEST(cframes_run_beside_frame_objects)
{
	setup_version(0x30a);
	put(&state, runtime.layout.state_frame, at(0));
	put(&state, runtime.layout.state_cframe, (uintptr_t)&cframes[0]);
	put(&cframes[0], runtime.layout.cframe_previous, (uintptr_t)&cframes[1]);
	put(&cframes[1], runtime.layout.cframe_previous,
		(uintptr_t)&cframes[0]); /* not further out */
	make_frame(0, 20, at(1), 0);
	make_frame(1, 30, at(2), 0);
	make_frame(2, 40, 0, 0);
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	ck_assert_uint_eq(taken.count, 3);
	assert_unit(0, 20); /* units */
	assert_group(0, &cframes[0], 1);
	assert_group(1, &cframes[1], 2);
	assert_group(2, NULL, 3);
}
END_TEST

START_TEST(an_entry_frame_ends_a_group)
{
	setup_version(0x30b);
	put(&state, runtime.layout.state_cframe, (uintptr_t)&cframes[0]);
	put(&cframes[0], runtime.layout.cframe_frame, at(0));
	put(&cframes[0], runtime.layout.cframe_previous, (uintptr_t)&cframes[1]);
	make_frame(0, (uintptr_t)&code->units[3], at(1), 0);
	make_frame(1, (uintptr_t)&code->units[4], at(2), 1);
	make_frame(2, (uintptr_t)code->units - 2, 0, 1);
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	ck_assert_uint_eq(taken.count, 3);
	assert_unit(0, 3);
	assert_unit(2, WIRE_FRAME_NO_UNIT);
	assert_group(0, &cframes[0], 2);
	assert_group(1, &cframes[1], 3);
}
END_TEST

/* In 3.12: state → CFrame → frame. */
static void setup_shims(void)
{
	setup_version(0x30c);
	put(&state, runtime.layout.state_cframe, (uintptr_t)&cframes[0]);
	put(&cframes[0], runtime.layout.cframe_frame, at(0));
}

START_TEST(a_shim_ends_a_group_and_is_its_place)
{
	setup_shims();
	make_frame(0, (uintptr_t)&code->units[3], at(1), 0);
	make_frame(1, (uintptr_t)&code->units[4], at(2), 1);
	make_frame(2, 0, at(3), 3);
	make_frame(3, (uintptr_t)&code->units[5], at(4), 2);
	make_frame(4, 0, 0, 3);
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	ck_assert_uint_eq(taken.count, 3);
	assert_unit(2, 5);
	assert_group(0, &frames[2], 2);
	assert_group(1, &frames[4], 3);
	ck_assert_uint_eq(taken.group_count, 2);
}
END_TEST

START_TEST(a_call_that_runs_nothing_yet_is_no_group)
{
	setup_shims();
	make_frame(0, 0, at(1), 3);
	make_frame(1, (uintptr_t)&code->units[4], at(2), 0);
	make_frame(2, 0, 0, 3);
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	ck_assert_uint_eq(taken.group_count, 1);
	assert_group(0, &frames[2], 1);
	put(&cframes[0], runtime.layout.cframe_frame, 0);
	ck_assert_int_eq(take(), FRAMES_NONE);
}
END_TEST

START_TEST(of_many_frames_the_innermost_are_taken_and_their_place_is_found)
{
	setup_shims();
	for (unsigned i = 0; i < 1500; i++)
		make_frame(i, (uintptr_t)&code->units[1], at(i + 1), 0);
	make_frame(1500, 0, at(1501), 3);
	make_frame(1501, (uintptr_t)&code->units[1], 0, 0);
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	ck_assert_uint_eq(taken.count, WIRE_MAX_FRAMES);
	ck_assert_uint_eq(taken.group_count, 1);
	assert_group(0, &frames[1500], WIRE_MAX_FRAMES);
}
END_TEST

START_TEST(a_chain_that_does_not_end_is_left)
{
	setup_shims();
	make_frame(0, (uintptr_t)&code->units[1], at(0), 0);
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	ck_assert_uint_eq(taken.count, WIRE_MAX_FRAMES);
	assert_group(0, NULL, WIRE_MAX_FRAMES);
	make_frame(0, 0, at(0), 3);
	ck_assert_int_eq(take(), FRAMES_NONE);
}
END_TEST

START_TEST(what_is_no_frame_ends_the_chain)
{
	static const uintptr_t wrong[] = {8, 0x1234567, UINT64_C(1) << 60, UINTPTR_MAX - 7};

	setup_shims();
	for (unsigned i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
		make_frame(0, (uintptr_t)&code->units[1], wrong[i], 0);
		ck_assert_int_eq(take(), FRAMES_TAKEN);
		ck_assert_uint_eq(taken.count, 1);
		assert_group(0, NULL, 1);
		make_frame(0, (uintptr_t)&code->units[1], 0, 0);
		put(&frames[0], runtime.layout.frame_code, wrong[i]);
		ck_assert_int_eq(take(), FRAMES_NONE);
	}
	make_frame(0, (uintptr_t)&code->units[1], 0, 0);
	code->type = (const void *)0x4560;
	ck_assert_int_eq(take(), FRAMES_NONE);
}
END_TEST

START_TEST(without_the_gil_the_threads_own_state_is_looked_at)
{
	setup_shims();
	make_frame(0, (uintptr_t)&code->units[1], 0, 0);
	current = NULL;
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	own = NULL;
	ck_assert_int_eq(take(), FRAMES_NONE);
	ck_assert_int_eq(frames_ask(&runtime), FRAMES_NONE);
}
END_TEST

START_TEST(while_the_interpreter_ends_only_an_attached_state_is_looked_at)
{
	setup_shims();
	make_frame(0, (uintptr_t)&code->units[1], 0, 0);
	finalizing = 1;
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	current = NULL;
	ck_assert_int_eq(take(), FRAMES_REFUSED);
	setup_version(0x309);
	put(&state, runtime.layout.state_frame, at(0));
	make_frame(0, 2, 0, 0);
	ck_assert_int_eq(take(), FRAMES_TAKEN);
	current = &cframes[1]; /* another thread's */
	ck_assert_int_eq(take(), FRAMES_REFUSED);
	finalizing = 0;
	ck_assert_int_eq(take(), FRAMES_TAKEN);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("frames");
	TCase *t = tcase_create("frames");

	tcase_add_test(t, frame_objects_are_groups_of_one_without_a_place);
	tcase_add_test(t, cframes_run_beside_frame_objects);
	tcase_add_test(t, an_entry_frame_ends_a_group);
	tcase_add_test(t, a_shim_ends_a_group_and_is_its_place);
	tcase_add_test(t, a_call_that_runs_nothing_yet_is_no_group);
	tcase_add_test(t, of_many_frames_the_innermost_are_taken_and_their_place_is_found);
	tcase_add_test(t, a_chain_that_does_not_end_is_left);
	tcase_add_test(t, what_is_no_frame_ends_the_chain);
	tcase_add_test(t, without_the_gil_the_threads_own_state_is_looked_at);
	tcase_add_test(t, while_the_interpreter_ends_only_an_attached_state_is_looked_at);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
