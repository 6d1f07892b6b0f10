#include "config.h"
#include "ctl/format.h"

#include <errno.h>
#include <string.h>

#include "support/tap_main.h"

#define FORMAT(name) SPPROF__V1__SNAPSHOT_REQUEST__FORMAT__##name

START_TEST(a_file_s_name_tells_its_format)
{
	static const struct {
		const char *path;
		Spprof__V1__SnapshotRequest__Format format;
	} cases[] = {
		{"heap.pb.gz", FORMAT(PPROF)},
		{"a/b.c/heap.pprof", FORMAT(PPROF)},
		{"heap.json", FORMAT(JSON)},
		{"heap.speedscope.json", FORMAT(SPEEDSCOPE)},
		{"heap.txt", FORMAT(TEXT)},
		{"heap.folded", FORMAT(COLLAPSED)},
		{"heap.collapsed", FORMAT(COLLAPSED)},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		Spprof__V1__SnapshotRequest__Format format;
		ck_assert_int_eq(format_of_file(cases[i].path, &format), 0);
		ck_assert_msg(format == cases[i].format, "%s", cases[i].path);
	}
}
END_TEST

START_TEST(other_names_tell_nothing)
{
	static const char *const paths[] = {
		"", "heap", ".json", "heap.gz", "heap.pb", "heap.json.old", "json"};
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		Spprof__V1__SnapshotRequest__Format format;
		ck_assert_msg(format_of_file(paths[i], &format) == -EINVAL, "'%s' told something",
			paths[i]);
	}
}
END_TEST

START_TEST(every_name_in_the_help_is_a_format_and_comes_back)
{
	char names[] = FORMAT_NAMES;
	unsigned count = 0;
	for (char *name = strtok(names, "|"); name; name = strtok(NULL, "|"), count++) {
		Spprof__V1__SnapshotRequest__Format format;
		ck_assert_int_eq(format_parse(name, &format), 0);
		ck_assert_str_eq(format_name(format), name);
	}
	ck_assert_uint_eq(count, spprof__v1__snapshot_request__format__descriptor.n_values);
}
END_TEST

START_TEST(unknown_formats_are_refused)
{
	Spprof__V1__SnapshotRequest__Format format;
	ck_assert_int_eq(format_parse("", &format), -EINVAL);
	ck_assert_int_eq(format_parse("PPROF", &format), -EINVAL);
	ck_assert_int_eq(format_parse("html", &format), -EINVAL);
}
END_TEST

static Suite *suite(void)
{
	Suite *suite = suite_create("clients/ctl/format");
	TCase *tcase = tcase_create("format");
	tcase_add_test(tcase, a_file_s_name_tells_its_format);
	tcase_add_test(tcase, other_names_tell_nothing);
	tcase_add_test(tcase, every_name_in_the_help_is_a_format_and_comes_back);
	tcase_add_test(tcase, unknown_formats_are_refused);
	suite_add_tcase(suite, tcase);
	return suite;
}

TAP_MAIN(suite)
