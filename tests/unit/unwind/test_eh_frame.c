/* Finding the entry: of many, of none, in damaged objects, and in those that are really loaded. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <string.h>
#include "cfi_object.h"
#include "support/tap_main.h"
#include "unwind/objects.h"

/* -- finding the entry -- */

START_TEST(a_pc_that_no_entry_covers_has_no_info)
{
	struct cfi_step step;
	cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL});
	ck_assert_int_eq(cfi_object_find((uint32_t)-1, &step), CFI_NO_INFO);
	ck_assert_int_eq(cfi_object_find(0, &step), CFI_STEP);
	ck_assert(cfi_object_begins(0));
	ck_assert(!cfi_object_begins((uint32_t)-1) && !cfi_object_begins(1));
	ck_assert(!cfi_object_begins(CFI_OBJECT_CODE_BYTES) && !cfi_object_begins(1u << 31));
	ck_assert_int_eq(cfi_object_find(CFI_OBJECT_CODE_BYTES - 1, &step), CFI_STEP);
	ck_assert_int_eq(cfi_object_find(CFI_OBJECT_CODE_BYTES, &step), CFI_NO_INFO);
	ck_assert_int_eq(cfi_object_find(1u << 31, &step), CFI_NO_INFO);
}
END_TEST

START_TEST(the_right_entry_is_found_among_many)
{
	enum { MANY = 100 };
	struct cfi_step step;
	cfi_object_size = 12 + MANY * 8;
	size_t cie = cfi_object_size;
	cfi_object_put_cie(&(struct cfi_entry){.common = CFI_AFTER_CALL});
	uint32_t header[3 + 2 * MANY] = {0x3b031b01, (uint32_t)cie - 4, MANY};
	for (uint32_t i = 0; i < MANY; i++) {
		size_t start = cfi_object_size;
		header[3 + 2 * i] = CFI_OBJECT_CODE_OFFSET + 16 * i;
		header[4 + 2 * i] = (uint32_t)start;
		cfi_object_put_u32(0);
		cfi_object_put_u32((uint32_t)(start + 4 - cie));
		cfi_object_put_u32(CFI_OBJECT_CODE_OFFSET + 16 * i - (uint32_t)cfi_object_size);
		cfi_object_put_u32(i % 3 ? 16 : 12); /* some leave a gap */
		cfi_object_put_u8(0);
		cfi_object_put(CFI_PROGRAM(0x0e, (uint8_t)(8 + i)).bytes, 2);
		cfi_object_close_entry(start);
	}
	memcpy(cfi_object_bytes, header, sizeof(header));
	for (uint32_t pc = 0; pc < 16 * MANY; pc++) {
		ck_assert_int_eq(cfi_object_begins(pc), pc % 16 == 0);
		if (pc / 16 % 3 == 0 && pc % 16 >= 12)
			ck_assert_int_eq(cfi_object_find(pc, &step), CFI_NO_INFO);
		else
			cfi_object_assert_step(
				pc, &(struct cfi_step){.cfa_offset = 8 + (int32_t)pc / 16});
	}
}
END_TEST

START_TEST(an_object_without_a_usable_header_has_no_info)
{
	struct cfi_step step;
	struct cfi_object object = {0x1000, 0x2000, 0};
	ck_assert_int_eq(cfi_find(&object, 0x1800, &step), CFI_NO_INFO);
	object.frame_header = 0x3000;
	ck_assert_int_eq(cfi_find(&object, 0x1800, &step), CFI_NO_INFO);
	object.frame_header = 0x2000;
	ck_assert_int_eq(cfi_find(&object, 0x1800, &step), CFI_NO_INFO);
	for (unsigned i = 0; i < 4; i++) {
		cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL});
		cfi_object_bytes[i] ^= 0x10;
		ck_assert_int_eq(cfi_object_find(0, &step), CFI_NO_INFO);
		ck_assert(!cfi_object_begins(0));
	}
	cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL});
	memset(cfi_object_bytes + 8, 0xff, 4); /* more entries than the object has bytes */
	ck_assert_int_eq(cfi_object_find(0, &step), CFI_NO_INFO);
	memset(cfi_object_bytes + 8, 0, 4);
	ck_assert_int_eq(cfi_object_find(0, &step), CFI_NO_INFO);
}
END_TEST

