/* Code that no CFI describes: by frame pointers, as far as those can be believed, else not at all.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include "support/tap_main.h"
#include "unwind_judge.h"
#include "unwind_truth.h"
#include "unwind/stack_bounds.h"

#if defined(__x86_64__)

enum { PAGE = 4096, MOST_COMPILED = WIRE_MAX_FRAMES + 100 };

static struct unwind_judgement last;
static uint64_t misses_before; /* of the last walk, with all that libgcc had found before */

static void set_up(void)
{
	walk_init();
}

static __attribute__((noinline)) void capture(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	misses_before = walk_misses();
	unwind_judge(&regs, &last);
	if (last.verdict == UNWIND_WRONG)
		unwind_judge_print(&last, STDOUT_FILENO);
}

/* -- code compiled at run time -- */

typedef void compiled(void (*)(void));

static uint8_t *compile(const void *code, size_t size)
{
	uint8_t *page =
		mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(page, MAP_FAILED);
	memcpy(page, code, size);
	ck_assert_int_eq(mprotect(page, PAGE, PROT_READ | PROT_EXEC), 0);
	return page;
}

static bool is_within(uint64_t pc, const uint8_t *page)
{
	return pc - (uintptr_t)page < PAGE;
}

static const uint8_t *chain[MOST_COMPILED];

/* push %rbp; mov %rsp,%rbp; movabs $next,%rax; call *%rax; pop %rbp; ret   `length` times, the
 * last of which is called first. */
static void (*compile_chain(unsigned length, void (*callee)(void)))(void)
{
	uint8_t code[] = {
		0x55, 0x48, 0x89, 0xe5, 0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xd0, 0x5d, 0xc3};
	for (unsigned i = 0; i < length; i++) {
		memcpy(code + 6, &callee, sizeof(callee));
		chain[i] = compile(code, sizeof(code));
		callee = (void (*)(void))chain[i];
	}
	return callee;
}

/* In the frame whose call the chain is. */
static uint64_t outer[WIRE_MAX_FRAMES];
static struct walk_result outer_walk;

static __attribute__((noinline)) void call_and_compare(void (*callee)(void))
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	walk_stack(&regs, outer, WIRE_MAX_FRAMES, &outer_walk);
	callee();
}

static void assert_guessed(unsigned length)
{
	ck_assert_int_eq(outer_walk.stop, WIRE_STOP_END);
	ck_assert_int_eq(last.verdict, UNWIND_SAME);
	ck_assert_int_eq(last.walk.stop, WIRE_STOP_END);
	ck_assert_uint_eq(last.walk.guessed, length < UINT8_MAX ? length : UINT8_MAX);
	for (unsigned i = 0; i < length; i++)
		ck_assert(is_within(last.frames[i], chain[i]));
	/* Then the caller of the chain, and its callers, which both walks must agree on. */
	ck_assert_uint_eq(last.walk.frame_count, length + 1 + outer_walk.frame_count);
	ck_assert_int_eq(
		memcmp(&last.frames[length + 1], outer, outer_walk.frame_count * sizeof(outer[0])),
		0);
}

static void assert_ended(void)
{
	ck_assert_int_eq(last.verdict, UNWIND_SAME);
	ck_assert_int_eq(last.walk.stop, WIRE_STOP_NO_INFO);
	ck_assert_uint_eq(last.walk.frame_count, 1);
	ck_assert_uint_eq(last.walk.guessed, 0);
}

START_TEST(code_that_keeps_frame_pointers_is_walked_through_and_marked)
{
	static const unsigned lengths[] = {1, 2, 10, 64, 65, 100, 400};
	call_and_compare(compile_chain(lengths[_i], capture));
	assert_guessed(lengths[_i]);
}
END_TEST

START_TEST(more_compiled_code_than_a_record_holds_keeps_its_innermost_frames)
{
	call_and_compare(compile_chain(MOST_COMPILED, capture));
	ck_assert_int_eq(last.verdict, UNWIND_SAME);
	ck_assert_int_eq(last.walk.stop, WIRE_STOP_MAX);
	ck_assert_uint_eq(last.walk.frame_count, WIRE_MAX_FRAMES);
	ck_assert_uint_eq(last.walk.guessed, UINT8_MAX);
	for (unsigned i = 0; i < WIRE_MAX_FRAMES; i++)
		ck_assert(is_within(last.frames[i], chain[i]));
}
END_TEST

