#include "export/pprof.h"
#include <math.h>
#include <string.h>
#include <zlib.h>
#include "base/buffer.h"
#include "fixture.h"
#include "pprof/profile.pb-c.h"
#include "support/tap_main.h"

static void inflate_all(const struct buffer *in, struct buffer *out)
{
	z_stream stream = {.next_in = in->data, .avail_in = (uInt)in->size};
	ck_assert_int_eq(inflateInit2(&stream, 15 + 16), Z_OK);
	int status;
	do {
		stream.next_out = buffer_reserve(out, 1 << 16);
		stream.avail_out = 1 << 16;
		status = inflate(&stream, Z_NO_FLUSH);
		out->size += (1 << 16) - stream.avail_out;
	} while (status == Z_OK);
	ck_assert_int_eq(status, Z_STREAM_END);
	ck_assert_uint_eq(stream.avail_in, 0);
	inflateEnd(&stream);
}

static Perftools__Profiles__Profile *encode(const struct snapshot *snapshot)
{
	struct buffer compressed = BUFFER_INIT, plain = BUFFER_INIT;
	ck_assert_int_eq(pprof_encode(snapshot, &compressed), 0);
	inflate_all(&compressed, &plain);
	Perftools__Profiles__Profile *profile =
		perftools__profiles__profile__unpack(NULL, plain.size, plain.data);
	ck_assert_ptr_nonnull(profile);
	buffer_deinit(&compressed);
	buffer_deinit(&plain);
	return profile;
}

static Perftools__Profiles__Profile *encode_named(const char *name)
{
	struct snapshot *snapshot = fixture_by_name(name);
	Perftools__Profiles__Profile *profile = encode(snapshot);
	snapshot_free(snapshot);
	return profile;
}

static const char *string(const Perftools__Profiles__Profile *profile, int64_t number)
{
	ck_assert_int_ge(number, 0);
	ck_assert_int_lt(number, (int64_t)profile->n_string_table);
	return profile->string_table[number];
}

static void release(Perftools__Profiles__Profile *profile)
{
	perftools__profiles__profile__free_unpacked(profile, NULL);
}

START_TEST(sample_types_are_those_of_gos_heap_profiles)
{
	static const char *const expected[4][2] = {{"alloc_objects", "count"},
		{"alloc_space", "bytes"}, {"inuse_objects", "count"}, {"inuse_space", "bytes"}};
	Perftools__Profiles__Profile *profile = encode_named("redis");
	ck_assert_uint_eq(profile->n_sample_type, 4);
	for (int i = 0; i < 4; i++) {
		ck_assert_str_eq(string(profile, profile->sample_type[i]->type), expected[i][0]);
		ck_assert_str_eq(string(profile, profile->sample_type[i]->unit), expected[i][1]);
	}
	ck_assert_str_eq(string(profile, profile->default_sample_type), "inuse_space");
	ck_assert_str_eq(string(profile, profile->period_type->type), "space");
	ck_assert_str_eq(string(profile, profile->period_type->unit), "bytes");
	ck_assert_int_eq(profile->period, FIXTURE_INTERVAL);
	ck_assert_int_eq(profile->time_nanos, 1795436762000000000);
	ck_assert_int_eq(profile->duration_nanos, 11520000000000);
	ck_assert_str_eq(profile->string_table[0], "");
	release(profile);
}
END_TEST

START_TEST(each_column_adds_up_to_the_rounded_total)
{
	static const char *const names[] = {"redis", "cpp", "trouble", "hostile"};
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		struct snapshot *snapshot = fixture_by_name(names[n]);
		Perftools__Profiles__Profile *profile = encode(snapshot);
		int64_t totals[4] = {0};
		ck_assert_uint_eq(profile->n_sample, snapshot->site_count);
		for (size_t i = 0; i < profile->n_sample; i++) {
			ck_assert_uint_eq(profile->sample[i]->n_value, 4);
			for (int column = 0; column < 4; column++)
				totals[column] += profile->sample[i]->value[column];
			ck_assert_int_le(llabs(profile->sample[i]->value[3] -
						 (int64_t)floor(snapshot->sites[i].live.bytes)),
				1);
		}
		ck_assert_int_eq(totals[0], (int64_t)round(snapshot->cumulative.objects));
		ck_assert_int_eq(totals[1], (int64_t)round(snapshot->cumulative.bytes));
		ck_assert_int_eq(totals[2], (int64_t)round(snapshot->live.objects));
		ck_assert_int_eq(totals[3], (int64_t)round(snapshot->live.bytes));
		release(profile);
		snapshot_free(snapshot);
	}
}
END_TEST

