/* A program that is linked with holes between its segments: its CFI is not in the mapping of its
 * code. */
#define _GNU_SOURCE
#include <link.h>
#include <stdbool.h>
#include <unistd.h>
#include "support/tap_main.h"
#include "unwind_judge.h"
#include "unwind_truth.h"

static struct unwind_judgement last;
static unsigned whole;

static __attribute__((noinline)) void capture(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	unwind_judge(&regs, &last);
	whole += last.verdict == UNWIND_SAME && last.walk.stop == WIRE_STOP_END;
	if (last.verdict == UNWIND_WRONG)
		unwind_judge_print(&last, STDOUT_FILENO);
}

/* The first object is the program itself. */
static int has_hole(struct dl_phdr_info *info, size_t size, void *argument)
{
	(void)size, (void)argument;
	const uintptr_t page = 4096;
	uintptr_t end = 0;
	for (int i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *header = &info->dlpi_phdr[i];
		if (header->p_type != PT_LOAD)
			continue;
		if (end && header->p_vaddr / page * page > end)
			return 1;
		end = (header->p_vaddr + header->p_memsz + page - 1) / page * page;
	}
	return -1;
}

START_TEST(code_is_walked_by_cfi_of_another_mapping)
{
	ck_assert_int_eq(dl_iterate_phdr(has_hole, NULL), 1);
	walk_init();
	for (unsigned first = 0; first < unwind_truth_functions(); first++)
		unwind_truth_run(first, 30, capture);
	ck_assert_uint_eq(whole, unwind_truth_functions());
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("walk_holes");
	TCase *holes = tcase_create("holes");
	tcase_add_test(holes, code_is_walked_by_cfi_of_another_mapping);
	suite_add_tcase(suite, holes);
	return suite;
}

TAP_MAIN(make_suite)
