/* layout: which versions are known, and what an interpreter that tells its own is believed. */
#include <string.h>
#include "python/layout.h"
#include "support/tap_main.h"

/* What CPython 3.13 tells, in the words that are looked at (release build with the GIL). */
static void tell_313(uint64_t *told)
{
	static const uint16_t thread[] = {320, 0, 8, 16, 72, 152, 160, 208, 32};
	static const uint16_t frame[] = {88, 8, 0, 56, 72, 70};
	static const uint16_t code[] = {208, 112, 120, 128, 136, 68, 52, 96, 104, 200};
	static const uint16_t object[] = {16, 8};
	static const uint16_t bytes[] = {40, 16, 32};
	static const uint16_t string[] = {64, 32, 16, 40};

	memset(told, 0, LAYOUT_TOLD_WORDS * sizeof *told);
	memcpy(told, "xdebugpy", 8);
	told[1] = 0x030d00f0;
#define TELL(at, what)                                                                             \
	for (unsigned i = 0; i < sizeof(what) / sizeof(what)[0]; i++)                              \
	told[(at) + i] = (what)[i]
	TELL(19, thread);
	TELL(28, frame);
	TELL(34, code);
	TELL(44, object);
	TELL(64, bytes);
	TELL(67, string);
#undef TELL
}

START_TEST(versions_from_3_9_to_3_12_are_known)
{
	struct layout layout;

	for (uint32_t version = 0x309; version <= 0x30c; version++) {
		ck_assert(layout_known(version, &layout));
		ck_assert_uint_eq(layout.version, version);
		ck_assert_uint_gt(layout.code_object_size, 0);
	}
	ck_assert(!layout_known(0x308, &layout));
	ck_assert(!layout_known(0x30d, &layout));
}
END_TEST

START_TEST(what_3_13_tells_is_taken)
{
	uint64_t told[LAYOUT_TOLD_WORDS];
	struct layout layout;

	tell_313(told);
	ck_assert(layout_told(0x30d, told, &layout));
	ck_assert_uint_eq(layout.state_frame, 72);
	ck_assert_uint_eq(layout.frame_previous, 8);
	ck_assert_uint_eq(layout.frame_lasti, 56);
	ck_assert_uint_eq(layout.frame_owner, 70);
	ck_assert_uint_eq(layout.code_file, 112);
	ck_assert_uint_eq(layout.code_name, 128);
	ck_assert_uint_eq(layout.code_lines, 136);
	ck_assert_uint_eq(layout.code_first_line, 68);
	ck_assert_uint_eq(layout.code_version, 92);
	ck_assert_uint_eq(layout.code_bytes, 200);
	ck_assert_uint_eq(layout.code_object_size, 200);
	ck_assert_uint_eq(layout.string_compact, 56);
	ck_assert_uint_eq(layout.type_basic_size, 32);
	ck_assert_uint_eq(layout.code_copies, LAYOUT_NONE);
}
END_TEST

START_TEST(what_is_not_as_expected_is_refused)
{
	uint64_t told[LAYOUT_TOLD_WORDS];
	struct layout layout;

	tell_313(told);
	ck_assert(!layout_told(0x30e, told, &layout)); /* another version than it says */
	ck_assert(!layout_told(0x30f, told, &layout));
	told[0]++;
	ck_assert(!layout_told(0x30d, told, &layout));
	tell_313(told);
	told[2] = 2;
	ck_assert(!layout_told(0x30d, told, &layout));
	for (unsigned i = 19; i < 71; i++) {
		tell_313(told);
		told[i] = 4096;
		ck_assert(!layout_told(0x30d, told, &layout));
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("layout");
	TCase *t = tcase_create("layout");

	tcase_add_test(t, versions_from_3_9_to_3_12_are_known);
	tcase_add_test(t, what_3_13_tells_is_taken);
	tcase_add_test(t, what_is_not_as_expected_is_refused);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
