/*
 * Whole outputs against files in golden/. After a wanted change: SPPROF_UPDATE_GOLDEN=1 make check,
 * then read the difference. The program's version is written @VERSION@, and in JSON the ends of
 * intervals are written @, since their last digit is the C library's.
 */
#include "config.h"
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/buffer.h"
#include "export/export.h"
#include "fixture.h"
#include "support/tap_main.h"

struct golden {
	const char *file, *fixture;
	enum export_format format;
	struct export_options options;
};

#define TEXT(...)                                                                                  \
	EXPORT_TEXT,                                                                               \
	{                                                                                          \
		__VA_ARGS__                                                                        \
	}

static const struct golden goldens[] = {
	{"redis-wide.txt", "redis", TEXT(.top = 20, .depth = 3)},
	{"redis-120.txt", "redis", TEXT(.top = 20, .depth = 3, .width = 120)},
	{"redis-80.txt", "redis", TEXT(.top = 10, .depth = 3, .width = 80)},
	{"redis-40.txt", "redis", TEXT(.top = 5, .depth = 3, .width = 40)},
	{"redis-depth1.txt", "redis", TEXT(.depth = 1)},
	{"redis-whole-stacks.txt", "redis", TEXT(.top = 3, .width = 100)},
	{"redis-allocated.txt", "redis",
		TEXT(.top = 10, .depth = 3, .width = 120, .cumulative = true)},
	{"redis-color.txt", "redis", TEXT(.top = 4, .depth = 3, .width = 100, .color = true)},
	{"redis.json", "redis", EXPORT_JSON, {0}},
	{"redis.folded", "redis", EXPORT_COLLAPSED, {0}},
	{"redis-allocated.folded", "redis", EXPORT_COLLAPSED, {.cumulative = true}},
	{"redis.speedscope.json", "redis", EXPORT_SPEEDSCOPE, {0}},
	{"cpp.txt", "cpp", TEXT(.depth = 3, .width = 120)},
	{"cpp-wide.txt", "cpp", TEXT(.depth = 3)},
	{"cpp-whole-stacks.txt", "cpp", TEXT(.top = 2, .width = 100)},
	{"cpp.folded", "cpp", EXPORT_COLLAPSED, {0}},
	{"python.txt", "python", TEXT(.depth = 3, .width = 120)},
	{"python-80.txt", "python", TEXT(.depth = 3, .width = 80)},
	{"python-depth1.txt", "python", TEXT(.depth = 1)},
	{"python-whole-stacks.txt", "python", TEXT(.top = 3, .width = 100)},
	{"python.json", "python", EXPORT_JSON, {0}},
	{"python.folded", "python", EXPORT_COLLAPSED, {0}},
	{"python.speedscope.json", "python", EXPORT_SPEEDSCOPE, {0}},
	{"trouble.txt", "trouble", TEXT(.depth = 3, .width = 120)},
	{"trouble.json", "trouble", EXPORT_JSON, {0}},
	{"trouble.folded", "trouble", EXPORT_COLLAPSED, {0}},
	{"empty.txt", "empty", TEXT(.depth = 3, .width = 120)},
	{"empty.json", "empty", EXPORT_JSON, {0}},
	{"empty.folded", "empty", EXPORT_COLLAPSED, {0}},
	{"empty.speedscope.json", "empty", EXPORT_SPEEDSCOPE, {0}},
	{"hostile.txt", "hostile", TEXT(.depth = 3, .width = 120)},
	{"hostile.json", "hostile", EXPORT_JSON, {0}},
	{"hostile.folded", "hostile", EXPORT_COLLAPSED, {0}},
	{"hostile.speedscope.json", "hostile", EXPORT_SPEEDSCOPE, {0}},
};

static bool skip_word(const char **at, const char *word)
{
	size_t length = strlen(word);
	if (strncmp(*at, word, length) != 0)
		return false;
	*at += length;
	return true;
}

static bool skip_number(const char **at, const char *key)
{
	size_t length = strlen(key);
	if (strncmp(*at, key, length) != 0 || !isdigit((unsigned char)(*at)[length]))
		return false;
	*at += length + strspn(*at + length, "0123456789");
	return true;
}

static void mask(struct buffer *out, const char *text, enum export_format format)
{
	while (*text) {
		if (skip_word(&text, "spprofd " PACKAGE_VERSION)) {
			buffer_puts(out, "spprofd @VERSION@");
		} else if (format == EXPORT_JSON && skip_number(&text, "\"low\":")) {
			buffer_puts(out, "\"low\":@");
		} else if (format == EXPORT_JSON && skip_number(&text, "\"high\":")) {
			buffer_puts(out, "\"high\":@");
		} else {
			buffer_putc(out, *text++);
		}
	}
	buffer_putc(out, '\0');
}

static void encode(const struct golden *golden, struct buffer *masked)
{
	struct buffer out = BUFFER_INIT;
	struct snapshot *snapshot = fixture_by_name(golden->fixture);
	ck_assert_int_eq(export_snapshot(snapshot, golden->format, &golden->options, &out), 0);
	snapshot_free(snapshot);
	buffer_putc(&out, '\0');
	ck_assert_uint_eq(strlen((const char *)out.data), out.size - 1);
	mask(masked, (const char *)out.data, golden->format);
	buffer_deinit(&out);
}

static char *path_of(const struct golden *golden)
{
	const char *source = getenv("SRCDIR");
	struct buffer path = BUFFER_INIT;
	buffer_printf(&path, "%s/tests/unit/export/golden/%s", source ? source : ".", golden->file);
	buffer_putc(&path, '\0');
	size_t size;
	return (char *)buffer_take(&path, &size);
}

static void write_file(const char *path, const struct buffer *text)
{
	FILE *file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(text->data, 1, text->size - 1, file), text->size - 1);
	fclose(file);
}

static void read_file(const char *path, struct buffer *text)
{
	FILE *file = fopen(path, "r");
	ck_assert_msg(file, "cannot open %s", path);
	for (size_t got = 1; got > 0; text->size += got)
		got = fread(buffer_reserve(text, 4096), 1, 4096, file);
	fclose(file);
	buffer_putc(text, '\0');
}

START_TEST(output_is_as_recorded)
{
	const struct golden *golden = &goldens[_i];
	struct buffer is = BUFFER_INIT, should = BUFFER_INIT;
	_cleanup_free_ char *path = path_of(golden);
	encode(golden, &is);
	if (getenv("SPPROF_UPDATE_GOLDEN"))
		write_file(path, &is);
	read_file(path, &should);
	const char *a = (const char *)is.data, *b = (const char *)should.data;
	for (unsigned line = 1; *a || *b; line++) {
		size_t length_a = strcspn(a, "\n"), length_b = strcspn(b, "\n");
		ck_assert_msg(length_a == length_b && memcmp(a, b, length_a) == 0 &&
				      a[length_a] == b[length_b],
			"%s:%u\n  is     %.*s\n  should %.*s", golden->file, line, (int)length_a, a,
			(int)length_b, b);
		a += length_a + (a[length_a] != '\0');
		b += length_b + (b[length_b] != '\0');
	}
	buffer_deinit(&is);
	buffer_deinit(&should);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("golden");
	TCase *tc = tcase_create("golden");
	tcase_add_loop_test(
		tc, output_is_as_recorded, 0, (int)(sizeof(goldens) / sizeof(goldens[0])));
	suite_add_tcase(s, tc);
	return s;
}

TAP_MAIN(suite)