/* push %rbp; mov %rsp,%rbp; dec %edi; jz 1f; call itself; pop %rbp; ret; 1: call *%rsi; pop %rbp; ret */
START_TEST(recursion_in_compiled_code_is_walked_frame_by_frame)
{
	static const uint8_t code[] = {0x55, 0x48, 0x89, 0xe5, 0xff, 0xcf, 0x74, 0x07, 0xe8, 0xf3,
		0xff, 0xff, 0xff, 0x5d, 0xc3, 0xff, 0xd6, 0x5d, 0xc3};
	enum { DEPTH = 300 };
	const uint8_t *page = compile(code, sizeof(code));
	((void (*)(int, void (*)(void)))page)(DEPTH, capture);
	ck_assert_int_eq(last.verdict, UNWIND_SAME);
	ck_assert_int_eq(last.walk.stop, WIRE_STOP_END);
	ck_assert_uint_eq(last.frames[0], (uintptr_t)page + 17);
	for (unsigned i = 1; i < DEPTH; i++)
		ck_assert_uint_eq(last.frames[i], (uintptr_t)page + 13);
	ck_assert(!is_within(last.frames[DEPTH], page));
}
END_TEST

static uint32_t limit;

static __attribute__((noinline)) void capture_limited(void)
{
	struct walk_regs regs = UNWIND_JUDGE_CALLER();
	walk_stack(&regs, last.frames, limit, &last.walk);
}

START_TEST(a_chain_that_the_limit_cuts_is_believed_for_where_it_leads)
{
	void (*callee)(void) = compile_chain(5, capture_limited);
	for (limit = 1; limit <= 6; limit++) {
		callee();
		ck_assert_uint_eq(last.walk.guessed, limit - 1);
		ck_assert_uint_eq(last.walk.frame_count, limit);
		ck_assert_int_eq(last.walk.stop, WIRE_STOP_MAX);
	}
}
END_TEST

/* push %rbp; mov $value,%ebp (sign-extended); call *%rdi; pop %rbp; ret */
START_TEST(code_that_keeps_other_things_in_the_register_ends_the_walk)
{
	static const uint8_t values[][4] = {{0}, {8}, {0xf8, 0xff, 0xff, 0xff},
		{0xf0, 0xff, 0xff, 0xff}, {1, 0x10, 0, 0}, {0, 0, 0, 0x80}};
	uint8_t code[] = {0x55, 0x48, 0xc7, 0xc5, 0, 0, 0, 0, 0xff, 0xd7, 0x5d, 0xc3};
	memcpy(code + 4, values[_i], 4);
	((compiled *)compile(code, sizeof(code)))(capture);
	assert_ended();
}
END_TEST

/* push %rbp; lea -64(%rsp),%rbp; call *%rdi; pop %rbp; ret: below the frame, in the callee's. */
START_TEST(a_record_below_its_frame_is_not_believed)
{
	static const uint8_t code[] = {0x55, 0x48, 0x8d, 0x6c, 0x24, 0xc0, 0xff, 0xd7, 0x5d, 0xc3};
	((compiled *)compile(code, sizeof(code)))(capture);
	assert_ended();
}
END_TEST

static void run_inner_chain(void)
{
	unwind_truth_run(5, 10, compile_chain(3, capture));
}

START_TEST(loaded_code_between_compiled_code_is_walked_by_its_rules)
{
	void (*innermost)(void) = compile_chain(2, run_inner_chain);
	innermost();
	ck_assert_int_eq(last.verdict, UNWIND_SAME);
	ck_assert_int_eq(last.walk.stop, WIRE_STOP_END);
	ck_assert_uint_eq(last.walk.guessed, 3 + 2);
	for (int i = 0; i < 9; i++)
		ck_assert_uint_eq(last.frames[4 + i], unwind_truth[i]);
}
END_TEST