START_TEST(ids_follow_the_order_of_their_tables_and_references_hold)
{
	static const char *const names[] = {"empty", "redis", "cpp", "trouble", "hostile", "deep"};
	for (size_t n = 0; n < sizeof(names) / sizeof(names[0]); n++) {
		Perftools__Profiles__Profile *profile = encode_named(names[n]);
		for (size_t i = 0; i < profile->n_mapping; i++)
			ck_assert_uint_eq(profile->mapping[i]->id, i + 1);
		for (size_t i = 0; i < profile->n_function; i++) {
			ck_assert_uint_eq(profile->function[i]->id, i + 1);
			ck_assert_str_ne(string(profile, profile->function[i]->filename), "\n");
			string(profile, profile->function[i]->system_name);
		}
		for (size_t i = 0; i < profile->n_location; i++) {
			const Perftools__Profiles__Location *location = profile->location[i];
			ck_assert_uint_eq(location->id, i + 1);
			ck_assert_uint_le(location->mapping_id, profile->n_mapping);
			ck_assert_uint_ge(location->n_line, 1);
			for (size_t k = 0; k < location->n_line; k++) {
				ck_assert_uint_ge(location->line[k]->function_id, 1);
				ck_assert_uint_le(
					location->line[k]->function_id, profile->n_function);
			}
		}
		for (size_t i = 0; i < profile->n_sample; i++) {
			ck_assert_uint_ge(profile->sample[i]->n_location_id, 1);
			for (size_t k = 0; k < profile->sample[i]->n_location_id; k++) {
				ck_assert_uint_ge(profile->sample[i]->location_id[k], 1);
				ck_assert_uint_le(
					profile->sample[i]->location_id[k], profile->n_location);
			}
		}
		release(profile);
	}
}
END_TEST

START_TEST(the_main_program_is_the_first_mapping_and_flags_say_what_is_known)
{
	Perftools__Profiles__Profile *profile = encode_named("redis");
	ck_assert_uint_eq(profile->n_mapping, 2);
	const Perftools__Profiles__Mapping *program = profile->mapping[0],
					   *libc = profile->mapping[1];
	ck_assert_str_eq(string(profile, program->filename), "/usr/bin/redis-server");
	ck_assert_str_eq(
		string(profile, program->build_id), "fedcba9876543210fedcba9876543210fedcba98");
	ck_assert_uint_eq(program->memory_start, 0x555555580000);
	ck_assert_uint_eq(program->memory_limit, 0x555555680000);
	ck_assert_uint_eq(program->file_offset, 0x2c000);
	ck_assert(program->has_functions && program->has_filenames && program->has_line_numbers &&
		  program->has_inline_frames);
	/* names from the symbol table, no debug information */
	ck_assert(libc->has_functions && !libc->has_filenames && !libc->has_line_numbers &&
		  !libc->has_inline_frames);
	release(profile);
}
END_TEST

START_TEST(a_mapping_without_any_name_is_left_to_the_reader_to_symbolize)
{
	struct fixture *f = fixture_new();
	fixture_allocate(f, fixture_site(f, "lib![libc.so.6+0x1234]|main@m.c:1"), 100, 10, 10);
	struct snapshot *snapshot = fixture_finish(f);
	Perftools__Profiles__Profile *profile = encode(snapshot);
	ck_assert_uint_eq(profile->n_mapping, 2);
	ck_assert(profile->mapping[0]->has_functions);
	ck_assert(!profile->mapping[1]->has_functions);
	ck_assert_uint_eq(profile->location[0]->mapping_id, 2);
	release(profile);
	snapshot_free(snapshot);
}
END_TEST

