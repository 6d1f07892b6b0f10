/* The rules' words: nothing is lost or mixed up in packing, between threads, or across a flush. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "support/tap_main.h"
#include "unwind/rule_cache.h"

enum { THREADS = 4, ODD_RULES = 1500 };

static bool is_plain(uint32_t rule)
{
	return (rule & RULE_CACHE_SLOT_MASK) != RULE_CACHE_NOT_PLAIN;
}

static void assert_round_trip(const struct cfi_step *step)
{
	struct cfi_step out = {0};
	uint32_t rule = rule_cache_pack(CFI_STEP, step);
	ck_assert(!is_plain(rule));
	ck_assert_int_eq(rule_cache_unpack(rule, &out), CFI_STEP);
	ck_assert_int_eq(out.cfa_offset, step->cfa_offset);
	ck_assert_int_eq(out.fp_offset, step->fp_offset);
	ck_assert_uint_eq(out.cfa_addend, step->cfa_addend);
	ck_assert_int_eq(out.base_is_fp, step->base_is_fp);
	ck_assert_int_eq(out.dereferenced, step->dereferenced);
	ck_assert_int_eq(out.fp, step->fp);
}

START_TEST(every_plain_rule_survives_packing)
{
	for (int offset = 8; offset <= 8 * RULE_CACHE_VALUE_MAX; offset += 8)
		for (int slot = 0; slot < RULE_CACHE_NOT_PLAIN; slot++)
			for (int base = 0; base < 2; base++) {
				struct cfi_step step = {.cfa_offset = offset,
					.fp_offset = slot ? -8 * (slot + 1) : 0,
					.base_is_fp = base,
					.fp = slot ? CFI_FP_AT_CFA : CFI_FP_SAME};
				uint32_t rule = rule_cache_pack(CFI_STEP, &step);
				ck_assert(is_plain(rule));
				ck_assert_uint_ne(rule, RULE_CACHE_MISSING);
				ck_assert_uint_eq(rule >> RULE_CACHE_BITS, 0);
				ck_assert_uint_eq(rule_cache_offset(rule), (uintptr_t)offset);
				ck_assert_uint_eq(!!(rule & RULE_CACHE_FLAG), (uint32_t)base);
				ck_assert_uint_eq(rule & RULE_CACHE_SLOT_MASK, (uint32_t)slot);
				ck_assert_uint_eq(rule_cache_slot_distance(rule), 8u * (slot + 1u));
			}
}
END_TEST

START_TEST(odd_rules_survive_in_the_side_table)
{
	static const struct cfi_step steps[] = {
		{.cfa_offset = 32768},
		{.cfa_offset = 1 << 27, .base_is_fp = true},
		{.cfa_offset = -8, .base_is_fp = true, .dereferenced = true},
		{.cfa_offset = -(1 << 28), .dereferenced = true, .cfa_addend = 8},
		{.cfa_offset = 152, .dereferenced = true, .cfa_addend = 4095},
		{.cfa_offset = 16, .fp = CFI_FP_AT_CFA, .fp_offset = -128},
		{.cfa_offset = 16, .fp = CFI_FP_AT_CFA, .fp_offset = -8},
		{.cfa_offset = 16, .fp = CFI_FP_AT_CFA, .fp_offset = 64},
		{.cfa_offset = 16, .fp = CFI_FP_AT_CFA, .fp_offset = -(1 << 20)},
		{.cfa_offset = -40, .base_is_fp = true, .dereferenced = true, .fp = CFI_FP_AT_FP},
		{.cfa_offset = 24, .fp = CFI_FP_AT_FP, .fp_offset = -16},
		{.cfa_offset = 24, .fp = CFI_FP_LOST},
		{.cfa_offset = 0},
	};
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++)
		assert_round_trip(&steps[i]);
}
END_TEST

START_TEST(rules_too_odd_for_a_word_are_unsupported)
{
	static const struct cfi_step steps[] = {
		{.cfa_offset = 12},
		{.cfa_offset = 1 << 29},
		{.cfa_offset = INT32_MAX - 7},
		{.cfa_offset = INT32_MIN + 8},
		{.cfa_offset = 16, .fp = CFI_FP_AT_CFA, .fp_offset = -20},
		{.cfa_offset = 16, .fp = CFI_FP_AT_CFA, .fp_offset = 1 << 20},
		{.cfa_offset = 16, .dereferenced = true, .cfa_addend = 4096},
	};
	struct cfi_step out;
	for (unsigned i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		uint32_t rule = rule_cache_pack(CFI_STEP, &steps[i]);
		ck_assert_int_eq(rule_cache_unpack(rule, &out), CFI_UNSUPPORTED);
	}
}
END_TEST

START_TEST(verdicts_are_rules_too)
{
	static const enum cfi_verdict verdicts[] = {
		CFI_END, CFI_SIGNAL, CFI_NO_INFO, CFI_UNSUPPORTED};
	struct cfi_step out;
	for (unsigned i = 0; i < 4; i++) {
		uint32_t rule = rule_cache_pack(verdicts[i], NULL);
		ck_assert(!is_plain(rule));
		ck_assert_int_eq(rule_cache_unpack(rule, &out), verdicts[i]);
	}
}
END_TEST

static struct cfi_step odd_step(int number)
{
	return (struct cfi_step){.cfa_offset = 40000 + 8 * number,
		.fp = number % 2 ? CFI_FP_AT_CFA : CFI_FP_SAME,
		.fp_offset = number % 2 ? -200 - 8 * number : 0};
}

START_TEST(a_full_side_table_says_unsupported_and_keeps_what_it_has)
{
	enum { MANY = 6000 };
	static uint32_t rules[MANY];
	unsigned kept = 0;
	struct cfi_step out;
	for (int i = 0; i < MANY; i++) {
		struct cfi_step step = odd_step(i);
		rules[i] = rule_cache_pack(CFI_STEP, &step);
	}
	for (int i = 0; i < MANY; i++) {
		if (rule_cache_unpack(rules[i], &out) == CFI_UNSUPPORTED)
			continue;
		ck_assert_int_eq(out.cfa_offset, odd_step(i).cfa_offset);
		ck_assert_int_eq(out.fp_offset, odd_step(i).fp_offset);
		kept++;
	}
	ck_assert_uint_gt(kept, 2500);
	ck_assert_uint_le(kept, RULE_CACHE_VALUE_MAX + 1);
}
END_TEST

START_TEST(two_call_sites_of_one_place_are_both_kept)
{
	uint64_t salt = rule_cache_salt();
	uintptr_t first = 0x401000, second = first + 1;
	while (rule_cache_index(second ^ salt) != rule_cache_index(first ^ salt))
		second++;
	struct cfi_step steps[] = {{.cfa_offset = 16}, {.cfa_offset = 24}};
	rule_cache_store(salt, first, rule_cache_pack(CFI_STEP, &steps[0]));
	rule_cache_store(salt, second, rule_cache_pack(CFI_STEP, &steps[1]));
	for (int i = 0; i < 3; i++) {
		ck_assert_uint_eq(rule_cache_find(salt, first), RULE_CACHE_MISSING);
		ck_assert_uint_eq(rule_cache_offset(rule_cache_find_displaced(salt, first)), 16);
		ck_assert_uint_eq(rule_cache_offset(rule_cache_find(salt, second)), 24);
		/* told again: nothing changes */
		rule_cache_store(salt, second, rule_cache_pack(CFI_STEP, &steps[1]));
	}
	rule_cache_flush();
	ck_assert_uint_eq(rule_cache_find_displaced(rule_cache_salt(), first), RULE_CACHE_MISSING);
}
END_TEST

