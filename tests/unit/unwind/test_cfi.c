/* Programs written by hand: what compilers and assemblers write, what is beyond a step, what is
 * malformed. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "cfi_object.h"
#include "support/random.h"
#include "support/tap_main.h"

static enum cfi_verdict verdict_of(const struct cfi_entry *entry)
{
	struct cfi_step step;
	cfi_object_build(entry);
	return cfi_object_find(0, &step);
}

static enum cfi_verdict verdict_of_own(struct cfi_program own)
{
	return verdict_of(&(struct cfi_entry){.common = CFI_AFTER_CALL, .own = own});
}

/* -- what compilers write -- */

START_TEST(each_pc_is_described_by_the_row_that_covers_it)
{
	/* 1: push %rbp   4: mov %rsp,%rbp   ...   0x104: leave */
	cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL,
		.own = CFI_PROGRAM(
			0x41, 0x0e, 16, 0x86, 2, 0x43, 0x0d, 6, 0x03, 0, 1, 0x0c, 7, 8, 0xc6)});
	for (uint32_t pc = 0; pc < CFI_OBJECT_CODE_BYTES; pc++) {
		struct cfi_step expected = {.cfa_offset = 8};
		if (pc >= 1 && pc < 0x104)
			expected = (struct cfi_step){.cfa_offset = 16,
				.fp = CFI_FP_AT_CFA,
				.fp_offset = -16,
				.base_is_fp = pc >= 4};
		cfi_object_assert_step(pc, &expected);
	}
}
END_TEST

START_TEST(all_ways_to_advance_reach_the_same_row)
{
	/* by 1, 2 and 4 bytes, and to an address (pc-relative, filled in below) */
	cfi_object_build(&(struct cfi_entry){
		.common = CFI_AFTER_CALL, .own = CFI_PROGRAM(0x02, 0x40, 0x0e, 16)});
	cfi_object_assert_step(0x3f, &(struct cfi_step){.cfa_offset = 8});
	cfi_object_assert_step(0x40, &(struct cfi_step){.cfa_offset = 16});
	cfi_object_build(&(struct cfi_entry){
		.common = CFI_AFTER_CALL, .own = CFI_PROGRAM(0x03, 0x40, 1, 0x0e, 16)});
	cfi_object_assert_step(0x13f, &(struct cfi_step){.cfa_offset = 8});
	cfi_object_assert_step(0x140, &(struct cfi_step){.cfa_offset = 16});
	cfi_object_build(&(struct cfi_entry){
		.common = CFI_AFTER_CALL, .own = CFI_PROGRAM(0x04, 0x41, 1, 0, 0, 0x0e, 16)});
	cfi_object_assert_step(0x140, &(struct cfi_step){.cfa_offset = 8});
	cfi_object_assert_step(0x141, &(struct cfi_step){.cfa_offset = 16});

	static const uint8_t set_loc[] = {0x01, 0, 0, 0, 0, 0x0e, 24};
	cfi_object_build(
		&(struct cfi_entry){.common = CFI_AFTER_CALL, .own = {set_loc, sizeof(set_loc)}});
	uint8_t *at = memmem(cfi_object_bytes, cfi_object_size, set_loc, sizeof(set_loc));
	uint32_t relative = CFI_OBJECT_CODE_OFFSET + 0x80 - (uint32_t)(at + 1 - cfi_object_bytes);
	memcpy(at + 1, &relative, sizeof(relative));
	cfi_object_assert_step(0x7f, &(struct cfi_step){.cfa_offset = 8});
	cfi_object_assert_step(0x80, &(struct cfi_step){.cfa_offset = 24});
}
END_TEST

START_TEST(remembered_rows_come_back)
{
	cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL,
		.own = CFI_PROGRAM(0x0e, 32, 0x41, 0x0a, 0x0e, 8, 0x41, 0x0b, 0x41, 0x0a, 0x0a,
			0x0e, 48, 0x0b, 0x0b, 0x0e, 40)});
	cfi_object_assert_step(0, &(struct cfi_step){.cfa_offset = 32});
	cfi_object_assert_step(1, &(struct cfi_step){.cfa_offset = 8});
	cfi_object_assert_step(2, &(struct cfi_step){.cfa_offset = 32});
	cfi_object_assert_step(3, &(struct cfi_step){.cfa_offset = 40});
}
END_TEST