START_TEST(that_no_object_covers_a_pc_is_not_remembered)
{
	static const uint8_t code[] = {0x55, 0x31, 0xed, 0xff, 0xd7, 0x5d, 0xc3};
	compiled *lost = (compiled *)compile(code, sizeof(code));
	lost(capture);
	assert_ended();
	lost(capture);
	assert_ended();
	ck_assert_uint_eq(walk_misses(), misses_before);
}
END_TEST

/* -- records written by hand -- */

/* A frame of unknown code on this stack, and what its registers lead to. */
struct forgery {
	uintptr_t words[16];
	struct walk_regs regs;
};

static const uint8_t *unknown_code;

static void forge(struct forgery *forgery)
{
	unknown_code = compile("\xc3", 1);
	memset(forgery, 0, sizeof(*forgery));
	forgery->regs = (struct walk_regs){(uintptr_t)unknown_code + 8,
		(uintptr_t)&forgery->words[0], (uintptr_t)&forgery->words[4]};
	/* A record that returns into unknown code, and one that returns into ours. */
	forgery->words[4] = (uintptr_t)&forgery->words[8];
	forgery->words[5] = (uintptr_t)unknown_code + 16;
	forgery->words[8] = 0;
	forgery->words[9] = (uintptr_t)unwind_truth_run + 16;
}

static struct walk_result walk_limited(
	const struct forgery *forgery, uint64_t *frames, uint32_t most)
{
	struct walk_result result;
	walk_stack(&forgery->regs, frames, most, &result);
	return result;
}

static struct walk_result walk_forgery(const struct forgery *forgery, uint64_t *frames)
{
	return walk_limited(forgery, frames, WIRE_MAX_FRAMES);
}

/* With room for the whole chain, and without. */
static void assert_disbelieved(const struct forgery *forgery)
{
	uint64_t frames[8];
	for (uint32_t most = 8; most >= 1; most /= 2) {
		struct walk_result result = walk_limited(forgery, frames, most);
		ck_assert_uint_eq(result.guessed, 0);
		ck_assert_int_eq(result.stop, WIRE_STOP_NO_INFO);
		ck_assert_uint_eq(result.frame_count, 1);
	}
}

START_TEST(a_chain_is_believed_only_as_a_whole)
{
	static uint64_t frames[WIRE_MAX_FRAMES];
	struct forgery forgery;
	forge(&forgery);
	ck_assert_uint_eq(walk_forgery(&forgery, frames).guessed, 2);
	ck_assert_uint_eq(frames[1], (uintptr_t)unknown_code + 16);
	ck_assert_uint_eq(frames[2], (uintptr_t)unwind_truth_run + 16);

	const struct {
		unsigned word;
		uintptr_t value;
	} spoils[] = {
		{9, 0},				    /* the outermost frame, not known */
		{9, (uintptr_t)unknown_code + 24},  /* and then there is no record */
		{9, (uintptr_t)&forgery.words[12]}, /* no code */
		{5, (uintptr_t)&forgery.words[12]}, /* nor is the way there */
		{5, 471},
		{5, UINTPTR_MAX - 7},
		{4, (uintptr_t)&forgery.words[4]},     /* a circle */
		{4, (uintptr_t)&forgery.words[2]},     /* downward */
		{4, (uintptr_t)&forgery.words[8] + 4}, /* not aligned */
		{4, UINTPTR_MAX - 7},
		{4, 16},
	};
	for (unsigned i = 0; i < sizeof(spoils) / sizeof(spoils[0]); i++) {
		forge(&forgery);
		forgery.words[spoils[i].word] = spoils[i].value;
		assert_disbelieved(&forgery);
	}
}
END_TEST

/* Two functions without a byte between them: a return address of the first, which never returns, is the beginning
 * of the second. */
void walk_guess_first(void);
void walk_guess_second(void);
__asm__(".text\n"
	".type walk_guess_first, @function\n"
	"walk_guess_first:\n	.cfi_startproc\n	call abort@PLT\n	.cfi_endproc\n"
	".size walk_guess_first, . - walk_guess_first\n"
	".type walk_guess_second, @function\n"
	"walk_guess_second:\n	.cfi_startproc\n	nop\n	ret\n	.cfi_endproc\n"
	".size walk_guess_second, . - walk_guess_second\n");

