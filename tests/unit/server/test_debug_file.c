/* debug_file: what is found where, and what hostile names and folders do not get opened. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "server/debug_file.h"
#include "support/tap_main.h"

static char base[] = "/tmp/spprof-test-XXXXXX";
static char root[64];
static const struct debug_file_id id = {.bytes = {0xab, 0xcd, 0x01}, .size = 3};
static const struct debug_file_id none;

static const char *in_base(const char *name)
{
	static char paths[4][256];
	static unsigned next;
	char *path = paths[next++ % 4];
	snprintf(path, sizeof(paths[0]), "%s/%s", base, name);
	return path;
}

static void make(const char *name, const char *content)
{
	char path[256];
	snprintf(path, sizeof(path), "%s", in_base(name));
	for (char *slash = path + strlen(base) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		mkdir(path, 0700);
		*slash = '/';
	}
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	fputs(content, file);
	fclose(file);
}

static void setup(void)
{
	strcpy(base, "/tmp/spprof-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(base));
	snprintf(root, sizeof(root), "%s/root", base);
	mkdir(root, 0700);
	make("bin/program", "program");
}

static void teardown(void)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -r %s", base);
	ck_assert_int_eq(system(command), 0);
}

static int open_program(void)
{
	int fd = open(in_base("bin/program"), O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}

static void assert_content(int fd, const char *wanted)
{
	char text[64];
	ck_assert_int_ge(fd, 0);
	ssize_t size = read(fd, text, sizeof(text) - 1);
	ck_assert_int_ge(size, 0);
	text[size] = '\0';
	ck_assert_str_eq(text, wanted);
	ck_assert(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	close(fd);
}

static void assert_found(const struct debug_file_id *wanted, const char *link, const char *content)
{
	int program = open_program();
	assert_content(debug_file_open(root, wanted, link, program), content);
	close(program);
}

static void assert_not_found(const struct debug_file_id *wanted, const char *link)
{
	int program = open_program();
	ck_assert_int_eq(debug_file_open(root, wanted, link, program), -ENOENT);
	close(program);
}

START_TEST(the_build_id_is_looked_for_first)
{
	make("root/.build-id/ab/cd01.debug", "by id");
	make("bin/program.debug", "by link");
	assert_found(&id, "program.debug", "by id");
	assert_found(&none, "program.debug", "by link");
}
END_TEST

START_TEST(a_link_is_looked_for_below_the_root_then_beside_the_program)
{
	char below[256];
	make("bin/program.debug", "beside");
	assert_found(&id, "program.debug", "beside");
	make("bin/.debug/program.debug", "hidden beside");
	assert_found(&id, "program.debug", "hidden beside");
	snprintf(below, sizeof(below), "root%s/bin/program.debug", base);
	make(below, "below the root");
	assert_found(&id, "program.debug", "below the root");
}
END_TEST

START_TEST(a_link_is_one_file_name)
{
	make("secret", "secret");
	make("bin/sub/x", "x");
	assert_not_found(&none, "../secret");
	assert_not_found(&none, "sub/x");
	assert_not_found(&none, in_base("secret"));
	assert_not_found(&none, "..");
	assert_not_found(&none, ".");
	assert_not_found(&none, "");
	assert_not_found(&none, "sub");
}
END_TEST

START_TEST(what_is_no_regular_file_is_not_waited_for)
{
	ck_assert_int_eq(mkfifo(in_base("bin/fifo"), 0600), 0);
	ck_assert_int_eq(symlink("/dev/zero", in_base("bin/device")), 0);
	ck_assert_int_eq(symlink("/nonexistent", in_base("bin/dangling")), 0);
	assert_not_found(&none, "fifo");
	assert_not_found(&none, "device");
	assert_not_found(&none, "dangling");
}
END_TEST

START_TEST(beside_the_program_only_its_owners_files_are_taken)
{
	if (geteuid() != 0) {
		printf("# skipped: only root can give files away\n");
		return;
	}
	make("foreign", "somebody else's");
	ck_assert_int_eq(symlink(in_base("foreign"), in_base("bin/program.debug")), 0);
	assert_found(&none, "program.debug", "somebody else's"); /* root's, as the program is */
	ck_assert_int_eq(chown(in_base("bin/program"), 1234, 1234), 0);
	assert_not_found(&none, "program.debug");
	ck_assert_int_eq(chown(in_base("foreign"), 1234, 1234), 0);
	assert_found(&none, "program.debug", "somebody else's");
}
END_TEST

START_TEST(odd_build_ids_are_not_looked_for)
{
	const struct debug_file_id one = {.bytes = {0xab}, .size = 1};
	struct debug_file_id longest = {.size = DEBUG_FILE_ID_BYTES + 1};
	make("root/.build-id/ab/.debug", "none");
	assert_not_found(&one, "");
	assert_not_found(&longest, "");
	longest.size = DEBUG_FILE_ID_BYTES;
	assert_not_found(&longest, "");
}
END_TEST

START_TEST(a_supplement_is_found_by_id_or_below_dwz)
{
	make("root/.dwz/x86_64/common.debug", "by path");
	assert_content(debug_file_open_supplement(root, &id, "../../../.dwz/x86_64/common.debug"),
		"by path");
	assert_content(
		debug_file_open_supplement(root, &id, "/usr/lib/debug/.dwz/x86_64/common.debug"),
		"by path");
	make("root/.build-id/ab/cd01.debug", "by id");
	assert_content(debug_file_open_supplement(root, &id, "anything"), "by id");
}
END_TEST

START_TEST(a_supplements_path_does_not_lead_elsewhere)
{
	make("secret", "secret");
	make("root/secret", "secret");
	make("root/.dwz/y", "y");
	ck_assert_int_eq(debug_file_open_supplement(root, &none, ".dwz/../secret"), -ENOENT);
	ck_assert_int_eq(debug_file_open_supplement(root, &none, ".dwz/../../secret"), -ENOENT);
	ck_assert_int_eq(debug_file_open_supplement(root, &none, in_base("secret")), -ENOENT);
	ck_assert_int_eq(debug_file_open_supplement(root, &none, "secret"), -ENOENT);
	ck_assert_int_eq(debug_file_open_supplement(root, &none, ".dwz/"), -ENOENT);
	ck_assert_int_eq(debug_file_open_supplement(root, &none, ""), -ENOENT);
	assert_content(debug_file_open_supplement(root, &none, ".dwz/y"), "y");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("debug_file");
	TCase *t = tcase_create("debug_file");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, the_build_id_is_looked_for_first);
	tcase_add_test(t, a_link_is_looked_for_below_the_root_then_beside_the_program);
	tcase_add_test(t, a_link_is_one_file_name);
	tcase_add_test(t, what_is_no_regular_file_is_not_waited_for);
	tcase_add_test(t, beside_the_program_only_its_owners_files_are_taken);
	tcase_add_test(t, odd_build_ids_are_not_looked_for);
	tcase_add_test(t, a_supplement_is_found_by_id_or_below_dwz);
	tcase_add_test(t, a_supplements_path_does_not_lead_elsewhere);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