START_TEST(registers_return_to_the_rule_of_the_common_part)
{
	/* there: rbp saved at CFA - 24; then same value, and back by both forms of restore */
	cfi_object_build(&(struct cfi_entry){.common = CFI_PROGRAM(0x0c, 7, 8, 0x90, 1, 0x86, 3),
		.own = CFI_PROGRAM(0x08, 6, 0x41, 0xc6, 0x41, 0x86, 2, 0x41, 0x06, 6)});
	cfi_object_assert_step(0, &(struct cfi_step){.cfa_offset = 8});
	struct cfi_step common = {.cfa_offset = 8, .fp = CFI_FP_AT_CFA, .fp_offset = -24};
	cfi_object_assert_step(1, &common);
	cfi_object_assert_step(
		2, &(struct cfi_step){.cfa_offset = 8, .fp = CFI_FP_AT_CFA, .fp_offset = -16});
	cfi_object_assert_step(3, &common);
}
END_TEST

START_TEST(rarer_forms_say_the_same)
{
	struct cfi_step saved = {.cfa_offset = 16, .fp = CFI_FP_AT_CFA, .fp_offset = -16};
	const struct cfi_program forms[] = {
		CFI_PROGRAM(0x0e, 16, 0x05, 6, 2),	   /* offset_extended */
		CFI_PROGRAM(0x0e, 16, 0x11, 6, 2),	   /* offset_extended_sf */
		CFI_PROGRAM(0x13, 0x7e, 0x86, 2),	   /* def_cfa_offset_sf: -2 * -8 */
		CFI_PROGRAM(0x12, 7, 0x7e, 0x86, 2),	   /* def_cfa_sf */
		CFI_PROGRAM(0x0e, 0x90, 0x80, 0, 0x86, 2), /* a padded number */
		CFI_PROGRAM(0x0e, 16, 0x2e, 0x20, 0x86, 2, 0x83, 3, 0x07, 3, 0x14, 3, 1, 0x16, 3, 1,
			0x30),
	};
	for (unsigned i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL, .own = forms[i]});
		cfi_object_assert_step(0, &saved);
	}
	/* the factor is negative, so its negation lies above the CFA */
	cfi_object_build(&(struct cfi_entry){
		.common = CFI_AFTER_CALL, .own = CFI_PROGRAM(0x0e, 16, 0x2f, 6, 2)});
	saved.fp_offset = 16;
	cfi_object_assert_step(0, &saved);
}
END_TEST

START_TEST(a_realigned_frame_is_found_through_its_saved_pointer)
{
	/* CFA = *(rbp - 8), rbp saved at rbp + 0; then as assemblers write it, with a constant
	 * added */
	cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL,
		.own = CFI_PROGRAM(0x10, 6, 2, 0x76, 0, 0x0f, 3, 0x76, 0x78, 0x06, 0x41, 0x0f, 6,
			0x77, 0x98, 1, 0x06, 0x23, 8, 0x41, 0x0f, 6, 0x77, 0x98, 1, 0x06, 0x38,
			0x22)});
	cfi_object_assert_step(0, &(struct cfi_step){.cfa_offset = -8,
					  .base_is_fp = true,
					  .dereferenced = true,
					  .fp = CFI_FP_AT_FP});
	struct cfi_step added = {
		.cfa_offset = 152, .dereferenced = true, .cfa_addend = 8, .fp = CFI_FP_AT_FP};
	cfi_object_assert_step(1, &added);
	cfi_object_assert_step(2, &added);
}
END_TEST

START_TEST(a_realigned_frame_begins_with_a_third_register)
{
	/* CFA = r10, as gcc has it until the frame pointer is saved */
	cfi_object_build(
		&(struct cfi_entry){.common = CFI_AFTER_CALL, .own = CFI_PROGRAM(0x0c, 10, 0)});
	cfi_object_assert_step(0, &(struct cfi_step){.base_is_third = true});
}
END_TEST

