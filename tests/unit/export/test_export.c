/* What holds for every format. */
#include "export/export.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include "base/buffer.h"
#include "export/utf8.h"
#include "fixture.h"
#include "support/tap_main.h"

#define SECOND 1000000000ull

static const char *const fixtures[] = {"empty", "redis", "cpp", "trouble", "hostile", "deep"};
#define FIXTURES (sizeof(fixtures) / sizeof(fixtures[0]))

START_TEST(formats_are_found_by_their_names)
{
	enum export_format format;
	for (unsigned i = 0; i < EXPORT_FORMATS; i++) {
		ck_assert_int_eq(
			export_parse_format(export_format_name((enum export_format)i), &format), 0);
		ck_assert_uint_eq(format, i);
	}
	ck_assert_int_eq(export_parse_format("Text", &format), -EINVAL);
	ck_assert_int_eq(export_parse_format("", &format), -EINVAL);
	ck_assert_str_eq(export_format_name(EXPORT_FORMATS), "unknown");
}
END_TEST

START_TEST(an_unknown_format_leaves_the_buffer_as_it_was)
{
	struct buffer out = BUFFER_INIT;
	struct snapshot *snapshot = fixture_redis();
	buffer_puts(&out, "kept");
	ck_assert_int_eq(export_snapshot(snapshot, EXPORT_FORMATS, NULL, &out), -EINVAL);
	ck_assert_uint_eq(out.size, 4);
	ck_assert_int_eq(export_snapshot(snapshot, EXPORT_COLLAPSED, NULL, &out), 0);
	ck_assert_mem_eq(out.data, "kept", 4);
	snapshot_free(snapshot);
	buffer_deinit(&out);
}
END_TEST

START_TEST(without_options_text_is_plain_live_and_short)
{
	struct buffer plain = BUFFER_INIT, defaulted = BUFFER_INIT;
	struct snapshot *snapshot = fixture_redis();
	struct export_options options = {.top = EXPORT_DEFAULT_TOP, .depth = EXPORT_DEFAULT_DEPTH};
	ck_assert_int_eq(export_snapshot(snapshot, EXPORT_TEXT, &options, &plain), 0);
	ck_assert_int_eq(export_snapshot(snapshot, EXPORT_TEXT, NULL, &defaulted), 0);
	ck_assert_uint_eq(plain.size, defaulted.size);
	ck_assert_mem_eq(plain.data, defaulted.data, plain.size);
	snapshot_free(snapshot);
	buffer_deinit(&plain);
	buffer_deinit(&defaulted);
}
END_TEST

static bool is_ours(const char *at)
{
	static const char *const colors[] = {"\033[0m", "\033[1m", "\033[33m", "\033[36m"};
	for (size_t i = 0; i < sizeof(colors) / sizeof(colors[0]); i++)
		if (strncmp(at, colors[i], strlen(colors[i])) == 0)
			return true;
	return false;
}

static void check_harmless(struct buffer *out, bool ascii, bool color)
{
	buffer_putc(out, '\0');
	const char *at = (const char *)out->data;
	ck_assert_uint_eq(strlen(at), out->size - 1);
	for (const char *start = at;; start = at) {
		uint32_t c = utf8_next(&at);
		if (!c)
			break;
		if (c == '\n' || (color && is_ours(start)))
			continue;
		if (utf8_is_control(c) || (ascii && c >= 0x80))
			ck_abort_msg("U+%04X at offset %zu", c,
				(size_t)(start - (const char *)out->data));
		/* a replacement that was written is three bytes, one for ill-formed output is fewer
		 */
		if (c == UTF8_REPLACEMENT && at - start != 3)
			ck_abort_msg("ill-formed at offset %zu",
				(size_t)(start - (const char *)out->data));
	}
}

