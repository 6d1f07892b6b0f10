#include "config.h"
#include "ctl/output.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "support/tap_main.h"

static char dir[64];
static struct output output;

static const char *path_of(const char *name)
{
	static char path[128];
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

static void write_file(const char *name, const char *text)
{
	FILE *file = fopen(path_of(name), "w");
	fputs(text, file);
	fclose(file);
}

static void assert_content(const char *name, const char *expected)
{
	char text[64] = {0};
	FILE *file = fopen(path_of(name), "r");
	ck_assert_ptr_nonnull(file);
	size_t size = fread(text, 1, sizeof(text) - 1, file);
	fclose(file);
	ck_assert_uint_eq(size, strlen(expected));
	ck_assert_str_eq(text, expected);
}

static unsigned count_files(void)
{
	unsigned count = 0;
	DIR *entries = opendir(dir);
	for (struct dirent *entry; (entry = readdir(entries));)
		count += *entry->d_name != '.';
	closedir(entries);
	return count;
}

static void setup(void)
{
	strcpy(dir, "/tmp/spprof-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(dir));
}

static void teardown(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	ck_assert_int_eq(system(command), 0);
}

START_TEST(the_old_file_stays_until_the_new_one_is_whole)
{
	write_file("heap", "old");
	ck_assert_int_eq(output_init(&output, path_of("heap")), 0);
	ck_assert_int_eq(output_write(&output, "new", 3), 0);
	assert_content("heap", "old");
	ck_assert_int_eq(output_commit(&output), 0);
	assert_content("heap", "new");
	ck_assert_uint_eq(count_files(), 1);
	output_deinit(&output);
	assert_content("heap", "new");
}
END_TEST

START_TEST(what_is_abandoned_leaves_nothing)
{
	ck_assert_int_eq(output_init(&output, path_of("heap")), 0);
	ck_assert_int_eq(output_write(&output, "half", 4), 0);
	ck_assert_uint_eq(count_files(), 1);
	output_deinit(&output);
	ck_assert_uint_eq(count_files(), 0);
}
END_TEST

START_TEST(nothing_is_there_before_the_first_byte)
{
	ck_assert_int_eq(output_init(&output, path_of("heap")), 0);
	ck_assert_uint_eq(count_files(), 0);
	output_deinit(&output);
}
END_TEST

START_TEST(a_file_gets_the_mode_that_umask_gives)
{
	umask(027);
	ck_assert_int_eq(output_init(&output, path_of("heap")), 0);
	ck_assert_int_eq(output_commit(&output), 0);
	output_deinit(&output);
	struct stat st;
	ck_assert_int_eq(stat(path_of("heap"), &st), 0);
	ck_assert_uint_eq(st.st_mode & 0777, 0640);
}
END_TEST

START_TEST(a_symbolic_link_stays_one)
{
	write_file("target", "old");
	ck_assert_int_eq(symlink("target", path_of("link")), 0);
	ck_assert_int_eq(output_init(&output, path_of("link")), 0);
	ck_assert_int_eq(output_write(&output, "new", 3), 0);
	ck_assert_int_eq(output_commit(&output), 0);
	output_deinit(&output);
	struct stat st;
	ck_assert_int_eq(lstat(path_of("link"), &st), 0);
	ck_assert(S_ISLNK(st.st_mode));
	assert_content("target", "new");
}
END_TEST

START_TEST(a_device_is_written_and_not_replaced)
{
	ck_assert_int_eq(output_init(&output, "/dev/null"), 0);
	ck_assert(!output_is_terminal(&output));
	ck_assert_int_eq(output_write(&output, "x", 1), 0);
	ck_assert_int_eq(output_commit(&output), 0);
	output_deinit(&output);
	struct stat st;
	ck_assert_int_eq(stat("/dev/null", &st), 0);
	ck_assert(S_ISCHR(st.st_mode));
}
END_TEST

START_TEST(a_named_pipe_is_written_and_not_replaced)
{
	ck_assert_int_eq(mkfifo(path_of("pipe"), 0600), 0);
	int reader = open(path_of("pipe"), O_RDONLY | O_NONBLOCK);
	ck_assert_int_eq(output_init(&output, path_of("pipe")), 0);
	ck_assert(!output_is_terminal(&output));
	ck_assert_int_eq(output_write(&output, "x", 1), 0);
	char byte;
	ck_assert_int_eq(read(reader, &byte, 1), 1);
	ck_assert_int_eq(output_commit(&output), 0);
	output_deinit(&output);
	close(reader);
}
END_TEST

START_TEST(places_that_cannot_take_a_file_are_known_before_the_first_byte)
{
	ck_assert_int_eq(output_init(&output, dir), -EISDIR);
	output_deinit(&output);
	ck_assert_int_eq(output_init(&output, path_of("missing/heap")), -ENOENT);
	output_deinit(&output);
	ck_assert_int_eq(output_init(&output, ""), -ENOENT);
	output_deinit(&output);
	write_file("file", "");
	ck_assert_int_eq(output_init(&output, path_of("file/heap")), -ENOTDIR);
	output_deinit(&output);
}
END_TEST

START_TEST(a_full_disk_is_an_error)
{
	ck_assert_int_eq(output_init(&output, "/dev/full"), 0);
	ck_assert_int_eq(output_write(&output, "x", 1), -ENOSPC);
	output_deinit(&output);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("clients/ctl/output");
	TCase *tcase = tcase_create("output");
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, the_old_file_stays_until_the_new_one_is_whole);
	tcase_add_test(tcase, what_is_abandoned_leaves_nothing);
	tcase_add_test(tcase, nothing_is_there_before_the_first_byte);
	tcase_add_test(tcase, a_file_gets_the_mode_that_umask_gives);
	tcase_add_test(tcase, a_symbolic_link_stays_one);
	tcase_add_test(tcase, a_device_is_written_and_not_replaced);
	tcase_add_test(tcase, a_named_pipe_is_written_and_not_replaced);
	tcase_add_test(tcase, places_that_cannot_take_a_file_are_known_before_the_first_byte);
	tcase_add_test(tcase, a_full_disk_is_an_error);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(suite)