START_TEST(a_lazy_binding_stub_is_described_by_where_in_it_the_pc_is)
{
	cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL,
		.own = CFI_PROGRAM(
			0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x3b, 0x2a, 0x33, 0x24, 0x22)});
	for (uint32_t pc = 0; pc < 64; pc++) {
		uintptr_t address = cfi_object_code() + pc;
		cfi_object_assert_step(
			pc, &(struct cfi_step){.cfa_offset = address % 16 >= 11 ? 16 : 8});
	}
}
END_TEST

START_TEST(an_undefined_return_address_is_the_end)
{
	ck_assert_int_eq(verdict_of_own(CFI_PROGRAM(0x07, 16)), CFI_END);
}
END_TEST

START_TEST(the_kernels_signal_frame_is_recognised_and_no_other)
{
	struct cfi_program kernels = CFI_PROGRAM(0x0f, 4, 0x77, 0xa0, 1, 0x06, 0x10, 6, 3, 0x77,
		0xf8, 0, 0x10, 16, 3, 0x77, 0xa8, 1);
	struct cfi_program other = CFI_PROGRAM(0x0f, 4, 0x77, 0xa8, 1, 0x06, 0x10, 6, 3, 0x77, 0xf8,
		0, 0x10, 16, 3, 0x77, 0xa8, 1);
	struct cfi_entry entry = {.augmentation = "zRS", .common = CFI_AFTER_CALL, .own = kernels};
	ck_assert_int_eq(verdict_of(&entry), CFI_SIGNAL);
	entry.own = other;
	ck_assert_int_eq(verdict_of(&entry), CFI_UNSUPPORTED);
	entry.own = CFI_PROGRAM(0);
	ck_assert_int_eq(verdict_of(&entry), CFI_UNSUPPORTED);
	entry = (struct cfi_entry){.common = CFI_AFTER_CALL, .own = kernels};
	ck_assert_int_eq(verdict_of(&entry), CFI_UNSUPPORTED);
}
END_TEST

START_TEST(augmentations_are_read_or_skipped)
{
	static const uint8_t personality[] = {0x9b, 1, 2, 3, 4, 0x1b, 0x1b};
	static const uint8_t unknown[] = {0x1b, 9, 9, 9};
	struct cfi_entry entry = {.augmentation = "zPLR",
		.augmentation_data = personality,
		.augmentation_size = sizeof(personality),
		.common = CFI_AFTER_CALL};
	ck_assert_int_eq(verdict_of(&entry), CFI_STEP);
	entry.version = 3;
	ck_assert_int_eq(verdict_of(&entry), CFI_STEP);
	entry.version = 4;
	ck_assert_int_eq(verdict_of(&entry), CFI_UNSUPPORTED);
	entry = (struct cfi_entry){.augmentation = "zR!",
		.augmentation_data = unknown,
		.augmentation_size = sizeof(unknown),
		.common = CFI_AFTER_CALL};
	ck_assert_int_eq(verdict_of(&entry), CFI_STEP);
	entry.augmentation = "eh";
	ck_assert_int_eq(verdict_of(&entry), CFI_UNSUPPORTED);
}
END_TEST

/* -- what is beyond a step -- */

