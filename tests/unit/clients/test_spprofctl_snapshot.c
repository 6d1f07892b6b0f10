/* spprofctl snapshot: what is asked for, where it goes, and how it looks there. */
#include "config.h"
#include "ctl/ctl.h"
#include "spprofctl_fixture.h"

START_TEST(a_snapshot_asks_for_what_the_options_say)
{
	RUN("snapshot", "100");
	ck_assert_int_eq(result.exit_code, CTL_OK);
	ck_assert_str_eq(
		result.out, "format=0 top=20 depth=3 width=0 color=0 cumulative=0 timeout=0\n");
	RUN("snapshot", "100", "-f", "collapsed", "--top", "3", "--depth=2", "--cumulative",
		"--timeout", "30");
	ck_assert_str_eq(
		result.out, "format=3 top=3 depth=2 width=0 color=0 cumulative=1 timeout=30000\n");
}
END_TEST

static void run_in_terminal(const char *const argv[])
{
	result.terminal = true;
	result.err_fd = 0;
	program_start(&result, argv);
	program_wait(&result);
}

START_TEST(text_fits_the_terminal_and_has_colours_unless_refused)
{
	static const char *const argv[] = {"spprofctl", "snapshot", "100", NULL};
	run_in_terminal(argv);
	ck_assert_str_eq(
		result.out, "format=0 top=20 depth=3 width=60 color=1 cumulative=0 timeout=0\n");
	setenv("NO_COLOR", "1", 1);
	run_in_terminal(argv);
	assert_has(result.out, "width=60 color=0");
	unsetenv("NO_COLOR");
	setenv("TERM", "dumb", 1);
	run_in_terminal(argv);
	assert_has(result.out, "color=0");
}
END_TEST

START_TEST(a_table_fits_the_terminal)
{
	run_in_terminal((const char *const[]){"spprofctl", "stats", "100", NULL});
	assert_has(result.out, "lost_birth_ring_full_bytes 1.50 KiB stood for by");
	ck_assert_ptr_null(strstr(result.out, "that found no room"));
}
END_TEST

START_TEST(binary_formats_are_kept_from_terminals)
{
	run_in_terminal((const char *const[]){"spprofctl", "snapshot", "100", "-f", "pprof", NULL});
	ck_assert_int_eq(result.exit_code, CTL_USAGE);
	ck_assert_str_eq(result.out, "");
	assert_one_line(result.err);
	assert_has(result.err, "-o FILE");
}
END_TEST

START_TEST(a_file_s_suffix_chooses_the_format_and_the_option_overrules_it)
{
	RUN("snapshot", "100", "-o", path_of("a.pb.gz"));
	ck_assert_int_eq(result.exit_code, CTL_OK);
	ck_assert_str_eq(result.out, "");
	FILE *file = fopen(path_of("a.pb.gz"), "r");
	char text[128] = {0};
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
	fclose(file);
	assert_has(text, "format=2");
	RUN("snapshot", "100", "-f", "text", "-o", path_of("b.pb.gz"));
	file = fopen(path_of("b.pb.gz"), "r");
	ck_assert_ptr_nonnull(fgets(text, sizeof(text), file));
	fclose(file);
	assert_has(text, "format=0");
}
END_TEST

START_TEST(a_place_that_cannot_take_the_file_is_exit_code_1)
{
	RUN("snapshot", "100", "-o", "/nonexistent/heap.json");
	ck_assert_int_eq(result.exit_code, CTL_FAILED);
	assert_one_line(result.err);
	assert_has(result.err, "/nonexistent/heap.json");
	RUN("snapshot", "100", "-f", "json", "-o", "/dev/full");
	ck_assert_int_eq(result.exit_code, CTL_FAILED);
	assert_has(result.err, "No space left");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("clients/ctl/spprofctl_snapshot");
	TCase *t = tcase_create("clients/ctl/spprofctl_snapshot");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_snapshot_asks_for_what_the_options_say);
	tcase_add_test(t, text_fits_the_terminal_and_has_colours_unless_refused);
	tcase_add_test(t, a_table_fits_the_terminal);
	tcase_add_test(t, binary_formats_are_kept_from_terminals);
	tcase_add_test(t, a_file_s_suffix_chooses_the_format_and_the_option_overrules_it);
	tcase_add_test(t, a_place_that_cannot_take_the_file_is_exit_code_1);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
