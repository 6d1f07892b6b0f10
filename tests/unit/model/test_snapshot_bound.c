#include "model/snapshot_bound.h"
#include <stdlib.h>
#include <string.h>
#include "base/alloc.h"
#include "base/string_pool.h"
#include "model/snapshot.h"
#include "support/tap_main.h"

/* `count` sites of one frame each, in locations of `text` bytes; site i has i + 1 live samples. */
static struct snapshot *make_snapshot(uint32_t count, size_t text)
{
	struct snapshot *snapshot = alloc_zeroed(1, sizeof *snapshot);
	char *name = alloc_zeroed(1, text + 1);
	memset(name, 'f', text);
	ck_assert_int_eq(string_pool_new(&snapshot->strings), 0);
	snapshot->sites = alloc_zeroed(count + 1, sizeof *snapshot->sites);
	snapshot->locations = alloc_zeroed(count, sizeof *snapshot->locations);
	snapshot->location_indices = alloc_zeroed(count, sizeof *snapshot->location_indices);
	snapshot->lines = alloc_zeroed(1, sizeof *snapshot->lines);
	snapshot->lines[0].function = string_pool_add(snapshot->strings, name, text);
	snapshot->lines[0].function_system = snapshot->lines[0].file = "";
	for (uint32_t i = 0; i < count; i++) {
		snapshot->locations[i] =
			(struct snapshot_location){.line_count = 1, .lines = snapshot->lines};
		snapshot->location_indices[i] = i;
		snapshot->sites[i].locations = &snapshot->location_indices[i];
		snapshot->sites[i].depth = 1;
		for (uint32_t j = 0; j <= i; j++) {
			estimate_add(&snapshot->sites[i].live, 1u << 20, 1u << 19);
			estimate_add(&snapshot->sites[i].cumulative, 1u << 20, 1u << 19);
		}
	}
	snapshot->site_count = snapshot->location_count = count;
	free(name);
	return snapshot;
}

START_TEST(a_snapshot_within_the_bound_is_kept_whole)
{
	struct snapshot *snapshot = make_snapshot(10, 84);
	snapshot_bound(snapshot, 1000);
	ck_assert_uint_eq(snapshot->site_count, 10);
	ck_assert_uint_eq(snapshot->live.samples, 55);
	ck_assert_uint_eq(snapshot->quality.folded_samples, 0);
	snapshot_free(snapshot);
}
END_TEST

START_TEST(past_the_bound_the_smallest_sites_are_folded_into_other)
{
	struct snapshot *snapshot = make_snapshot(10, 84);
	snapshot_bound(snapshot, 700);
	ck_assert_uint_eq(snapshot->site_count, 8);
	/* 1 + 2 + 3 samples, that is more than the smallest that was kept: 4 */
	uint32_t others = 0;
	for (uint32_t i = 0; i < snapshot->site_count; i++) {
		if (snapshot->sites[i].depth > 0)
			continue;
		others++;
		ck_assert_uint_eq(snapshot->sites[i].live.samples, 6);
	}
	ck_assert_uint_eq(others, 1);
	ck_assert_uint_eq(snapshot->live.samples, 55);
	ck_assert_uint_eq(snapshot->quality.folded_samples, 6);
	ck_assert_double_gt(snapshot->quality.folded_bytes, 6 << 20);
	snapshot_free(snapshot);
}
END_TEST

START_TEST(even_one_site_may_be_too_much)
{
	struct snapshot *snapshot = make_snapshot(3, 84);
	snapshot_bound(snapshot, 50);
	ck_assert_uint_eq(snapshot->site_count, 1);
	ck_assert_uint_eq(snapshot->sites[0].depth, 0);
	ck_assert_uint_eq(snapshot->live.samples, 6);
	snapshot_free(snapshot);
}
END_TEST

START_TEST(samples_of_folded_sites_are_those_of_other)
{
	struct snapshot *snapshot = make_snapshot(10, 84);
	snapshot->samples = alloc_zeroed(10, sizeof *snapshot->samples);
	snapshot->sample_count = 10;
	for (uint32_t i = 0; i < 10; i++)
		snapshot->samples[i] = (struct snapshot_sample){.id = i + 1, .site = i};
	snapshot_bound(snapshot, 700);
	for (uint32_t i = 0; i < 10; i++) {
		const struct snapshot_site *site = &snapshot->sites[snapshot->samples[i].site];
		ck_assert_uint_eq(site->live.samples, i < 3 ? 6 : i + 1);
		ck_assert_uint_eq(site->depth, i < 3 ? 0 : 1);
	}
	snapshot_free(snapshot);
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("snapshot_bound");
	TCase *t = tcase_create("snapshot_bound");
	tcase_add_test(t, a_snapshot_within_the_bound_is_kept_whole);
	tcase_add_test(t, past_the_bound_the_smallest_sites_are_folded_into_other);
	tcase_add_test(t, even_one_site_may_be_too_much);
	tcase_add_test(t, samples_of_folded_sites_are_those_of_other);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
