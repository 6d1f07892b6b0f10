#include "model/snapshot_merge.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include "base/alloc.h"
#include "base/string_pool.h"
#include "model/snapshot.h"
#include "support/tap_main.h"

#define ROOMY UINT64_MAX

/* One process with room for a few sites of one to two locations each. */
static struct snapshot *new_part(int32_t pid)
{
	struct snapshot *part = alloc_zeroed(1, sizeof *part);
	ck_assert_int_eq(string_pool_new(&part->strings), 0);
	part->pid = pid;
	part->comm = part->exe = part->command_line = "worker";
	part->interval_bytes = 1000;
	part->quality.from_start = true;
	part->quality.unconfirmed_reason = "";
	part->sites = alloc_zeroed(8, sizeof *part->sites);
	part->locations = alloc_zeroed(8, sizeof *part->locations);
	part->lines = alloc_zeroed(8, sizeof *part->lines);
	part->modules = alloc_zeroed(8, sizeof *part->modules);
	part->location_indices = alloc_zeroed(16, sizeof *part->location_indices);
	return part;
}

static uint32_t add_module(struct snapshot *part, const char *path, uint64_t start)
{
	part->modules[part->module_count] = (struct snapshot_module){
		.path = path, .build_id = "ab", .start = start, .end = start + 0x1000};
	return part->module_count++;
}

static uint32_t add_location(struct snapshot *part, struct snapshot_location location,
	const char *function, const char *file, uint32_t line)
{
	struct snapshot_line *name = &part->lines[part->location_count];
	*name = (struct snapshot_line){
		.function = function, .function_system = "", .file = file, .line = line};
	location.lines = name;
	location.line_count = 1;
	part->locations[part->location_count] = location;
	return part->location_count++;
}

static uint32_t native(
	struct snapshot *part, uint32_t module, uint64_t address, const char *function)
{
	struct snapshot_location location = {
		.address = address, .module = module, .resolved = function[0] != '['};
	return add_location(part, location, function, "", 0);
}

static uint32_t python(struct snapshot *part, const char *function, const char *file, uint32_t line)
{
	struct snapshot_location location = {
		.module = UINT32_MAX, .resolved = true, .python = true};
	return add_location(part, location, function, file, line);
}

/* A site of one or two locations; `outer` UINT32_MAX: one. */
static void add_site(struct snapshot *part, uint32_t inner, uint32_t outer, uint32_t samples)
{
	uint32_t *row = &part->location_indices[2 * part->site_count];
	struct snapshot_site *site = &part->sites[part->site_count++];
	row[0] = inner;
	row[1] = outer;
	site->locations = row;
	site->depth = outer == UINT32_MAX ? 1 : 2;
	for (uint32_t i = 0; i < samples; i++) {
		estimate_add(&site->live, 100, 1000);
		estimate_add(&site->cumulative, 100, 1000);
	}
}

static struct snapshot *merge(struct snapshot *first, struct snapshot *second, uint64_t max_text)
{
	struct snapshot_merge *merge;
	ck_assert_int_eq(snapshot_merge_new(&merge, max_text), 0);
	ck_assert_int_eq(snapshot_merge_add(merge, first), 0);
	ck_assert_int_eq(snapshot_merge_add(merge, second), 0);
	snapshot_free(first); /* nothing of the parts is borrowed */
	snapshot_free(second);
	struct snapshot *merged = snapshot_merge_finish(merge);
	snapshot_merge_free(merge);
	return merged;
}