START_TEST(a_guess_is_no_pointer_to_a_function)
{
	const uintptr_t functions[] = {(uintptr_t)walk_guess_second, (uintptr_t)walk_guess_first,
		(uintptr_t)unwind_truth_run, (uintptr_t)walk_stack,
		(uintptr_t)dlsym(RTLD_DEFAULT, "getenv"), (uintptr_t)dlsym(RTLD_DEFAULT, "qsort"),
		(uintptr_t)dlsym(RTLD_DEFAULT, "strtod")};
	static uint64_t frames[WIRE_MAX_FRAMES];
	struct forgery forgery;
	for (unsigned i = 0; i < 2 * sizeof(functions) / sizeof(functions[0]); i++) {
		forge(&forgery);
		forgery.words[5 + 4 * (i % 2)] = functions[i / 2]; /* on the way, and at its end */
		assert_disbelieved(&forgery);
		forgery.words[5 + 4 * (i % 2)]++;
		ck_assert_uint_ge(walk_forgery(&forgery, frames).guessed, 1);
	}
	/* Rules lead there. */
	forge(&forgery);
	forgery.regs.pc = (uintptr_t)walk_guess_second;
	forgery.words[0] = (uintptr_t)unwind_truth_run + 16;
	ck_assert_uint_gt(walk_forgery(&forgery, frames).frame_count, 1);
	ck_assert_uint_eq(frames[1], (uintptr_t)unwind_truth_run + 16);
	/* That the rule is known now is no reason to believe. */
	forge(&forgery);
	forgery.words[9] = (uintptr_t)walk_guess_second;
	assert_disbelieved(&forgery);
}
END_TEST

/* Of two pieces of code without CFI in turn. */
START_TEST(a_chain_that_leads_nowhere_is_believed_only_if_a_record_cannot_hold_it)
{
	static uintptr_t words[2 * (WIRE_MAX_FRAMES + 2)];
	static uint64_t frames[WIRE_MAX_FRAMES];
	struct forgery forgery;
	for (unsigned length = WIRE_MAX_FRAMES - 1; length <= WIRE_MAX_FRAMES; length++) {
		forge(&forgery);
		for (unsigned i = 0; i < length; i++) {
			words[2 * i] = (uintptr_t)&words[2 * i + 2];
			words[2 * i + 1] = (uintptr_t)unknown_code + 8 * (1 + i % 2);
		}
		words[2 * length] = words[2 * length + 1] = 0;
		forgery.regs.sp = forgery.regs.fp = (uintptr_t)words;
		struct walk_result result = walk_forgery(&forgery, frames);
		bool is_believed = length == WIRE_MAX_FRAMES;
		ck_assert_uint_eq(result.frame_count, is_believed ? WIRE_MAX_FRAMES : 1);
		ck_assert_uint_eq(result.guessed, is_believed ? UINT8_MAX : 0);
		ck_assert_int_eq(result.stop, is_believed ? WIRE_STOP_MAX : WIRE_STOP_NO_INFO);
	}
}
END_TEST

/* Junk in the register costs a walk nothing: on such a stack each page is a system call. */
START_TEST(a_record_far_above_its_frame_is_not_looked_for)
{
	enum { STACK_BYTES = 1 << 20, NEAR_BYTES = 32 << 10 };
	static uint64_t frames[WIRE_MAX_FRAMES];
	struct walk_result result;
	char *stack =
		mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	ck_assert_ptr_ne(stack, MAP_FAILED);
	uintptr_t bottom = (uintptr_t)stack + PAGE;
	struct walk_regs regs = {(uintptr_t)compile("\xc3", 1) + 8, bottom, 0};

	for (unsigned i = 0; i < 2; i++) {
		regs.fp = bottom + (i ? STACK_BYTES / 2 : NEAR_BYTES);
		((uintptr_t *)regs.fp)[1] = (uintptr_t)unwind_truth_run + 16;
		uint64_t before = stack_bounds_probes();
		walk_stack(&regs, frames, WIRE_MAX_FRAMES, &result);
		ck_assert_uint_eq(result.guessed, !i);
		if (i)
			ck_assert_uint_eq(stack_bounds_probes(), before);
		else
			ck_assert_uint_gt(stack_bounds_probes(), before);
	}
	ck_assert_int_eq(result.stop, WIRE_STOP_NO_INFO);
	ck_assert_uint_eq(result.frame_count, 1);
	munmap(stack, STACK_BYTES);
}
END_TEST