/* -- threads -- */

static uint32_t added[THREADS][ODD_RULES];
static pthread_barrier_t barrier;

static void *add_odd_rules(void *argument)
{
	uint32_t *mine = argument;
	pthread_barrier_wait(&barrier);
	for (int i = 0; i < ODD_RULES; i++) {
		struct cfi_step step = odd_step(i), out;
		mine[i] = rule_cache_pack(CFI_STEP, &step);
		if (rule_cache_unpack(mine[i], &out) != CFI_STEP ||
			out.cfa_offset != step.cfa_offset || out.fp_offset != step.fp_offset)
			mine[i] = 0;
	}
	return NULL;
}

START_TEST(threads_that_add_the_same_odd_rules_at_once_share_them)
{
	pthread_t threads[THREADS];
	pthread_barrier_init(&barrier, NULL, THREADS);
	for (int t = 0; t < THREADS; t++)
		ck_assert_int_eq(pthread_create(&threads[t], NULL, add_odd_rules, added[t]), 0);
	for (int t = 0; t < THREADS; t++)
		ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
	for (int i = 0; i < ODD_RULES; i++)
		for (int t = 0; t < THREADS; t++) {
			ck_assert_uint_ne(added[t][i], 0);
			ck_assert_uint_eq(added[t][i], added[0][i]);
		}
}
END_TEST

/* The rule that belongs to a pc, so that a mixed-up word is seen. */
static uint32_t rule_for(uintptr_t pc)
{
	struct cfi_step step = {.cfa_offset = 8 + (int32_t)(pc % 1000) * 8};
	return rule_cache_pack(CFI_STEP, &step);
}

static _Atomic bool stop_storing;
static _Atomic unsigned mixed_up, hits;

static void *store_and_find(void *argument)
{
	uintptr_t random = (uintptr_t)argument;
	while (!atomic_load_explicit(&stop_storing, memory_order_relaxed)) {
		uint64_t salt = rule_cache_salt();
		for (int i = 0; i < 64; i++) {
			random = random * 6364136223846793005u + 1442695040888963407u;
			uintptr_t pc = 0x7f0000000000 + (random >> 40) % 4096 * 0x10001;
			uint32_t rule = rule_cache_find(salt, pc);
			if (rule == RULE_CACHE_MISSING)
				rule = rule_cache_find_displaced(salt, pc);
			if (rule == RULE_CACHE_MISSING)
				rule_cache_store(salt, pc, rule_for(pc));
			else if (rule != rule_for(pc))
				atomic_fetch_add_explicit(&mixed_up, 1, memory_order_relaxed);
			else
				atomic_fetch_add_explicit(&hits, 1, memory_order_relaxed);
		}
	}
	return NULL;
}

