#include "config.h"
#include "common/socket_dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "spprof/wire/handshake.h"
#include "support/tap_main.h"

static struct socket_dir_list list;
static char user_dir[64], tmp_dir[64];

static void setup(void)
{
	unsetenv("SPPROF_SOCKET");
	unsetenv("XDG_RUNTIME_DIR");
	snprintf(user_dir, sizeof(user_dir), WIRE_USER_DIR_FORMAT, (unsigned)geteuid());
	snprintf(tmp_dir, sizeof(tmp_dir), WIRE_TMP_DIR_FORMAT, (unsigned)geteuid());
}

static void teardown(void)
{
	socket_dir_list_deinit(&list);
}

START_TEST(the_host_s_daemon_comes_first_where_agents_look)
{
	socket_dir_list_init(&list, NULL);
	ck_assert_uint_eq(list.count, 3);
	ck_assert_str_eq(list.paths[0], WIRE_SYSTEM_DIR);
	ck_assert_str_eq(list.paths[1], user_dir);
	ck_assert_str_eq(list.paths[2], tmp_dir);
	ck_assert(!list.named);
	for (size_t i = 0; i < list.count; i++)
		ck_assert(socket_dir_known_to_agents(list.paths[i]));
}
END_TEST

START_TEST(a_runtime_directory_elsewhere_is_looked_into_as_well)
{
	setenv("XDG_RUNTIME_DIR", "/somewhere", 1);
	socket_dir_list_init(&list, NULL);
	ck_assert_uint_eq(list.count, 4);
	ck_assert_str_eq(list.paths[1], "/somewhere/spprofd");
	ck_assert(!socket_dir_known_to_agents(list.paths[1]));
}
END_TEST

START_TEST(the_usual_runtime_directory_is_not_tried_twice)
{
	char runtime[64];
	snprintf(runtime, sizeof(runtime), "/run/user/%u", (unsigned)geteuid());
	setenv("XDG_RUNTIME_DIR", runtime, 1);
	socket_dir_list_init(&list, NULL);
	ck_assert_uint_eq(list.count, 3);
}
END_TEST

START_TEST(a_named_directory_is_the_only_one_and_the_option_wins)
{
	setenv("SPPROF_SOCKET", "/from/env", 1);
	socket_dir_list_init(&list, NULL);
	ck_assert_uint_eq(list.count, 1);
	ck_assert_str_eq(list.paths[0], "/from/env");
	ck_assert(list.named);
	socket_dir_list_deinit(&list);
	socket_dir_list_init(&list, "/from/option");
	ck_assert_uint_eq(list.count, 1);
	ck_assert_str_eq(list.paths[0], "/from/option");
}
END_TEST

START_TEST(an_empty_variable_names_nothing)
{
	setenv("SPPROF_SOCKET", "", 1);
	socket_dir_list_init(&list, NULL);
	ck_assert(!list.named);
}
END_TEST

START_TEST(a_relative_name_holds_for_programs_that_run_elsewhere)
{
	ck_assert_int_eq(chdir("/tmp"), 0);
	socket_dir_list_init(&list, "here");
	ck_assert_str_eq(list.paths[0], "/tmp/here");
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("clients/common/socket_dir");
	TCase *tcase = tcase_create("socket_dir");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_host_s_daemon_comes_first_where_agents_look);
	tcase_add_test(tcase, a_runtime_directory_elsewhere_is_looked_into_as_well);
	tcase_add_test(tcase, the_usual_runtime_directory_is_not_tried_twice);
	tcase_add_test(tcase, a_named_directory_is_the_only_one_and_the_option_wins);
	tcase_add_test(tcase, an_empty_variable_names_nothing);
	tcase_add_test(tcase, a_relative_name_holds_for_programs_that_run_elsewhere);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(suite)