START_TEST(rules_that_a_step_cannot_say_are_unsupported)
{
	const struct cfi_program programs[] = {
		CFI_PROGRAM(0x90, 2),				 /* ra not right below the CFA */
		CFI_PROGRAM(0x08, 16),				 /* ra in its register */
		CFI_PROGRAM(0x09, 16, 2),			 /* ra in another register */
		CFI_PROGRAM(0x14, 16, 1),			 /* ra is an address */
		CFI_PROGRAM(0x0d, 11),				 /* CFA in r11 */
		CFI_PROGRAM(0x0c, 0x80, 2, 8),			 /* in a register that is none */
		CFI_PROGRAM(0x0e, 0xff, 0xff, 0xff, 0xff, 0x7f), /* too large */
		CFI_PROGRAM(0x13, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f),
		CFI_PROGRAM(0x0f, 2, 0x77, 8),		   /* an expression without a load */
		CFI_PROGRAM(0x0f, 3, 0x7a, 8, 0x06),	   /* through r10 */
		CFI_PROGRAM(0x0f, 0),			   /* empty */
		CFI_PROGRAM(0x0f, 4, 0x77, 8, 0x06, 0x06), /* loads twice */
		CFI_PROGRAM(0x0f, 7, 0x77, 8, 0x06, 0x23, 0xff, 0xff, 0x7f), /* adds too much */
		CFI_PROGRAM(0x0f, 11, 0x77, 8, 0x80, 0, 0x3f, 0x1a, 0x51, 0x2a, 0x33, 0x24, 0x22),
	};
	for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		ck_assert_msg(verdict_of_own(programs[i]) == CFI_UNSUPPORTED, "program %u", i);
}
END_TEST

START_TEST(a_lost_frame_pointer_does_not_spoil_the_step)
{
	const struct cfi_program programs[] = {
		CFI_PROGRAM(0x07, 6),			/* undefined */
		CFI_PROGRAM(0x09, 6, 3),		/* in rbx */
		CFI_PROGRAM(0x14, 6, 1),		/* is an address */
		CFI_PROGRAM(0x16, 6, 1, 0x30),		/* is computed */
		CFI_PROGRAM(0x10, 6, 3, 0x76, 0, 0x06), /* saved where another word says */
		CFI_PROGRAM(0x10, 6, 2, 0x77, 8),	/* saved relative to the stack pointer */
		CFI_PROGRAM(0x11, 6, 0xff, 0xff, 0xff, 0xff, 0xff, 0x3f), /* too far away */
	};
	for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++) {
		cfi_object_build(&(struct cfi_entry){.common = CFI_AFTER_CALL, .own = programs[i]});
		cfi_object_assert_step(0, &(struct cfi_step){.cfa_offset = 8, .fp = CFI_FP_LOST});
	}
}
END_TEST

START_TEST(malformed_programs_are_unsupported)
{
	static uint8_t many_nops[70000];
	static const uint8_t remember[] = {0x0a, 0x0a, 0x0a, 0x0a, 0x0a};
	const struct cfi_program programs[] = {
		CFI_PROGRAM(0x3f),			/* no such instruction */
		CFI_PROGRAM(0x0b),			/* nothing is remembered */
		{remember, sizeof(remember)},		/* too much is */
		{many_nops, sizeof(many_nops)},		/* too long */
		CFI_PROGRAM(0x0f, 0x7f, 0x77, 8, 0x06), /* a block beyond the entry */
		CFI_PROGRAM(0x04, 0, 0),		/* cut off, even with the padding */
		CFI_PROGRAM(
			0x0e, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 1),
	};
	for (unsigned i = 0; i < sizeof(programs) / sizeof(programs[0]); i++)
		ck_assert_msg(verdict_of_own(programs[i]) == CFI_UNSUPPORTED, "program %u", i);
}
END_TEST

/* -- anything at all -- */

enum { RANDOM_OBJECTS = 300000 };

static struct random random_state = {1};

/* Most of it whole instructions. */
static size_t randomize(uint8_t *bytes, size_t most)
{
	const struct cfi_program usual[] = {CFI_PROGRAM(0x41), CFI_PROGRAM(0x7f),
		CFI_PROGRAM(0x02, 200), CFI_PROGRAM(0x0e, 16), CFI_PROGRAM(0x0d, 6),
		CFI_PROGRAM(0x86, 2), CFI_PROGRAM(0x8c, 3), CFI_PROGRAM(0xc6), CFI_PROGRAM(0x0a),
		CFI_PROGRAM(0x0b), CFI_PROGRAM(0x0f, 3, 0x76, 0x78, 0x06),
		CFI_PROGRAM(0x10, 6, 2, 0x76, 0), CFI_PROGRAM(0x2e, 16), CFI_PROGRAM(0x07, 16)};
	size_t size = 0;
	for (uint64_t count = random_below(&random_state, 8); count && size + 8 < most; count--) {
		const struct cfi_program *next =
			&usual[random_below(&random_state, sizeof(usual) / sizeof(usual[0]))];
		if (random_below(&random_state, 8)) {
			memcpy(bytes + size, next->bytes, next->size);
			size += next->size;
		} else {
			bytes[size++] = (uint8_t)random_next(&random_state);
		}
	}
	return size;
}

