#include "config.h"
#include "ctl/preload.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl/ctl.h"
#include "support/tap_main.h"

static char dir[64], agent[128];
static struct preload preload;

static void make_agent_in(const char *name)
{
	strcpy(dir, name);
	snprintf(agent, sizeof(agent), "%s/libspprof-agent.so", dir);
	FILE *file = fopen(agent, "w");
	ck_assert_ptr_nonnull(file);
	fclose(file);
	setenv("SPPROF_LIBDIR", dir, 1);
}

static void setup(void)
{
	char name[] = "/tmp/spprof-test-XXXXXX";
	ck_assert_ptr_nonnull(mkdtemp(name));
	make_agent_in(name);
	unsetenv("LD_PRELOAD");
	unsetenv("SPPROF_SOCKET");
	unsetenv("SPPROF_RATE");
}

static void teardown(void)
{
	preload_deinit(&preload);
	unlink(agent);
	rmdir(dir);
}

static void assert_ld_preload(const char *present, const char *format)
{
	char before[256], expected[256];
	snprintf(before, sizeof(before), present, agent);
	snprintf(expected, sizeof(expected), format, agent);
	setenv("LD_PRELOAD", before, 1);
	ck_assert_int_eq(preload_init(&preload, NULL, 0), CTL_OK);
	ck_assert_str_eq(preload.ld_preload, expected);
	preload_deinit(&preload);
}

START_TEST(the_agent_comes_before_what_is_preloaded_already)
{
	assert_ld_preload("", "%s");
	assert_ld_preload("/lib/other.so", "%s:/lib/other.so");
	assert_ld_preload("/lib/a.so /lib/b.so", "%s:/lib/a.so /lib/b.so");
}
END_TEST

START_TEST(the_agent_is_named_only_once)
{
	assert_ld_preload("%s", "%s");
	assert_ld_preload("/lib/a.so:%s:/lib/b.so", "/lib/a.so:%s:/lib/b.so");
	assert_ld_preload("/lib/a.so %s", "/lib/a.so %s");
	assert_ld_preload("%s.old", "%1$s:%1$s.old");
}
END_TEST

START_TEST(a_path_that_ld_preload_cannot_name_is_refused)
{
	char name[] = "/tmp/spprof test-XXXXXX";
	teardown();
	ck_assert_ptr_nonnull(mkdtemp(name));
	make_agent_in(name);
	ck_assert_int_eq(preload_init(&preload, NULL, 0), CTL_FAILED);
}
END_TEST

START_TEST(the_environment_gets_what_was_asked_for_and_no_more)
{
	ck_assert_int_eq(preload_init(&preload, NULL, 0), CTL_OK);
	ck_assert_int_eq(preload_set_environment(&preload), 0);
	ck_assert_str_eq(getenv("LD_PRELOAD"), agent);
	ck_assert_ptr_null(getenv("SPPROF_SOCKET"));
	ck_assert_ptr_null(getenv("SPPROF_RATE"));
	preload_deinit(&preload);
	ck_assert_int_eq(preload_init(&preload, "/here", 65536), CTL_OK);
	ck_assert_int_eq(preload_set_environment(&preload), 0);
	ck_assert_str_eq(getenv("SPPROF_SOCKET"), "/here");
	ck_assert_str_eq(getenv("SPPROF_RATE"), "65536");
}
END_TEST

START_TEST(rates_are_those_that_the_agent_takes)
{
	uint64_t rate;
	ck_assert_int_eq(preload_parse_rate("1", &rate), 0);
	ck_assert_int_eq(preload_parse_rate("1024G", &rate), 0);
	ck_assert_uint_eq(rate, UINT64_C(1) << 40);
	ck_assert_int_eq(preload_parse_rate("0", &rate), -EINVAL);
	ck_assert_int_eq(preload_parse_rate("1025G", &rate), -EINVAL);
}
END_TEST

START_TEST(words_are_quoted_for_the_shell)
{
	char text[512] = {0};
	FILE *file = tmpfile();
	ck_assert_int_eq(preload_init(&preload, "/it's $HOME", 0), CTL_OK);
	int saved = dup(STDOUT_FILENO);
	dup2(fileno(file), STDOUT_FILENO);
	preload_print_exports(&preload);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	rewind(file);
	ck_assert_uint_gt(fread(text, 1, sizeof(text) - 1, file), 0);
	fclose(file);
	ck_assert_ptr_nonnull(strstr(text, "\nexport SPPROF_SOCKET='/it'\\''s $HOME'\n"));
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("clients/ctl/preload");
	TCase *tcase = tcase_create("preload");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_agent_comes_before_what_is_preloaded_already);
	tcase_add_test(tcase, the_agent_is_named_only_once);
	tcase_add_test(tcase, a_path_that_ld_preload_cannot_name_is_refused);
	tcase_add_test(tcase, the_environment_gets_what_was_asked_for_and_no_more);
	tcase_add_test(tcase, rates_are_those_that_the_agent_takes);
	tcase_add_test(tcase, words_are_quoted_for_the_shell);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(suite)
