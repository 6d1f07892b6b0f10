/* audit: stacks of chains of calls that know their own truth, told rightly and wrongly. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "support/tap_main.h"
#include "symbolizer/audit.h"
#include "symbolizer/elf_file.h"
#include "unwind_truth.h"

#define MAX_MAPPINGS 32
#define COPY_BYTES   (512u << 10)
#define DEPTH	     40

extern void *__libc_stack_end;

static struct audit *audit;
static struct audit_mapping mappings[MAX_MAPPINGS];
static size_t mapping_count;
static _Alignas(16) uint8_t copy[COPY_BYTES];
static uint64_t frames[UNWIND_TRUTH_MAX_DEPTH + 1];
static struct audit_stack stack;
static int depth;

static int open_module(struct dl_phdr_info *info, size_t size, void *data)
{
	(void)size, (void)data;
	const char *path = *info->dlpi_name ? info->dlpi_name : "/proc/self/exe";
	struct elf_file *file;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && mapping_count < MAX_MAPPINGS && elf_file_new(&file, fd) == 0)
		mappings[mapping_count++] = (struct audit_mapping){file, info->dlpi_addr};
	return 0;
}

static void setup(void)
{
	ck_assert_int_eq(audit_new(&audit), 0);
	dl_iterate_phdr(open_module, NULL);
	ck_assert_uint_gt(mapping_count, 1);
}

static void teardown(void)
{
	while (mapping_count > 0)
		elf_file_free((struct elf_file *)mappings[--mapping_count].file);
	audit = audit_free(audit);
}

/* Not memcpy: sanitizers fence off parts of a stack. */
static __attribute__((no_sanitize("address", "thread"))) size_t copy_words(uintptr_t from)
{
	size_t size = (uintptr_t)__libc_stack_end - from;
	if (size > sizeof(copy))
		size = sizeof(copy);
	for (size_t i = 0; i < size / sizeof(uint64_t); i++)
		((uint64_t *)copy)[i] = ((const volatile uint64_t *)from)[i];
	return size & ~(size_t)7;
}

/* What the agent would tell: as many frames as there is truth about. */
static __attribute__((noinline)) void leaf(void)
{
	uintptr_t *frame = __builtin_frame_address(0);
	frames[0] = frame[1];
	for (int i = 0; i < depth; i++)
		frames[i + 1] = unwind_truth[i];
	stack = (struct audit_stack){
		.pc = frames[0],
		.sp = (uintptr_t)(frame + 2),
		.fp = frame[0],
		.bytes = copy,
		.frames = frames,
		.frame_count = (size_t)depth + 1,
		.end = AUDIT_END_LIMIT,
		.mappings = mappings,
		.mapping_count = mapping_count,
	};
	stack.size = copy_words(stack.sp);
	stack.whole = true;
}

static struct audit_result judge(void)
{
	struct audit_result result;
	audit_compare(audit, &stack, &result);
	return result;
}

static void capture(unsigned first, int how_deep)
{
	depth = how_deep;
	unwind_truth_run(first, how_deep, leaf);
}

START_TEST(true_stacks_agree)
{
	for (unsigned first = 0; first < unwind_truth_functions(); first++) {
		capture(first, DEPTH);
		struct audit_result result = judge();
		ck_assert_msg(result.verdict == AUDIT_AGREED && result.frames == DEPTH + 1,
			"chain %u: verdict %d, stop %d after %zu frames", first, result.verdict,
			result.stop, result.frames);
	}
}
END_TEST

static void clean_up(volatile int *used)
{
	*used = 0;
}

/* Its rule names a routine by a pointer in writable memory, as those of C++ functions do. */
static __attribute__((noinline)) void call_with_cleanup(void)
{
	__attribute__((cleanup(clean_up))) volatile int used = 1;
	leaf();
	frames[1] = (uintptr_t)__builtin_return_address(0);
	stack.frame_count = 1 + (size_t)used;
}

START_TEST(a_frame_that_exceptions_clean_up_is_followed)
{
	depth = 0;
	call_with_cleanup();
	struct audit_result result = judge();
	ck_assert_int_eq(result.verdict, AUDIT_AGREED);
	ck_assert_uint_eq(result.frames, 2);
}
END_TEST

START_TEST(one_altered_frame_is_found_wherever_it_is)
{
	capture(3, DEPTH);
	for (size_t i = 1; i <= DEPTH; i++) {
		frames[i] += 4;
		struct audit_result result = judge();
		frames[i] -= 4;
		ck_assert_int_eq(result.verdict, AUDIT_DIFFERENT);
		ck_assert_uint_eq(result.frames, i);
	}
}
END_TEST