START_TEST(equal_stacks_are_one_site_and_their_estimates_add_up)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	uint32_t libc = add_module(a, "/libc", 0x10000), app = add_module(b, "/app", 0x50000);
	uint32_t other_libc = add_module(b, "/libc", 0x10000);
	add_site(a, native(a, libc, 0x10010, "malloc"), UINT32_MAX, 3);
	add_site(b, native(b, app, 0x50010, "main"), UINT32_MAX, 1);
	add_site(b, native(b, other_libc, 0x10010, "malloc"), UINT32_MAX, 4);
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert_uint_eq(merged->site_count, 2);
	ck_assert_uint_eq(merged->module_count, 2);
	ck_assert_uint_eq(merged->sites[0].live.samples, 7);
	ck_assert_double_eq_tol(
		merged->sites[0].live.bytes, 7 * 100 / estimate_probability(100, 1000), 1e-6);
	ck_assert_str_eq(
		merged->locations[merged->sites[0].locations[0]].lines[0].function, "malloc");
	ck_assert_uint_eq(merged->sites[1].live.samples, 1);
	ck_assert_uint_eq(merged->live.samples, 8);
	ck_assert_int_eq(merged->pid, 1);
	ck_assert_uint_eq(merged->family.processes, 2);
	ck_assert_uint_eq(merged->family.descendants, 1);
	snapshot_free(merged);
}
END_TEST

START_TEST(a_library_may_lie_elsewhere_in_each_process)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	add_site(a, native(a, add_module(a, "/lib", 0x10000), 0x10010, "f"), UINT32_MAX, 1);
	add_site(b, native(b, add_module(b, "/lib", 0x70000), 0x70010, "f"), UINT32_MAX, 1);
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert_uint_eq(merged->site_count, 1);
	ck_assert_uint_eq(merged->locations[0].address, 0x10010);
	snapshot_free(merged);
}
END_TEST

START_TEST(the_same_path_with_another_build_id_is_another_module)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	add_site(a, native(a, add_module(a, "/lib", 0x10000), 0x10010, "f"), UINT32_MAX, 1);
	add_site(b, native(b, add_module(b, "/lib", 0x10000), 0x10010, "f"), UINT32_MAX, 1);
	b->modules[0].build_id = "cd";
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert_uint_eq(merged->module_count, 2);
	ck_assert_uint_eq(merged->site_count, 2);
	snapshot_free(merged);
}
END_TEST

START_TEST(frames_of_python_are_equal_by_function_file_and_line)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	add_site(a, python(a, "view", "app.py", 7), UINT32_MAX, 1);
	python(b, "unused", "app.py", 1); /* numbers differ */
	add_site(b, python(b, "view", "app.py", 7), UINT32_MAX, 1);
	add_site(b, python(b, "view", "app.py", 8), UINT32_MAX, 1);
	add_site(b, python(b, "view", "other.py", 7), UINT32_MAX, 1);
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert_uint_eq(merged->site_count, 3);
	ck_assert_uint_eq(merged->sites[0].live.samples, 2);
	ck_assert_uint_eq(merged->location_count, 3); /* what no stack names is left out */
	ck_assert(merged->locations[0].python);
	snapshot_free(merged);
}
END_TEST

START_TEST(code_in_no_module_is_equal_by_address_and_name)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	add_site(a, native(a, UINT32_MAX, 0, "[stack not kept]"), UINT32_MAX, 1);
	add_site(b, native(b, UINT32_MAX, 0, "[stack not kept]"), UINT32_MAX, 1);
	add_site(b, native(b, UINT32_MAX, 0x99, "[0x99]"), UINT32_MAX, 1);
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert_uint_eq(merged->site_count, 2);
	ck_assert_uint_eq(merged->sites[0].live.samples, 2);
	snapshot_free(merged);
}
END_TEST

START_TEST(a_name_that_came_in_time_for_one_process_names_all)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	add_site(
		a, native(a, add_module(a, "/lib", 0x10000), 0x10010, "[lib+0x10]"), UINT32_MAX, 1);
	add_site(b, native(b, add_module(b, "/lib", 0x10000), 0x10010, "f"), UINT32_MAX, 1);
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert_uint_eq(merged->location_count, 1);
	ck_assert_str_eq(merged->locations[0].lines[0].function, "f");
	ck_assert_uint_eq(merged->quality.locations_total, 1);
	ck_assert_uint_eq(merged->quality.locations_unresolved, 0);
	snapshot_free(merged);
}
END_TEST

START_TEST(stacks_that_end_otherwise_are_other_sites)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	add_site(a, python(a, "f", "a.py", 1), python(a, "g", "a.py", 2), 1);
	add_site(b, python(b, "f", "a.py", 1), UINT32_MAX, 1);
	add_site(b, 0, python(b, "g", "a.py", 2), 1);
	b->sites[1].stop = 2;
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert_uint_eq(merged->site_count, 3);
	snapshot_free(merged);
}
END_TEST

