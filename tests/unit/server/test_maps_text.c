/* Lines as kernels print them, and lines that no kernel prints. */
#include "config.h"
#include "server/maps_text.h"
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include "support/tap_main.h"

static struct maps_line line;

/* From a block of exactly this size, so that a sanitizer sees reads past its end. */
static enum maps_text_result parse_bytes(const char *bytes, size_t size)
{
	static char *copy;

	free(copy);
	copy = malloc(size);
	memcpy(copy, bytes, size);
	struct maps_text text = {copy, copy + size};
	enum maps_text_result r = maps_text_next(&text, &line);
	if (r != MAPS_TEXT_END)
		ck_assert_int_eq(maps_text_next(&text, &(struct maps_line){0}), MAPS_TEXT_END);
	return r;
}

static enum maps_text_result parse(const char *text)
{
	return parse_bytes(text, strlen(text));
}

static const char *path_of(void)
{
	static char path[PATH_MAX];

	ck_assert_int_ge(maps_text_path(&line, path, sizeof(path)), 0);
	return path;
}

START_TEST(a_file_mapping_is_read_in_full)
{
	ck_assert_int_eq(parse("7f1c2a000000-7f1c2a0b5000 r-xp 0001f000 fe:01 1835412"
			       "                    /usr/lib/libc.so.6\n"),
		MAPS_TEXT_LINE);
	ck_assert_uint_eq(line.start, 0x7f1c2a000000);
	ck_assert_uint_eq(line.end, 0x7f1c2a0b5000);
	ck_assert_uint_eq(line.file_offset, 0x1f000);
	ck_assert_uint_eq(line.device, makedev(0xfe, 1));
	ck_assert_uint_eq(line.inode, 1835412);
	ck_assert(line.executable);
	ck_assert_str_eq(path_of(), "/usr/lib/libc.so.6");
}
END_TEST

START_TEST(anonymous_memory_has_an_empty_path)
{
	ck_assert_int_eq(parse("01000-02000 rw-p 00000000 00:00 0 \n"), MAPS_TEXT_LINE);
	ck_assert(!line.executable);
	ck_assert_str_eq(path_of(), "");
	ck_assert_int_eq(parse("01000-02000 rwxp 00000000 00:00 0\n"), MAPS_TEXT_LINE);
	ck_assert(line.executable);
}
END_TEST

START_TEST(paths_keep_their_spaces_and_get_their_newlines_back)
{
	ck_assert_int_eq(
		parse("1-2 r-xp 0 1:2 3      /a  b/c\\012d \\0 \\01 (deleted)\n"), MAPS_TEXT_LINE);
	ck_assert_str_eq(path_of(), "/a  b/c\nd \\0 \\01 (deleted)");
	ck_assert_int_eq(parse("1-2 r-xp 0 1:2 3      /a\\012\n"), MAPS_TEXT_LINE);
	ck_assert_str_eq(path_of(), "/a\n");
}
END_TEST

START_TEST(a_path_that_does_not_fit_is_refused)
{
	char path[8];

	ck_assert_int_eq(parse("1-2 r-xp 0 1:2 3 /234567\n"), MAPS_TEXT_LINE);
	ck_assert_int_eq(maps_text_path(&line, path, sizeof(path)), 7);
	ck_assert_int_eq(maps_text_path(&line, path, sizeof(path) - 1), -ENAMETOOLONG);
	ck_assert_int_eq(parse("1-2 r-xp 0 1:2 3 \n"), MAPS_TEXT_LINE);
	ck_assert_int_eq(maps_text_path(&line, path, 1), 0);
	ck_assert_int_eq(maps_text_path(&line, path, 0), -ENAMETOOLONG);
}
END_TEST