START_TEST(no_format_brings_a_control_character_or_ill_formed_text_to_the_reader)
{
	static const enum export_format formats[] = {
		EXPORT_TEXT, EXPORT_JSON, EXPORT_COLLAPSED, EXPORT_SPEEDSCOPE};
	for (size_t n = 0; n < FIXTURES; n++) {
		struct snapshot *snapshot = fixture_by_name(fixtures[n]);
		for (size_t i = 0; i < sizeof(formats) / sizeof(formats[0]); i++) {
			for (int color = 0; color < 2; color++) {
				struct export_options options = {.color = color, .width = 100};
				struct buffer out = BUFFER_INIT;
				ck_assert_int_eq(
					export_snapshot(snapshot, formats[i], &options, &out), 0);
				check_harmless(&out, formats[i] == EXPORT_TEXT, color);
				buffer_deinit(&out);
			}
		}
		snapshot_free(snapshot);
	}
}
END_TEST

/* Where the table begins and ends: between the two empty lines. */
static const char *table_of(const struct buffer *out, const char **end)
{
	const char *begin = strstr((const char *)out->data, "\n\n");
	ck_assert_ptr_nonnull(begin);
	*end = strstr(begin + 2, "\n\n");
	ck_assert_ptr_nonnull(*end);
	return begin + 2;
}

START_TEST(tables_fit_every_terminal_from_64_columns_on)
{
	for (size_t n = 1; n < FIXTURES; n++) {
		struct snapshot *snapshot = fixture_by_name(fixtures[n]);
		for (uint32_t width = 64; width < 300; width += 7) {
			for (uint32_t depth = 0; depth < 5; depth += 2) {
				struct export_options options = {.width = width, .depth = depth};
				struct buffer out = BUFFER_INIT;
				const char *end;
				ck_assert_int_eq(
					export_snapshot(snapshot, EXPORT_TEXT, &options, &out), 0);
				buffer_putc(&out, '\0');
				for (const char *line = table_of(&out, &end); line < end;) {
					size_t length = strcspn(line, "\n");
					if (length > width)
						ck_abort_msg("%zu columns of %u: %.*s", length,
							width, (int)length, line);
					line += length + 1;
				}
				buffer_deinit(&out);
			}
		}
		snapshot_free(snapshot);
	}
}
END_TEST

START_TEST(numbers_are_never_cut_however_narrow_the_terminal)
{
	struct snapshot *snapshot = fixture_redis();
	for (uint32_t width = 1; width < 64; width++) {
		struct export_options options = {.width = width, .depth = 3, .top = 1};
		struct buffer out = BUFFER_INIT;
		ck_assert_int_eq(export_snapshot(snapshot, EXPORT_TEXT, &options, &out), 0);
		buffer_putc(&out, '\0');
		ck_assert_ptr_nonnull(
			strstr((const char *)out.data, "458 MiB  35.2%  429..489 MiB      912"));
		buffer_deinit(&out);
	}
	snapshot_free(snapshot);
}
END_TEST

static void check_row(const struct snapshot *snapshot, uint32_t depth, const char *expected)
{
	struct export_options options = {.depth = depth};
	struct buffer out = BUFFER_INIT;
	ck_assert_int_eq(export_snapshot(snapshot, EXPORT_TEXT, &options, &out), 0);
	buffer_putc(&out, '\0');
	ck_assert_msg(strstr((const char *)out.data, expected), "no '%s' in\n%s", expected,
		(const char *)out.data);
	buffer_deinit(&out);
}

START_TEST(stacks_that_read_the_same_are_one_row_with_merged_samples)
{
	struct fixture *f = fixture_new();
	fixture_allocate(f, fixture_site(f, "zmalloc@z.c:1|helper@h.c:2|user@u.c:3|main@m.c:4"),
		100, 60, 40);
	fixture_allocate(f, fixture_site(f, "zmalloc@z.c:7|helper@h.c:8|user@u.c:3|other@m.c:5"),
		100, 60, 50);
	fixture_allocate(f, fixture_site(f, "zmalloc@z.c:1|helper@h.c:2|user@u.c:9|main@m.c:4"),
		100, 60, 30);
	struct snapshot *snapshot = fixture_finish(f);
	/* callers beyond the depth and lines that are not shown do not tell rows apart … */
	check_row(snapshot, 2, "   90  zmalloc <- helper <- user  u.c:3\n");
	/* … the line that is shown does */
	check_row(snapshot, 2, "   30  zmalloc <- helper <- user  u.c:9\n");
	check_row(snapshot, 3, "   70  zmalloc <- helper <- user <- main   m.c:4\n");
	check_row(snapshot, 0, "   40  zmalloc              z.c:1\n");
	snapshot_free(snapshot);
}
END_TEST