START_TEST(the_quality_is_that_of_the_worst_and_losses_add_up)
{
	struct snapshot *a = new_part(1), *b = new_part(22);
	a->quality.lost_samples = 3;
	a->quality.stacks_whole = 10;
	a->since_unix_ns = 5;
	b->quality = (struct snapshot_quality){.unconfirmed = true,
		.told_again = true,
		.unconfirmed_reason = "it was forked",
		.lost_samples = 4,
		.stacks_whole = 20,
		.allocated_since_unix_ns = 9};
	b->interval_bytes = 4000;
	b->taken_unix_ns = 12;
	b->since_unix_ns = 7;
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert(merged->quality.unconfirmed && merged->quality.told_again);
	ck_assert_str_eq(merged->quality.unconfirmed_reason, "1 of 2 processes, 22: it was forked");
	ck_assert(!merged->quality.from_start);
	ck_assert_uint_eq(merged->quality.lost_samples, 7);
	ck_assert_uint_eq(merged->quality.stacks_whole, 30);
	ck_assert_uint_eq(merged->quality.allocated_since_unix_ns, 9);
	ck_assert_double_eq(merged->interval_bytes, 4000);
	ck_assert_double_eq(merged->family.interval_least_bytes, 1000);
	ck_assert_uint_eq(merged->since_unix_ns, 5);
	ck_assert_uint_eq(merged->taken_unix_ns, 12);
	snapshot_free(merged);
}
END_TEST

START_TEST(one_that_is_not_under_repair_leaves_none_under_repair)
{
	for (int order = 0; order < 2; order++) {
		struct snapshot *a = new_part(1), *b = new_part(2);
		a->quality.unconfirmed = b->quality.unconfirmed = true;
		(order ? a : b)->quality.told_again = true;
		struct snapshot *merged = merge(a, b, ROOMY);
		ck_assert(merged->quality.unconfirmed && !merged->quality.told_again);
		snapshot_free(merged);
	}
}
END_TEST

START_TEST(an_ended_process_that_holds_nothing_is_not_counted)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	a->quality.exited = true;
	add_site(b, python(b, "f", "a.py", 1), UINT32_MAX, 1);
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert_int_eq(merged->pid, 1);
	ck_assert(merged->quality.exited);
	ck_assert_uint_eq(merged->family.processes, 1);
	ck_assert_uint_eq(merged->family.descendants, 1);
	snapshot_free(merged);
}
END_TEST

static void add_sample(struct snapshot *part, uint64_t id, uint32_t site)
{
	part->samples = alloc_resize(part->samples, part->sample_count + 1, sizeof *part->samples);
	part->samples[part->sample_count++] = (struct snapshot_sample){.id = id, .site = site};
}

/* The function that a sample's stack is named by. */
static const char *function_of(const struct snapshot *snapshot, uint32_t sample)
{
	const struct snapshot_site *site = &snapshot->sites[snapshot->samples[sample].site];
	return site->depth > 0 ? snapshot->locations[site->locations[0]].lines[0].function
			       : "[other]";
}

START_TEST(samples_keep_their_process_and_go_to_the_merged_site)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	add_site(a, python(a, "f", "a.py", 1), UINT32_MAX, 1);
	add_site(b, python(b, "g", "a.py", 1), UINT32_MAX, 3);
	add_site(b, python(b, "f", "a.py", 1), UINT32_MAX, 1);
	add_sample(a, 7, 0);
	add_sample(b, 7, 1);
	add_sample(b, 8, 0);
	struct snapshot *merged = merge(a, b, ROOMY);
	ck_assert_uint_eq(merged->sample_count, 3);
	for (uint32_t i = 0; i < 3; i++) {
		ck_assert_int_eq(merged->samples[i].pid, i == 0 ? 1 : 2);
		ck_assert_uint_eq(merged->samples[i].id, i < 2 ? 7 : 8);
		ck_assert_str_eq(function_of(merged, i), i < 2 ? "f" : "g");
	}
	snapshot_free(merged);
	a = new_part(1);
	b = new_part(2);
	add_site(a, python(a, "f", "a.py", 1), UINT32_MAX, 1);
	add_sample(a, 7, 0);
	merged = merge(a, b, 0);
	ck_assert_str_eq(function_of(merged, 0), "[other]");
	snapshot_free(merged);
}
END_TEST

