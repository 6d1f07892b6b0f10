#include "base/log.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>
#include "support/tap_main.h"

static int pipe_ends[2];
static int real_stderr;

static void capture(void)
{
	ck_assert_int_eq(pipe(pipe_ends), 0);
	real_stderr = dup(STDERR_FILENO);
	dup2(pipe_ends[1], STDERR_FILENO);
	close(pipe_ends[1]);
}

/* What was written since capture(), as text. */
static const char *captured(void)
{
	static char text[8192];
	dup2(real_stderr, STDERR_FILENO); /* closes the last writing end */
	close(real_stderr);
	ssize_t size = read(pipe_ends[0], text, sizeof(text) - 1);
	ck_assert_int_ge(size, 0);
	text[size] = '\0';
	close(pipe_ends[0]);
	return text;
}

START_TEST(a_message_is_one_line_with_the_programs_name)
{
	log_init("spprofd", LOG_LEVEL_INFO);
	capture();
	log_info("%d workers", 3);
	log_error("no socket");
	ck_assert_str_eq(captured(), "spprofd: 3 workers\nspprofd: no socket\n");
}
END_TEST

START_TEST(levels_below_the_threshold_are_silent)
{
	log_init("spprofd", LOG_LEVEL_ERROR);
	capture();
	log_warning("unseen");
	log_info("unseen");
	log_debug("unseen");
	ck_assert_str_eq(captured(), "");
	log_init("spprofd", LOG_LEVEL_DEBUG);
	capture();
	log_debug("seen");
	ck_assert_str_eq(captured(), "spprofd: seen\n");
}
END_TEST

START_TEST(control_bytes_of_a_workers_name_do_not_reach_the_terminal)
{
	log_init("spprofd", LOG_LEVEL_INFO);
	capture();
	log_info("worker '%s'", "a\033[2J\nb\x7f");
	ck_assert_str_eq(captured(), "spprofd: worker 'a?[2J?b?'\n");
}
END_TEST

START_TEST(an_overlong_message_is_cut_visibly_and_stays_a_line)
{
	char longer[3000];
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	log_init("spprofd", LOG_LEVEL_INFO);
	capture();
	log_info("%s", longer);
	const char *text = captured();
	size_t size = strlen(text);
	ck_assert_uint_lt(size, 1100);
	ck_assert_str_eq(text + size - 5, "x...\n");
	ck_assert_ptr_eq(strchr(text, '\n'), text + size - 1);
}
END_TEST

START_TEST(errno_survives_a_message)
{
	log_init("spprofd", LOG_LEVEL_INFO);
	capture();
	errno = ENOENT;
	log_info("text");
	ck_assert_int_eq(errno, ENOENT);
	captured();
}
END_TEST

START_TEST(level_names_parse_and_others_are_refused)
{
	enum log_level level = LOG_LEVEL_ERROR;
	ck_assert_int_eq(log_parse_level("debug", &level), 0);
	ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
	ck_assert_int_eq(log_parse_level("error", &level), 0);
	ck_assert_int_eq(level, LOG_LEVEL_ERROR);
	ck_assert_int_eq(log_parse_level("loud", &level), -EINVAL);
	ck_assert_int_eq(log_parse_level("", &level), -EINVAL);
	ck_assert_int_eq(level, LOG_LEVEL_ERROR);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("log");
	TCase *t = tcase_create("log");
	tcase_add_test(t, a_message_is_one_line_with_the_programs_name);
	tcase_add_test(t, levels_below_the_threshold_are_silent);
	tcase_add_test(t, control_bytes_of_a_workers_name_do_not_reach_the_terminal);
	tcase_add_test(t, an_overlong_message_is_cut_visibly_and_stays_a_line);
	tcase_add_test(t, errno_survives_a_message);
	tcase_add_test(t, level_names_parse_and_others_are_refused);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