START_TEST(wrappers_of_the_runtime_are_skipped_but_never_the_whole_stack)
{
	struct fixture *f = fixture_new();
	fixture_allocate(f,
		fixture_site(f, "operator new(unsigned "
				"long)|std::_Vector_base<int>::_M_allocate(int)@v.h:1|"
				"load(char const*)@load.cc:2|std::__invoke_impl<void>(int)@i.h:3"),
		100, 60, 40);
	fixture_allocate(f,
		fixture_site(f, "operator new(unsigned "
				"long)|std::_Vector_base<int>::_M_allocate(int)@v.h:1"),
		100, 60, 30);
	struct snapshot *snapshot = fixture_finish(f);
	check_row(
		snapshot, 2, "   40  load <- std::__invoke_impl<void>                     i.h:3\n");
	check_row(
		snapshot, 2, "   30  operator new <- std::_Vector_base<int>::_M_allocate  v.h:1\n");
	snapshot_free(snapshot);
}
END_TEST

START_TEST(collapsed_lines_are_sorted_bytewise_unique_and_add_up)
{
	struct snapshot *snapshot = fixture_hostile();
	struct buffer out = BUFFER_INIT;
	char previous[8192] = "";
	long long total = 0;
	ck_assert_int_eq(export_snapshot(snapshot, EXPORT_COLLAPSED, NULL, &out), 0);
	buffer_putc(&out, '\0');
	for (char *rest = (char *)out.data, *line; (line = strsep(&rest, "\n")) && *line;) {
		char *space = strrchr(line, ' ');
		ck_assert_ptr_nonnull(space);
		total += atoll(space + 1);
		space[1] = '\0';
		ck_assert_msg(strcmp(previous, line) < 0, "%s is not before %s", previous, line);
		snprintf(previous, sizeof(previous), "%s", line);
	}
	ck_assert_int_eq(total, (long long)(snapshot->live.bytes + 0.5));
	snapshot_free(snapshot);
	buffer_deinit(&out);
}
END_TEST

static void check_text(struct snapshot *snapshot, enum export_format format, const char *expected)
{
	struct buffer out = BUFFER_INIT;
	ck_assert_int_eq(export_snapshot(snapshot, format, NULL, &out), 0);
	buffer_putc(&out, '\0');
	ck_assert_msg(strstr((const char *)out.data, expected) != NULL, "no %s", expected);
	buffer_deinit(&out);
}

START_TEST(several_processes_are_told_as_such)
{
	struct snapshot *snapshot = fixture_redis();
	snapshot->family = (struct snapshot_family){.processes = 9,
		.descendants = 8,
		.left_out = 2,
		.heirs = 7,
		.unmatched = 1,
		.interval_least_bytes = 65536};
	estimate_add(&snapshot->family.inherited, 1 << 20, 524288);
	check_text(snapshot, EXPORT_TEXT, "redis-server[4242] and 8 processes forked from it: ");
	check_text(snapshot, EXPORT_TEXT,
		" lives in more than one process, inherited by 7 of them and counted once\n");
	check_text(snapshot, EXPORT_TEXT,
		"2 descendants are left out: of another user, or past the first 256 processes\n");
	check_text(snapshot, EXPORT_TEXT, "differ in their intervals, the smallest is 64.0 KiB\n");
	check_text(snapshot, EXPORT_TEXT, "1 inherited sample may be counted more than once");
	check_text(snapshot, EXPORT_JSON, "\"family\":{\"processes\":9,\"left_out\":2,");
	snapshot->quality.exited = true;
	check_text(snapshot, EXPORT_TEXT, "the process is gone, its descendants are not\n");
	snapshot_free(snapshot);
}
END_TEST