START_TEST(more_samples_than_an_answer_has_room_for_are_refused)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	struct snapshot_merge *merge;
	add_site(a, python(a, "f", "a.py", 1), UINT32_MAX, 1);
	add_sample(a, 7, 0);
	add_sample(b, 7, 0);
	b->sample_count = SNAPSHOT_MERGE_MAX_SAMPLES;
	ck_assert_int_eq(snapshot_merge_new(&merge, ROOMY), 0);
	ck_assert_int_eq(snapshot_merge_add(merge, a), 0);
	ck_assert_int_eq(snapshot_merge_add(merge, b), -EFBIG);
	snapshot_merge_free(merge);
	snapshot_free(a);
	snapshot_free(b);
}
END_TEST

START_TEST(past_the_bound_of_text_sites_are_folded_and_counted)
{
	struct snapshot *a = new_part(1), *b = new_part(2);
	add_site(a, python(a, "f", "a.py", 1), UINT32_MAX, 5);
	add_site(b, python(b, "f", "a.py", 1), UINT32_MAX, 2);
	add_site(b, python(b, "g", "a.py", 1), UINT32_MAX, 1);
	struct snapshot *merged = merge(a, b, 45); /* two sites of 21 bytes each */
	ck_assert_uint_eq(merged->site_count, 2);
	ck_assert_uint_eq(merged->quality.folded_samples, 0);
	snapshot_free(merged);

	a = new_part(1), b = new_part(2);
	add_site(a, python(a, "f", "a.py", 1), UINT32_MAX, 5);
	add_site(b, python(b, "g", "a.py", 1), UINT32_MAX, 2);
	add_site(b, python(b, "h", "a.py", 1), UINT32_MAX, 1);
	merged = merge(a, b, 45);
	ck_assert_uint_eq(merged->site_count, 3);
	ck_assert_uint_eq(merged->sites[2].depth, 0);
	ck_assert_uint_eq(merged->sites[2].live.samples, 1);
	ck_assert_uint_eq(merged->quality.folded_samples, 1);
	ck_assert_uint_eq(merged->live.samples, 8);
	snapshot_free(merged);
}
END_TEST

START_TEST(without_a_part_there_is_nothing)
{
	struct snapshot_merge *merge;
	ck_assert_int_eq(snapshot_merge_new(&merge, ROOMY), 0);
	ck_assert_ptr_null(snapshot_merge_finish(merge));
	ck_assert_ptr_null(snapshot_merge_free(merge));
	ck_assert_ptr_null(snapshot_merge_free(NULL));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("snapshot_merge");
	TCase *t = tcase_create("snapshot_merge");
	tcase_add_test(t, equal_stacks_are_one_site_and_their_estimates_add_up);
	tcase_add_test(t, a_library_may_lie_elsewhere_in_each_process);
	tcase_add_test(t, the_same_path_with_another_build_id_is_another_module);
	tcase_add_test(t, frames_of_python_are_equal_by_function_file_and_line);
	tcase_add_test(t, code_in_no_module_is_equal_by_address_and_name);
	tcase_add_test(t, a_name_that_came_in_time_for_one_process_names_all);
	tcase_add_test(t, stacks_that_end_otherwise_are_other_sites);
	tcase_add_test(t, the_quality_is_that_of_the_worst_and_losses_add_up);
	tcase_add_test(t, one_that_is_not_under_repair_leaves_none_under_repair);
	tcase_add_test(t, an_ended_process_that_holds_nothing_is_not_counted);
	tcase_add_test(t, samples_keep_their_process_and_go_to_the_merged_site);
	tcase_add_test(t, more_samples_than_an_answer_has_room_for_are_refused);
	tcase_add_test(t, past_the_bound_of_text_sites_are_folded_and_counted);
	tcase_add_test(t, without_a_part_there_is_nothing);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