/* -- the memory above a coroutine -- */

enum { OWN_STACK = 4 << 20 }; /* sanitizers keep much there */

struct gap_walk {
	uint8_t *memory; /* a coroutine's page, a page that goes away, the thread's own stack */
	struct walk_result result;
};

/* The pages below the thread's stack have been found readable once, up to it. */
static void *walk_below_a_gap(void *data)
{
	struct gap_walk *walk = data;
	uintptr_t gap = (uintptr_t)walk->memory + PAGE;
	uint64_t frames[8];
	struct walk_regs regs = {
		.pc = (uintptr_t)compile("\xc3", 1) + 1, .sp = gap - 64, .fp = gap + 16};
	walk_stack(&regs, frames, 8, &walk->result);
	ck_assert_int_eq(munmap(walk->memory + PAGE, PAGE), 0);
	walk_stack(&regs, frames, 8, &walk->result);
	regs.sp = gap;
	regs.fp = gap;
	walk_stack(&regs, frames, 8, &walk->result);
	return NULL;
}

START_TEST(a_record_in_memory_that_has_gone_is_not_read)
{
	struct gap_walk walk = {.memory = mmap(NULL, 2 * PAGE + OWN_STACK, PROT_READ | PROT_WRITE,
					MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)};
	pthread_attr_t attributes;
	pthread_t thread;
	ck_assert_ptr_ne(walk.memory, MAP_FAILED);
	ck_assert_int_eq(pthread_attr_init(&attributes), 0);
	ck_assert_int_eq(pthread_attr_setstack(&attributes, walk.memory + 2 * PAGE, OWN_STACK), 0);
	ck_assert_int_eq(pthread_create(&thread, &attributes, walk_below_a_gap, &walk), 0);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	ck_assert_uint_eq(walk.result.frame_count, 1);
	ck_assert_int_eq(walk.result.stop, WIRE_STOP_NO_INFO);
}
END_TEST

#endif

static Suite *make_suite(void)
{
	Suite *suite = suite_create("walk_guess");
	TCase *guess = tcase_create("guess");
#if defined(__x86_64__)
	tcase_add_checked_fixture(guess, set_up, NULL);
	tcase_set_timeout(guess, 60);
	tcase_add_loop_test(
		guess, code_that_keeps_frame_pointers_is_walked_through_and_marked, 0, 7);
	tcase_add_test(guess, more_compiled_code_than_a_record_holds_keeps_its_innermost_frames);
	tcase_add_test(guess, recursion_in_compiled_code_is_walked_frame_by_frame);
	tcase_add_loop_test(
		guess, code_that_keeps_other_things_in_the_register_ends_the_walk, 0, 6);
	tcase_add_test(guess, a_chain_that_the_limit_cuts_is_believed_for_where_it_leads);
	tcase_add_test(guess, a_record_below_its_frame_is_not_believed);
	tcase_add_test(guess, loaded_code_between_compiled_code_is_walked_by_its_rules);
	tcase_add_test(guess, that_no_object_covers_a_pc_is_not_remembered);
	tcase_add_test(guess, a_chain_is_believed_only_as_a_whole);
	tcase_add_test(guess, a_guess_is_no_pointer_to_a_function);
	tcase_add_test(
		guess, a_chain_that_leads_nowhere_is_believed_only_if_a_record_cannot_hold_it);
	tcase_add_test(guess, a_record_far_above_its_frame_is_not_looked_for);
	tcase_add_test(guess, a_record_in_memory_that_has_gone_is_not_read);
#endif
	suite_add_tcase(suite, guess);
	return suite;
}

TAP_MAIN(make_suite)