START_TEST(inlined_functions_are_lines_of_one_location_innermost_first)
{
	struct fixture *f = fixture_new();
	fixture_allocate(
		f, fixture_site(f, "inner@a.h:1^middle@b.h:2^outer@c.c:3|main@m.c:1"), 100, 10, 10);
	struct snapshot *snapshot = fixture_finish(f);
	Perftools__Profiles__Profile *profile = encode(snapshot);
	static const char *const names[] = {"inner", "middle", "outer"};
	ck_assert_uint_eq(profile->location[0]->n_line, 3);
	for (int i = 0; i < 3; i++) {
		const Perftools__Profiles__Line *line = profile->location[0]->line[i];
		ck_assert_int_eq(line->line, i + 1);
		ck_assert_str_eq(
			string(profile, profile->function[line->function_id - 1]->name), names[i]);
	}
	release(profile);
	snapshot_free(snapshot);
}
END_TEST

START_TEST(a_site_without_frames_is_called_other)
{
	Perftools__Profiles__Profile *profile = encode_named("trouble");
	size_t found = 0;
	for (size_t i = 0; i < profile->n_sample; i++) {
		const Perftools__Profiles__Location *leaf =
			profile->location[profile->sample[i]->location_id[0] - 1];
		const Perftools__Profiles__Function *function =
			profile->function[leaf->line[0]->function_id - 1];
		if (strcmp(string(profile, function->name), "[other]") == 0) {
			ck_assert_uint_eq(profile->sample[i]->n_location_id, 1);
			ck_assert_uint_eq(leaf->mapping_id, 0);
			found++;
		}
	}
	ck_assert_uint_eq(found, 1);
	release(profile);
}
END_TEST

static bool has_comment(const Perftools__Profiles__Profile *profile, const char *part)
{
	for (size_t i = 0; i < profile->n_comment; i++)
		if (strstr(string(profile, profile->comment[i]), part))
			return true;
	return false;
}

START_TEST(comments_carry_the_quality)
{
	Perftools__Profiles__Profile *profile = encode_named("trouble");
	ck_assert(has_comment(profile, "lost 12 samples (6.10 MiB) and 3 frees"));
	ck_assert(has_comment(profile, "unconfirmed: 3 frees were lost"));
	ck_assert(has_comment(profile, "23 samples"));
	ck_assert(has_comment(profile, "alloc_* counts from when spprofd first saw the process"));
	ck_assert(has_comment(profile, "9 samples are folded into [other]"));
	release(profile);
	profile = encode_named("redis");
	ck_assert(has_comment(profile, "nothing lost"));
	ck_assert(!has_comment(profile, "unconfirmed"));
	release(profile);
}
END_TEST

START_TEST(equal_snapshots_give_equal_bytes)
{
	struct buffer first = BUFFER_INIT, second = BUFFER_INIT;
	struct snapshot *snapshot = fixture_redis();
	ck_assert_int_eq(pprof_encode(snapshot, &first), 0);
	ck_assert_int_eq(pprof_encode(snapshot, &second), 0);
	ck_assert_uint_eq(first.size, second.size);
	ck_assert_mem_eq(first.data, second.data, first.size);
	snapshot_free(snapshot);
	buffer_deinit(&first);
	buffer_deinit(&second);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("pprof");
	TCase *tc = tcase_create("pprof");
	tcase_add_test(tc, sample_types_are_those_of_gos_heap_profiles);
	tcase_add_test(tc, each_column_adds_up_to_the_rounded_total);
	tcase_add_test(tc, ids_follow_the_order_of_their_tables_and_references_hold);
	tcase_add_test(tc, the_main_program_is_the_first_mapping_and_flags_say_what_is_known);
	tcase_add_test(tc, a_mapping_without_any_name_is_left_to_the_reader_to_symbolize);
	tcase_add_test(tc, inlined_functions_are_lines_of_one_location_innermost_first);
	tcase_add_test(tc, a_site_without_frames_is_called_other);
	tcase_add_test(tc, comments_carry_the_quality);
	tcase_add_test(tc, equal_snapshots_give_equal_bytes);
	suite_add_tcase(s, tc);
	return s;
}

TAP_MAIN(suite)
