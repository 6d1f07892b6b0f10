/* capture_confidence: the word, the advice, and whom it names. */
#include "config.h"
#include <string.h>
#include "model/stack_table.h"
#include "server/capture_confidence.h"
#include "server/capture_tally.h"
#include "server/module_map.h"
#include "server/sample_feed.h"
#include "server/session_audit.h"
#include "support/tap_main.h"

static struct module_map *modules;
static struct capture_tally tally;
static struct sample_feed_stats feed;
static struct session_audit_stats audits;
static struct capture_confidence confidence;

static void setup(void)
{
	static const char maps[] = "1000-2000 r-xp 0 8:1 11 /bin/prog\n"
				   "3000-4000 r-xp 0 8:1 12 /lib/odd.so\n";
	ck_assert_int_eq(module_map_new(&modules), 0);
	module_map_update(modules, maps, sizeof maps - 1, MODULE_MAP_KERNEL, 0);
	ck_assert_uint_eq(module_map_count(modules), 2);
	feed = (struct sample_feed_stats){0};
	audits = (struct session_audit_stats){0};
}

static void teardown(void)
{
	modules = module_map_free(modules);
	capture_tally_deinit(&tally);
}

/* So many of a thousand stacks are cut short, in that module, for that reason. */
static enum capture_level judge(uint64_t cut, uint32_t module, enum wire_stop stop)
{
	capture_tally_deinit(&tally);
	feed.births = 1000;
	feed.by_stop[WIRE_STOP_END] = 1000 - cut;
	capture_tally_at(&tally, module)->stops[stop] = cut;
	capture_tally_at(&tally, 0)->stops[WIRE_STOP_END] = 1000 - cut;
	capture_confidence_judge(&feed, &audits, &tally, modules, &confidence);
	return confidence.level;
}

static void assert_advice(const char *words)
{
	ck_assert_msg(strstr(confidence.advice, words) != NULL, "'%s' lacks '%s'",
		confidence.advice, words);
}

START_TEST(without_stacks_nothing_is_known)
{
	capture_confidence_judge(&feed, &audits, &tally, modules, &confidence);
	ck_assert_int_eq(confidence.level, CAPTURE_UNKNOWN);
	ck_assert_str_eq(confidence.advice, "");
}
END_TEST

START_TEST(truncation_decides_at_5_and_20_percent)
{
	ck_assert_int_eq(judge(0, 1, WIRE_STOP_NO_INFO), CAPTURE_HIGH);
	ck_assert_int_eq(judge(49, 1, WIRE_STOP_NO_INFO), CAPTURE_HIGH);
	ck_assert_str_eq(confidence.advice, "");
	ck_assert_int_eq(judge(51, 1, WIRE_STOP_NO_INFO), CAPTURE_MEDIUM);
	ck_assert_int_eq(judge(199, 1, WIRE_STOP_NO_INFO), CAPTURE_MEDIUM);
	ck_assert_int_eq(judge(201, 1, WIRE_STOP_NO_INFO), CAPTURE_LOW);
}
END_TEST

START_TEST(the_advice_names_the_module_and_what_to_do)
{
	judge(300, 1, WIRE_STOP_NO_INFO);
	assert_advice("/lib/odd.so");
	assert_advice("-fasynchronous-unwind-tables");
	judge(300, STACK_MODULE_NONE, WIRE_STOP_NO_INFO);
	assert_advice("code in no file");
	assert_advice("frame pointers");
	judge(300, 1, WIRE_STOP_UNSUPPORTED);
	assert_advice("assembly");
	judge(300, 1, WIRE_STOP_MAX);
	assert_advice("512 frames");
	judge(300, 1, WIRE_STOP_BOUNDS);
	assert_advice("coroutines");
}
END_TEST

START_TEST(guessed_frames_keep_it_from_being_high)
{
	feed.guessed = 300;
	ck_assert_int_eq(judge(0, 1, WIRE_STOP_NO_INFO), CAPTURE_MEDIUM);
	ck_assert_double_eq_tol(confidence.guessed_percent, 30, 1e-9);
}
END_TEST

