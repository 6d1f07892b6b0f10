#include "model/snapshot.h"
#include <string.h>
#include "base/alloc.h"
#include "base/string_pool.h"
#include "support/random.h"
#include "support/tap_main.h"

static struct snapshot *make_snapshot(uint32_t sites)
{
	struct snapshot *snapshot = alloc_zeroed(1, sizeof(*snapshot));
	ck_assert_int_eq(string_pool_new(&snapshot->strings), 0);
	snapshot->comm = string_pool_add(snapshot->strings, "worker", 6);
	snapshot->sites = alloc_zeroed(sites, sizeof(snapshot->sites[0]));
	snapshot->site_count = sites;
	snapshot->location_indices = alloc_zeroed(sites * 2, sizeof(uint32_t));
	snapshot->locations = alloc_zeroed(4, sizeof(snapshot->locations[0]));
	snapshot->modules = alloc_zeroed(1, sizeof(snapshot->modules[0]));
	snapshot->lines = alloc_zeroed(4, sizeof(snapshot->lines[0]));
	return snapshot;
}

/* Sites with few distinct sums, so that ties are the rule; locations tell them apart. */
static void fill(struct snapshot *snapshot)
{
	for (uint32_t i = 0; i < snapshot->site_count; i++) {
		struct snapshot_site *site = &snapshot->sites[i];
		snapshot->location_indices[2 * i] = i / 7;
		snapshot->location_indices[2 * i + 1] = i;
		site->locations = &snapshot->location_indices[2 * i];
		site->depth = 1 + i % 2;
		site->stop = (uint8_t)(i / 3 % 2);
		site->guessed = (uint8_t)(i % 3);
		for (uint32_t k = 0; k < i % 4; k++)
			estimate_add(&site->live, 100, 1000);
		for (uint32_t k = 0; k < i % 5; k++)
			estimate_add(&site->cumulative, 100, 1000);
	}
}

static void shuffle(struct snapshot *snapshot, uint64_t seed)
{
	struct random random = {seed};
	for (uint32_t i = snapshot->site_count; i > 1; i--) {
		uint32_t other = (uint32_t)random_below(&random, i);
		struct snapshot_site site = snapshot->sites[i - 1];
		snapshot->sites[i - 1] = snapshot->sites[other];
		snapshot->sites[other] = site;
	}
}

START_TEST(sites_are_ranked_by_live_bytes_then_by_cumulative_ones)
{
	struct snapshot *snapshot = make_snapshot(200);
	fill(snapshot);
	shuffle(snapshot, 1);
	snapshot_finish(snapshot);
	for (uint32_t i = 1; i < snapshot->site_count; i++) {
		const struct snapshot_site *before = &snapshot->sites[i - 1],
					   *site = &snapshot->sites[i];
		ck_assert_double_ge(before->live.bytes, site->live.bytes);
		if (before->live.bytes == site->live.bytes)
			ck_assert_double_ge(before->cumulative.bytes, site->cumulative.bytes);
	}
	snapshot_free(snapshot);
}
END_TEST

START_TEST(the_order_does_not_depend_on_the_order_before)
{
	struct snapshot *reference = make_snapshot(200), *other = make_snapshot(200);
	fill(reference);
	fill(other);
	snapshot_finish(reference);
	for (uint64_t seed = 2; seed < 10; seed++) {
		shuffle(other, seed);
		snapshot_finish(other);
		for (uint32_t i = 0; i < 200; i++) {
			const struct snapshot_site *a = &reference->sites[i], *b = &other->sites[i];
			ck_assert_uint_eq(a->depth, b->depth);
			ck_assert_uint_eq(a->stop, b->stop);
			ck_assert_uint_eq(a->guessed, b->guessed);
			ck_assert_mem_eq(a->locations, b->locations, a->depth * sizeof(uint32_t));
		}
	}
	snapshot_free(reference);
	snapshot_free(other);
}
END_TEST

START_TEST(totals_are_the_sums_of_the_sites_however_often_it_is_finished)
{
	struct snapshot *snapshot = make_snapshot(200);
	fill(snapshot);
	for (int i = 0; i < 2; i++) {
		snapshot_finish(snapshot);
		ck_assert_uint_eq(snapshot->live.samples, 50 * (0 + 1 + 2 + 3));
		ck_assert_uint_eq(snapshot->cumulative.samples, 40 * (0 + 1 + 2 + 3 + 4));
		ck_assert_double_eq_tol(
			snapshot->live.bytes, 300 * 100 / estimate_probability(100, 1000), 1e-6);
	}
	snapshot_free(snapshot);
}
END_TEST

START_TEST(an_empty_snapshot_finishes_and_frees)
{
	struct snapshot *snapshot = alloc_zeroed(1, sizeof(*snapshot));
	snapshot_finish(snapshot);
	ck_assert_uint_eq(snapshot->live.samples, 0);
	ck_assert_ptr_null(snapshot_free(snapshot));
	ck_assert_ptr_null(snapshot_free(NULL));
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("snapshot");
	TCase *t = tcase_create("snapshot");
	tcase_add_test(t, sites_are_ranked_by_live_bytes_then_by_cumulative_ones);
	tcase_add_test(t, the_order_does_not_depend_on_the_order_before);
	tcase_add_test(t, totals_are_the_sums_of_the_sites_however_often_it_is_finished);
	tcase_add_test(t, an_empty_snapshot_finishes_and_frees);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