START_TEST(what_no_kernel_prints_is_malformed)
{
	static const char *const lines[] = {
		"\n",
		" \n",
		"x\n",
		"1\n",
		"1-\n",
		"1-2\n",
		"1-2 \n",
		"1-2 r-x\n",
		"1-2 r-xp\n",
		"1-2 r-xp \n",
		"1-2 r-xp 0 1:2\n",
		"1-2 r-xp 0 1:2 \n",
		"1-2 r-xp 0 12 3 /a\n",
		"1-2 r-?p 0 1:2 3 /a\n",
		"1-2 r-xp0 1:2 3 /a\n",
		"1-2 r-xp 0 1:2 3a /a\n",
		"1-2 r-xp 0 1:2 0x3 /a\n",
		"-2 r-xp 0 1:2 3 /a\n",
		" 1-2 r-xp 0 1:2 3 /a\n",
		"1 - 2 r-xp 0 1:2 3 /a\n",
		"A-B r-xp 0 1:2 3 /a\n",
		"2-2 r-xp 0 1:2 3 /a\n",
		"3-2 r-xp 0 1:2 3 /a\n",
		"10000000000000000-2 r-xp 0 1:2 3 /a\n",
		"1-10000000000000001 r-xp 0 1:2 3 /a\n",
		"1-3 r-xp fffffffffffffffe 1:2 3 /a\n",
		"1-2 r-xp 0 1:2 18446744073709551616 /a\n",
		"1-2 r-xp 0 100000000:2 3 /a\n",
		"1-2 r-xp 0 1:100000000 3 /a\n",
	};

	ck_assert_msg(parse(lines[_i]) == MAPS_TEXT_MALFORMED, "%s", lines[_i]);
}
END_TEST

START_TEST(a_last_line_without_end_is_malformed_however_whole_it_looks)
{
	const char *whole = "1-2 r-xp 0 1:2 3 /a/b\n";

	ck_assert_int_eq(parse(whole), MAPS_TEXT_LINE);
	for (size_t size = 1; size < strlen(whole); size++)
		ck_assert_int_eq(parse_bytes(whole, size), MAPS_TEXT_MALFORMED);
	ck_assert_int_eq(parse(""), MAPS_TEXT_END);
}
END_TEST

START_TEST(a_hole_in_the_text_is_malformed)
{
	ck_assert_int_eq(parse_bytes("1-2 r-xp 0 1:2 3 /a\0b\n", 22), MAPS_TEXT_MALFORMED);
	ck_assert_int_eq(parse_bytes("\0\0\0\0\0\0\0\n", 8), MAPS_TEXT_MALFORMED);
	ck_assert_int_eq(parse_bytes("1-2 r-xp 0 1:2 3\0/a\n", 20), MAPS_TEXT_MALFORMED);
}
END_TEST

START_TEST(the_largest_values_are_read)
{
	ck_assert_int_eq(
		parse("0-ffffffffffffffff --xp 0 ffffffff:ffffffff 18446744073709551615 /a\n"),
		MAPS_TEXT_LINE);
	ck_assert_uint_eq(line.end, UINT64_MAX);
	ck_assert_uint_eq(line.inode, UINT64_MAX);
	ck_assert_uint_eq(line.device, makedev(UINT32_MAX, UINT32_MAX));
}
END_TEST

START_TEST(every_line_of_our_own_maps_is_understood)
{
	FILE *file = fopen("/proc/self/maps", "re");
	unsigned lines = 0, executable = 0;
	char *text = NULL;
	size_t capacity = 0;
	ssize_t size;

	while ((size = getline(&text, &capacity, file)) > 0) {
		ck_assert_msg(parse_bytes(text, (size_t)size) == MAPS_TEXT_LINE, "%s", text);
		lines++;
		executable += line.executable;
	}
	ck_assert_uint_gt(executable, 3);
	ck_assert_uint_gt(lines, executable);
	free(text);
	fclose(file);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("maps_text");
	TCase *t = tcase_create("maps_text");

	tcase_add_test(t, a_file_mapping_is_read_in_full);
	tcase_add_test(t, anonymous_memory_has_an_empty_path);
	tcase_add_test(t, paths_keep_their_spaces_and_get_their_newlines_back);
	tcase_add_test(t, a_path_that_does_not_fit_is_refused);
	tcase_add_loop_test(t, what_no_kernel_prints_is_malformed, 0, 29);
	tcase_add_test(t, a_last_line_without_end_is_malformed_however_whole_it_looks);
	tcase_add_test(t, a_hole_in_the_text_is_malformed);
	tcase_add_test(t, the_largest_values_are_read);
	tcase_add_test(t, every_line_of_our_own_maps_is_understood);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