START_TEST(audits_that_differ_weigh_more_than_stacks_that_end)
{
	audits.verdicts[SESSION_AUDIT_AGREED] = 900;
	audits.verdicts[SESSION_AUDIT_CUT] = 90;
	ck_assert_int_eq(judge(0, 1, WIRE_STOP_NO_INFO), CAPTURE_HIGH);
	ck_assert_double_eq_tol(confidence.agreement_percent, 100, 1e-9);
	audits.verdicts[SESSION_AUDIT_DIFFERENT] = 10;
	ck_assert_int_eq(judge(0, 1, WIRE_STOP_NO_INFO), CAPTURE_MEDIUM);
	ck_assert_double_eq_tol(confidence.agreement_percent, 99, 1e-9);
	ck_assert_uint_eq(confidence.audited, 1000);
	capture_tally_at(&tally, 1)->disagreed = 10;
	capture_confidence_judge(&feed, &audits, &tally, modules, &confidence);
	assert_advice("/lib/odd.so");
	audits.verdicts[SESSION_AUDIT_DIFFERENT] = 100;
	ck_assert_int_eq(judge(0, 1, WIRE_STOP_NO_INFO), CAPTURE_LOW);
}
END_TEST

static enum capture_level judge_audits(uint64_t different, uint64_t audited)
{
	audits.verdicts[SESSION_AUDIT_AGREED] = audited - different;
	audits.verdicts[SESSION_AUDIT_DIFFERENT] = different;
	return judge(0, 1, WIRE_STOP_NO_INFO);
}

START_TEST(few_audits_say_little)
{
	for (uint64_t audited = 1; audited <= 1000; audited++)
		ck_assert_int_eq(judge_audits(1, audited), CAPTURE_HIGH);
	ck_assert_int_eq(judge_audits(9, 9), CAPTURE_HIGH);
	ck_assert_int_eq(judge_audits(10, 10), CAPTURE_LOW);
	/* Wilson's lower end for 2 of 10, 2 of 20, 2 of 500, 2 of 600, 60 of 1000 and 68 of 1000: 5.7, 2.8,
	 * 0.11, 0.09, 4.7 and 5.4 %. */
	ck_assert_int_eq(judge_audits(2, 10), CAPTURE_LOW);
	ck_assert_int_eq(judge_audits(2, 20), CAPTURE_MEDIUM);
	ck_assert_int_eq(judge_audits(2, 500), CAPTURE_MEDIUM);
	ck_assert_int_eq(judge_audits(2, 600), CAPTURE_HIGH);
	ck_assert_int_eq(judge_audits(60, 1000), CAPTURE_MEDIUM);
	ck_assert_int_eq(judge_audits(68, 1000), CAPTURE_LOW);
	/* And where there are many, the thresholds are what they are said to be. */
	ck_assert_int_eq(judge_audits(990, 1000000), CAPTURE_HIGH);
	ck_assert_int_eq(judge_audits(1100, 1000000), CAPTURE_MEDIUM);
	ck_assert_int_eq(judge_audits(49900, 1000000), CAPTURE_MEDIUM);
	ck_assert_int_eq(judge_audits(50500, 1000000), CAPTURE_LOW);
}
END_TEST

START_TEST(the_worst_modules_come_first_and_whole_stacks_are_no_trouble)
{
	struct capture_trouble worst[CAPTURE_CONFIDENCE_MODULES];
	for (uint32_t module = 0; module < 20; module++)
		capture_tally_at(&tally, module)->stops[WIRE_STOP_NO_INFO] = module * 7 % 20;
	capture_tally_at(&tally, 0)->stops[WIRE_STOP_END] = 1000;
	capture_tally_at(&tally, STACK_MODULE_NONE)->disagreed = 100;
	ck_assert_uint_eq(capture_confidence_worst(&tally, worst), CAPTURE_CONFIDENCE_MODULES);
	ck_assert_uint_eq(worst[0].module, STACK_MODULE_NONE);
	for (unsigned i = 1; i < CAPTURE_CONFIDENCE_MODULES; i++)
		ck_assert_uint_eq(worst[i].count, 20 - i);
}
END_TEST

static Suite *make_suite(void)
{
	Suite *suite = suite_create("capture_confidence");
	TCase *t = tcase_create("capture_confidence");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, without_stacks_nothing_is_known);
	tcase_add_test(t, truncation_decides_at_5_and_20_percent);
	tcase_add_test(t, the_advice_names_the_module_and_what_to_do);
	tcase_add_test(t, guessed_frames_keep_it_from_being_high);
	tcase_add_test(t, audits_that_differ_weigh_more_than_stacks_that_end);
	tcase_add_test(t, few_audits_say_little);
	tcase_add_test(t, the_worst_modules_come_first_and_whole_stacks_are_no_trouble);
	suite_add_tcase(suite, t);
	return suite;
}

TAP_MAIN(make_suite)