START_TEST(a_missing_and_an_invented_frame_are_found)
{
	capture(5, DEPTH);
	uint64_t kept = frames[7];
	memmove(&frames[7], &frames[8], (DEPTH - 7) * sizeof(frames[0]));
	stack.frame_count--;
	ck_assert_int_eq(judge().verdict, AUDIT_DIFFERENT);
	memmove(&frames[8], &frames[7], (DEPTH - 7) * sizeof(frames[0]));
	frames[7] = kept;
	stack.frame_count++;
	ck_assert_int_eq(judge().verdict, AUDIT_AGREED);
	memmove(&frames[13], &frames[12], (DEPTH - 12) * sizeof(frames[0]));
	ck_assert_int_eq(judge().verdict, AUDIT_DIFFERENT);
	ck_assert_uint_eq(judge().frames, 13);
}
END_TEST

START_TEST(an_altered_return_address_on_the_stack_is_found)
{
	unsigned found = 0;
	capture(0, DEPTH);
	for (size_t i = 0; i + 8 <= stack.size && found == 0; i += 8) {
		if (memcmp(copy + i, &frames[5], sizeof(frames[5])) != 0)
			continue;
		copy[i] ^= 2;
		struct audit_result result = judge();
		copy[i] ^= 2;
		found += result.verdict == AUDIT_DIFFERENT && result.frames == 5;
	}
	ck_assert_uint_eq(found, 1);
}
END_TEST

START_TEST(a_copy_that_ends_early_is_judged_as_far_as_it_goes)
{
	capture(2, DEPTH);
	stack.size = 2048;
	stack.whole = false;
	struct audit_result result = judge();
	ck_assert_int_eq(result.verdict, AUDIT_CUT);
	ck_assert_int_eq(result.stop, AUDIT_STOP_COPY);
	ck_assert_uint_lt(result.frames, DEPTH + 1);
	frames[result.frames - 1] += 1;
	ck_assert_int_eq(judge().verdict, AUDIT_DIFFERENT);
	frames[result.frames - 1] -= 1;
	/* Of a copy that is said to be whole no frame can lie behind it. */
	stack.whole = true;
	ck_assert_int_eq(judge().verdict, AUDIT_LONGER);
}
END_TEST

START_TEST(where_the_agent_stopped_too_early_is_told)
{
	capture(1, DEPTH);
	stack.frame_count = 9;
	stack.end = AUDIT_END_OTHER;
	ck_assert_int_eq(judge().verdict, AUDIT_SHORTER);
	ck_assert_uint_eq(judge().frames, 9);
	stack.end = AUDIT_END_OUTERMOST;
	ck_assert_int_eq(judge().verdict, AUDIT_DIFFERENT);
}
END_TEST

START_TEST(without_the_file_nothing_is_judged_further)
{
	capture(1, DEPTH);
	stack.mapping_count = 0;
	struct audit_result result = judge();
	ck_assert_int_eq(result.verdict, AUDIT_LONGER);
	ck_assert_int_eq(result.stop, AUDIT_STOP_NO_INFO);
	ck_assert_uint_eq(result.frames, 1);
}
END_TEST

START_TEST(any_registers_and_any_bytes_give_a_verdict)
{
	uint64_t random = 1;
	for (int turn = 0; turn < 3000; turn++) {
		capture((unsigned)turn, 8);
		for (int change = 0; change < 1 + turn % 40; change++) {
			random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
			copy[(random >> 33) % 4096] = (uint8_t)(random >> 25);
		}
		stack.size = stack.size < 4096 ? stack.size : 4096;
		stack.whole = turn % 2;
		stack.fp += turn % 3 == 0 ? random >> 50 : 0;
		stack.sp += turn % 7 == 0 ? 8 * (random >> 60) : 0;
		stack.pc += turn % 5 == 0 ? random >> 52 : 0;
		struct audit_result result = judge();
		ck_assert_uint_ge(result.frames, 1);
		ck_assert_uint_le(result.frames, stack.frame_count);
	}
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("audit");
	TCase *t = tcase_create("audit");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, true_stacks_agree);
	tcase_add_test(t, a_frame_that_exceptions_clean_up_is_followed);
	tcase_add_test(t, one_altered_frame_is_found_wherever_it_is);
	tcase_add_test(t, a_missing_and_an_invented_frame_are_found);
	tcase_add_test(t, an_altered_return_address_on_the_stack_is_found);
	tcase_add_test(t, a_copy_that_ends_early_is_judged_as_far_as_it_goes);
	tcase_add_test(t, where_the_agent_stopped_too_early_is_told);
	tcase_add_test(t, without_the_file_nothing_is_judged_further);
	tcase_add_test(t, any_registers_and_any_bytes_give_a_verdict);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