START_TEST(entries_of_impossible_length_or_place_are_unsupported)
{
	static const uint32_t lengths[] = {
		0, 3, 4, 12, 0x10000, 0x7fffffff, 0xfffffff0, 0xffffffff};
	struct cfi_step step;
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++)
		for (int which = 0; which < 2; which++) {
			cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL});
			uint32_t fde;
			memcpy(&fde, cfi_object_bytes + 16, 4);
			memcpy(cfi_object_bytes + (which ? fde : CFI_OBJECT_HEADER_BYTES),
				&lengths[i], 4);
			ck_assert_int_eq(cfi_object_find(0, &step), CFI_UNSUPPORTED);
		}
	static const uint32_t places[] = {
		1u << 30, 0x7fffffff, 0x80000000, 0xffffffff, CFI_OBJECT_MAX};
	for (unsigned i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL});
		memcpy(cfi_object_bytes + 16, &places[i], 4);
		ck_assert_int_eq(cfi_object_find(0, &step), CFI_UNSUPPORTED);
	}
}
END_TEST

/* -- any damage -- */

static const struct cfi_entry damaged = {.common = {(const uint8_t[]){0x0c, 7, 8, 0x90, 1}, 5},
	.own = {(const uint8_t[]){0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x0a, 0x10, 6, 2, 0x76, 0,
			0x0f, 3, 0x76, 0x78, 0x06, 0x02, 9, 0x0b, 0x03, 0, 1, 0x0c, 7, 8, 0xc6},
		29}};

START_TEST(an_object_cut_off_anywhere_is_survived)
{
	struct cfi_step step;
	cfi_object_build(&damaged);
	for (size_t size = cfi_object_size; size > 0; size--) {
		cfi_object_size = size;
		for (uint32_t pc = 0; pc < CFI_OBJECT_CODE_BYTES; pc += 3) {
			cfi_object_find(pc, &step);
			cfi_object_begins(pc);
		}
	}
	cfi_object_size = 0;
	ck_assert_int_eq(cfi_object_find(0, &step), CFI_NO_INFO);
}
END_TEST

START_TEST(any_byte_may_be_wrong)
{
	struct cfi_step step;
	unsigned verdicts[CFI_UNSUPPORTED + 1] = {0};
	cfi_object_build(&damaged);
	for (size_t at = 0; at < cfi_object_size; at++)
		for (unsigned value = 0; value < 256; value++) {
			uint8_t before = cfi_object_bytes[at];
			cfi_object_bytes[at] = (uint8_t)value;
			for (uint32_t pc = 0; pc < 16; pc += 5) {
				verdicts[cfi_object_find(pc, &step)]++;
				cfi_object_begins(pc);
			}
			cfi_object_bytes[at] = before;
		}
	ck_assert_uint_gt(verdicts[CFI_STEP], 0);
	ck_assert_uint_gt(verdicts[CFI_NO_INFO], 0);
	ck_assert_uint_gt(verdicts[CFI_UNSUPPORTED], 0);
}
END_TEST

/* -- real objects -- */

START_TEST(objects_are_found_by_the_loader)
{
	struct cfi_object object;
	struct cfi_step step;
	ck_assert_int_lt(objects_find((uintptr_t)&qsort, &object), 0);
	objects_init();
	ck_assert_int_eq(objects_find((uintptr_t)&qsort, &object), 0);
	ck_assert_uint_ge((uintptr_t)&qsort, object.start);
	ck_assert_uint_lt((uintptr_t)&qsort, object.end);
	ck_assert_int_eq(cfi_find(&object, (uintptr_t)&qsort, &step), CFI_STEP);
	ck_assert_int_eq(step.cfa_offset, 8);
	uintptr_t anonymous = cfi_object_code() - CFI_OBJECT_CODE_OFFSET;
	ck_assert_int_lt(objects_find(anonymous, &object), 0);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("eh_frame");
	TCase *tcase = tcase_create("entries");
	tcase_add_checked_fixture(tcase, cfi_object_init, NULL);
	tcase_add_test(tcase, a_pc_that_no_entry_covers_has_no_info);
	tcase_add_test(tcase, the_right_entry_is_found_among_many);
	tcase_add_test(tcase, an_object_without_a_usable_header_has_no_info);
	tcase_add_test(tcase, entries_of_impossible_length_or_place_are_unsupported);
	tcase_add_test(tcase, an_object_cut_off_anywhere_is_survived);
	tcase_add_test(tcase, any_byte_may_be_wrong);
	tcase_add_test(tcase, objects_are_found_by_the_loader);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(make_suite)