START_TEST(a_forked_process_says_what_it_has_inherited)
{
	struct snapshot *snapshot = fixture_redis();
	estimate_add(&snapshot->family.inherited, 1 << 20, 524288);
	check_text(snapshot, EXPORT_TEXT, ", 1 sample) of what lives was inherited by fork; ");
	check_text(snapshot, EXPORT_JSON, "\"family\":{\"processes\":1,\"left_out\":0,");
	snapshot_free(snapshot);
}
END_TEST

START_TEST(an_answer_that_would_be_too_large_is_refused)
{
	struct fixture *f = fixture_new();
	struct buffer stack = BUFFER_INIT;
	for (int i = 0; i < 600; i++) {
		buffer_clear(&stack);
		buffer_printf(&stack, "leaf_%d", i);
		for (int k = 0; k < 128; k++)
			buffer_printf(&stack, "|%d%0*d", k, 4095, 0);
		buffer_putc(&stack, '\0');
		fixture_allocate(f, fixture_site(f, (const char *)stack.data), 100, 1, 1);
	}
	struct snapshot *snapshot = fixture_finish(f);
	buffer_clear(&stack);
	ck_assert_int_eq(export_snapshot(snapshot, EXPORT_COLLAPSED, NULL, &stack), -EFBIG);
	ck_assert_uint_eq(stack.size, 0);
	ck_assert_int_eq(export_snapshot(snapshot, EXPORT_JSON, NULL, &stack), 0);
	buffer_clear(&stack);
	ck_assert_int_eq(export_snapshot(snapshot, EXPORT_PPROF, NULL, &stack), 0);
	snapshot_free(snapshot);
	buffer_deinit(&stack);
}
END_TEST

static double now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / SECOND;
}

static void report_time(const struct snapshot *snapshot, enum export_format format, uint32_t depth)
{
	struct export_options options = {.depth = depth};
	struct buffer out = BUFFER_INIT;
	double start = now();
	ck_assert_int_eq(export_snapshot(snapshot, format, &options, &out), 0);
	printf("# %u sites as %s%s: %.2f s, %zu KiB\n", snapshot->site_count,
		export_format_name(format), format == EXPORT_TEXT && !depth ? ", whole stacks" : "",
		now() - start, out.size >> 10);
	buffer_deinit(&out);
}

static void report_times(uint32_t sites)
{
	struct snapshot *snapshot = fixture_large(sites);
	for (unsigned i = 0; i < EXPORT_FORMATS; i++)
		report_time(snapshot, (enum export_format)i, EXPORT_DEFAULT_DEPTH);
	report_time(snapshot, EXPORT_TEXT, 0);
	fflush(stdout);
	snapshot_free(snapshot);
}

/* The times are for a person to compare; four times the sites should take about four times as long.
 */
START_TEST(fifty_thousand_sites_are_encoded_in_every_format)
{
	report_times(12500);
	report_times(50000);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("export");
	TCase *tc = tcase_create("export");
	tcase_set_timeout(tc, 120);
	tcase_add_test(tc, formats_are_found_by_their_names);
	tcase_add_test(tc, an_unknown_format_leaves_the_buffer_as_it_was);
	tcase_add_test(tc, without_options_text_is_plain_live_and_short);
	tcase_add_test(tc, no_format_brings_a_control_character_or_ill_formed_text_to_the_reader);
	tcase_add_test(tc, tables_fit_every_terminal_from_64_columns_on);
	tcase_add_test(tc, numbers_are_never_cut_however_narrow_the_terminal);
	tcase_add_test(tc, stacks_that_read_the_same_are_one_row_with_merged_samples);
	tcase_add_test(tc, wrappers_of_the_runtime_are_skipped_but_never_the_whole_stack);
	tcase_add_test(tc, collapsed_lines_are_sorted_bytewise_unique_and_add_up);
	tcase_add_test(tc, several_processes_are_told_as_such);
	tcase_add_test(tc, a_forked_process_says_what_it_has_inherited);
	tcase_add_test(tc, an_answer_that_would_be_too_large_is_refused);
	tcase_add_test(tc, fifty_thousand_sites_are_encoded_in_every_format);
	suite_add_tcase(s, tc);
	return s;
}

TAP_MAIN(suite)