static void damage(uint64_t bits)
{
	for (; bits; bits--)
		cfi_object_bytes[random_below(&random_state, cfi_object_size)] ^=
			(uint8_t)(1u << random_below(&random_state, 8));
}

static enum cfi_verdict verdict_of_random(void)
{
	uint8_t common[48], own[64];
	struct cfi_step step;
	const struct cfi_program after_call = CFI_AFTER_CALL,
				 random = {common, randomize(common, sizeof(common))};
	struct cfi_entry entry = {.common = random_below(&random_state, 4) ? after_call : random,
		.own = {own, randomize(own, sizeof(own))}};
	cfi_object_build(&entry);
	damage(random_below(&random_state, 4));
	return cfi_object_find((uint32_t)random_below(&random_state, CFI_OBJECT_CODE_BYTES), &step);
}

/* SPPROF_STRESS times as many. */
START_TEST(random_programs_in_damaged_tables_harm_nothing)
{
	const char *scale = getenv("SPPROF_STRESS");
	unsigned long count = RANDOM_OBJECTS, verdicts[CFI_UNSUPPORTED + 1] = {0};
	count *= scale && atoi(scale) > 0 ? strtoul(scale, NULL, 10) : 1;
	for (unsigned long i = 0; i < count; i++) {
		enum cfi_verdict verdict = verdict_of_random();
		if (verdict > CFI_UNSUPPORTED) /* libcheck writes down every assertion that holds */
			ck_abort_msg("object %lu", i);
		verdicts[verdict]++;
	}
	printf("# %lu objects; step %lu, end %lu, signal %lu, no info %lu, unsupported %lu\n",
		count, verdicts[0], verdicts[1], verdicts[2], verdicts[3], verdicts[4]);
	ck_assert_uint_gt(verdicts[CFI_STEP], count / 20);
	ck_assert_uint_gt(verdicts[CFI_END], count / 100);
	ck_assert_uint_gt(verdicts[CFI_NO_INFO], count / 100);
	ck_assert_uint_gt(verdicts[CFI_UNSUPPORTED], count / 20);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("cfi");
	TCase *tcase = tcase_create("programs");
	tcase_add_checked_fixture(tcase, cfi_object_init, NULL);
	tcase_add_test(tcase, each_pc_is_described_by_the_row_that_covers_it);
	tcase_add_test(tcase, all_ways_to_advance_reach_the_same_row);
	tcase_add_test(tcase, remembered_rows_come_back);
	tcase_add_test(tcase, registers_return_to_the_rule_of_the_common_part);
	tcase_add_test(tcase, rarer_forms_say_the_same);
	tcase_add_test(tcase, a_realigned_frame_is_found_through_its_saved_pointer);
	tcase_add_test(tcase, a_lazy_binding_stub_is_described_by_where_in_it_the_pc_is);
	tcase_add_test(tcase, an_undefined_return_address_is_the_end);
	tcase_add_test(tcase, the_kernels_signal_frame_is_recognised_and_no_other);
	tcase_add_test(tcase, augmentations_are_read_or_skipped);
	tcase_add_test(tcase, a_realigned_frame_begins_with_a_third_register);
	tcase_add_test(tcase, rules_that_a_step_cannot_say_are_unsupported);
	tcase_add_test(tcase, a_lost_frame_pointer_does_not_spoil_the_step);
	tcase_add_test(tcase, malformed_programs_are_unsupported);
	tcase_add_test(tcase, random_programs_in_damaged_tables_harm_nothing);
	tcase_set_timeout(tcase, 60);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(make_suite)