START_TEST(a_found_rule_is_always_the_one_of_its_pc)
{
	pthread_t threads[THREADS];
	for (uintptr_t t = 0; t < THREADS; t++)
		ck_assert_int_eq(
			pthread_create(&threads[t], NULL, store_and_find, (void *)(t + 1)), 0);
	for (int i = 0; i < 200 || atomic_load_explicit(&hits, memory_order_relaxed) < 1000; i++)
		rule_cache_flush();
	atomic_store_explicit(&stop_storing, true, memory_order_relaxed);
	for (int t = 0; t < THREADS; t++)
		ck_assert_int_eq(pthread_join(threads[t], NULL), 0);
	ck_assert_uint_eq(mixed_up, 0);
}
END_TEST

/* -- flush -- */

START_TEST(a_flush_forgets_every_rule)
{
	uint64_t salt = rule_cache_salt();
	uint32_t epoch = rule_cache_epoch();
	for (uintptr_t pc = 0x1000; pc < 0x2000; pc++)
		rule_cache_store(salt, pc, rule_for(pc));
	rule_cache_flush();
	ck_assert_uint_eq(rule_cache_epoch(), epoch + 1);
	for (uintptr_t pc = 0x1000; pc < 0x2000; pc++) {
		ck_assert_uint_eq(rule_cache_find(rule_cache_salt(), pc), RULE_CACHE_MISSING);
		ck_assert_uint_eq(rule_cache_find(salt, pc), RULE_CACHE_MISSING);
	}
}
END_TEST

START_TEST(a_rule_stored_late_by_a_walk_of_an_old_epoch_is_not_believed)
{
	uint64_t old = rule_cache_salt();
	for (int flushes = 0; flushes < 100; flushes++) {
		rule_cache_flush();
		rule_cache_store(old, 0x7f1234567890, rule_for(1));
		ck_assert_uint_eq(
			rule_cache_find(rule_cache_salt(), 0x7f1234567890), RULE_CACHE_MISSING);
	}
}
END_TEST

static int compare_salts(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

START_TEST(epochs_have_salts_of_their_own)
{
	enum { EPOCHS = 4000 };
	static uint64_t salts[EPOCHS];
	for (int i = 0; i < EPOCHS; i++) {
		salts[i] = rule_cache_salt();
		ck_assert_uint_eq(salts[i] >> ARCH_ADDRESS_BITS, 0);
		rule_cache_flush();
	}
	qsort(salts, EPOCHS, sizeof(salts[0]), compare_salts);
	for (int i = 1; i < EPOCHS; i++)
		ck_assert_uint_ne(salts[i], salts[i - 1]);
}
END_TEST

START_TEST(an_empty_cache_knows_no_pc)
{
	ck_assert_uint_eq(rule_cache_find(rule_cache_salt(), 0), RULE_CACHE_MISSING);
	ck_assert_uint_eq(rule_cache_find(rule_cache_salt(), UINTPTR_MAX), RULE_CACHE_MISSING);
	ck_assert_uint_eq(rule_cache_find(rule_cache_salt(), 0x401000), RULE_CACHE_MISSING);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("rule_cache");
	TCase *packing = tcase_create("packing");
	TCase *threads = tcase_create("threads");
	TCase *flush = tcase_create("flush");
	tcase_set_timeout(packing, 60);
	tcase_set_timeout(threads, 60);
	tcase_add_test(packing, every_plain_rule_survives_packing);
	tcase_add_test(packing, odd_rules_survive_in_the_side_table);
	tcase_add_test(packing, rules_too_odd_for_a_word_are_unsupported);
	tcase_add_test(packing, verdicts_are_rules_too);
	tcase_add_test(packing, a_full_side_table_says_unsupported_and_keeps_what_it_has);
	tcase_add_test(packing, two_call_sites_of_one_place_are_both_kept);
	tcase_add_test(threads, threads_that_add_the_same_odd_rules_at_once_share_them);
	tcase_add_test(threads, a_found_rule_is_always_the_one_of_its_pc);
	tcase_add_test(flush, a_flush_forgets_every_rule);
	tcase_add_test(flush, a_rule_stored_late_by_a_walk_of_an_old_epoch_is_not_believed);
	tcase_add_test(flush, epochs_have_salts_of_their_own);
	tcase_add_test(flush, an_empty_cache_knows_no_pc);
	suite_add_tcase(suite, packing);
	suite_add_tcase(suite, threads);
	suite_add_tcase(suite, flush);
	return suite;
}

TAP_MAIN(make_suite)
