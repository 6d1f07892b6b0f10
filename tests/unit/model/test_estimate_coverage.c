/*
 * Do 95 % intervals hold the truth in 95 of 100 cases? Sites of one block size are counted exactly,
 * by summing over every possible number of samples; sites of mixed sizes are simulated with a fixed
 * seed. Comment lines (#) give the figures that docs/sampling.md quotes.
 */
#include "model/estimate.h"
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include "support/random.h"
#include "support/tap_main.h"

#define MAX_CLASSES 64
#define NORMAL_975  1.959963984540054

struct class
{
	double count; /* allocations: a whole number */
	uint64_t size, interval;
};

struct site {
	struct class classes[MAX_CLASSES];
	int class_count;
};

struct tally {
	double cases, covered, too_low,
		too_high;	    /* too_low: the whole interval lies below the truth */
	double width, normal_width; /* relative to the truth */
};

enum quantity { BYTES, OBJECTS };

static struct estimate_interval interval_of(
	const struct estimate_sum *sum, enum quantity quantity, double unseen)
{
	if (!sum->samples)
		return (struct estimate_interval){.high = unseen};
	return quantity == BYTES ? estimate_bytes(sum) : estimate_objects(sum);
}

static void tally_add(
	struct tally *tally, const struct estimate_interval *interval, double truth, double weight)
{
	double rounding = truth * 1e-9;
	bool too_low = interval->high<truth - rounding, too_high = interval->low> truth + rounding;
	tally->cases += weight;
	tally->covered += weight * (!too_low && !too_high);
	tally->too_low += weight * too_low;
	tally->too_high += weight * too_high;
	tally->width += weight * (interval->high - interval->low) / truth;
}

static void tally_merge(struct tally *into, const struct tally *from)
{
	into->cases += from->cases;
	into->covered += from->covered;
	into->too_low += from->too_low;
	into->too_high += from->too_high;
	into->width += from->width;
	into->normal_width += from->normal_width;
}

static double coverage(const struct tally *tally)
{
	return tally->covered / tally->cases;
}

static void print(const char *name, double expected, const struct tally *tally)
{
	printf("# %-24s %5g samples: covered %5.1f %%, truth below %4.1f %%, above %4.1f %%, width "
	       "%.2f "
	       "of normal\n",
		name, expected, 100 * coverage(tally), 100 * tally->too_high / tally->cases,
		100 * tally->too_low / tally->cases, tally->width / tally->normal_width);
}

static double log_factorial(double n)
{
	int sign;
	return lgamma_r(n + 1, &sign);
}

/* Exactly: n blocks of one size, of which a binomial number k is kept. */
static void tally_one_size(
	struct tally *tally, double n, uint64_t size, uint64_t interval, enum quantity quantity)
{
	double p = estimate_probability(size, interval), expected = n * p;
	double sigma = sqrt(expected * (1 - p)), unit = quantity == BYTES ? (double)size : 1;
	double unseen = estimate_unseen_bytes((double)interval) * unit / (double)size;
	double first = fmax(0, floor(expected - 8 * sigma - 8));
	double last = fmin(n, expected + 8 * sigma + 20);
	struct estimate_sum sum = {0};
	for (double k = 0; k < first; k++)
		estimate_add(&sum, size, interval);
	for (double k = first; k <= last; k++) {
		double log_chance = log_factorial(n) - log_factorial(k) - log_factorial(n - k) +
				    k * log(p) - (n - k) * (double)size / (double)interval;
		struct estimate_interval result = interval_of(&sum, quantity, unseen);
		tally_add(tally, &result, n * unit, exp(log_chance));
		estimate_add(&sum, size, interval);
	}
	tally->normal_width += 2 * NORMAL_975 * sqrt(n * (1 - p) / p) / n;
}

static const double expected_counts[] = {1, 3, 10, 30, 100, 300, 1000};
#define EXPECTED_COUNTS 7

static void assert_covers(double expected, const struct tally *tally)
{
	ck_assert_double_ge(coverage(tally), 0.93);
	if (expected >= 30)
		ck_assert_double_le(coverage(tally), 0.97);
}

/* One block size per site, from a hundred-thousandth of T to five T; past that, whole numbers of
 * missed blocks are so few that exact limits can only cover too often. */
static void check_one_size(enum quantity quantity, const char *name)
{
	static const double sizes[] = {1e-5, 1e-3, 0.03, 0.1, 0.25, 0.5, 0.75, 1, 1.5, 2, 3, 4, 5};
	const uint64_t interval = 1 << 20;
	for (int e = 0; e < EXPECTED_COUNTS; e++) {
		struct tally pool = {0};
		for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			uint64_t size = (uint64_t)(sizes[i] * (double)interval);
			double p = estimate_probability(size, interval);
			struct tally cell = {0};
			/* counts around the expected one: a single one sits on a whim of whole
			 * numbers */
			for (double f = 0.9; f <= 1.1; f += 0.02)
				tally_one_size(&cell, fmax(1, round(f * expected_counts[e] / p)),
					size, interval, quantity);
			ck_assert_double_ge(coverage(&cell), 0.93);
			tally_merge(&pool, &cell);
		}
		print(name, expected_counts[e], &pool);
		assert_covers(expected_counts[e] >= 30 ? expected_counts[e] : 1, &pool);
		if (expected_counts[e] >= 30)
			ck_assert_double_le(pool.width, 1.08 * pool.normal_width);
	}
}

START_TEST(bytes_of_sites_of_one_size_are_covered)
{
	check_one_size(BYTES, "one size, bytes");
}
END_TEST

START_TEST(objects_of_sites_of_one_size_are_covered)
{
	check_one_size(OBJECTS, "one size, objects");
}
END_TEST

/* Blocks of the order of T or larger are missed as few whole ones: exact limits cover 95 % or much
 * more of the time, limits that ignored it 88 % for some counts. */
static void check_worst_count(enum quantity quantity, const char *name, double least)
{
	struct tally pool = {0}, worst = {.cases = 1, .covered = 1, .normal_width = 1};
	for (double size = 0.5; size <= 128; size *= 1.1) {
		for (double n = 1; n <= 3000; n = ceil(n * 1.1)) {
			struct tally cell = {0};
			tally_one_size(&cell, n, (uint64_t)(size * 65536), 65536, quantity);
			tally_merge(&pool, &cell);
			if (coverage(&cell) < coverage(&worst))
				worst = cell;
		}
	}
	printf("# T/2 to 128T, %s: covered %.1f %%, in the worst case %.1f %%\n", name,
		100 * coverage(&pool), 100 * coverage(&worst));
	ck_assert_double_ge(coverage(&pool), 0.95);
	ck_assert_double_ge(coverage(&worst), least);
}

START_TEST(no_number_of_large_blocks_is_covered_badly)
{
	check_worst_count(BYTES, "bytes", 0.92);
	check_worst_count(OBJECTS, "objects", 0.935);
}
END_TEST

/* How the blocks of a site spread over sizes. */
struct mix {
	const char *name;
	double from, to; /* sizes: from, from * step, … to; in bytes, or in T */
	double step;
	double second_share; /* two sizes only: how many samples come of the second per one of the
				first */
	bool in_intervals, flat_in_bytes, interval_doubles;
};

static const struct mix mixes[] = {
	{.name = "1 B to 8 MiB", .from = 1, .to = 8 << 20, .step = 2},
	{.name = "1 B to 8 MiB, even bytes",
		.from = 1,
		.to = 8 << 20,
		.step = 2,
		.flat_in_bytes = true},
	{.name = "16 B to 64 KiB", .from = 16, .to = 65536, .step = 2},
	{.name = "16 B to 64 KiB, 2 T",
		.from = 16,
		.to = 65536,
		.step = 2,
		.interval_doubles = true},
	{.name = "32 B to 256 B", .from = 32, .to = 256, .step = 1.3},
	{.name = "T/64 to 2T", .from = 1. / 64, .to = 2, .step = 1.4, .in_intervals = true},
	{.name = "T/8 to 8T", .from = 1. / 8, .to = 8, .step = 1.4, .in_intervals = true},
	{.name = "T/1000 and T", .from = 1e-3, .to = 1, .second_share = 1, .in_intervals = true},
	{.name = "T/1000 and 4T", .from = 1e-3, .to = 4, .second_share = 1, .in_intervals = true},
	{.name = "T/1000 and four 4T",
		.from = 1e-3,
		.to = 4,
		.second_share = 4,
		.in_intervals = true},
	{.name = "T/1000 and nine 3T",
		.from = 1e-3,
		.to = 3,
		.second_share = 9,
		.in_intervals = true},
	{.name = "T/2 and 5T", .from = 0.5, .to = 5, .second_share = 1, .in_intervals = true},
	{.name = "T/10 and 2T", .from = 0.1, .to = 2, .second_share = 1, .in_intervals = true},
};
#define MIXES (sizeof(mixes) / sizeof(mixes[0]))

static double poisson(struct random *random, double mean)
{
	if (mean > 500)
		return round(mean);
	double count = -1;
	for (double at = 0; at <= mean; count++)
		at += random_exponential(random);
	return count;
}

/* A site of this mix in which `expected` samples are expected, give or take chance in its blocks.
 */
static void make_site(struct site *site, const struct mix *mix, uint64_t interval, double expected,
	struct random *random)
{
	double unit = mix->in_intervals ? (double)interval : 1, total = 0;
	double step = mix->second_share > 0 ? mix->to / mix->from : mix->step;
	double weights[MAX_CLASSES];
	int n = 0;
	for (double size = mix->from; size < mix->to * 1.001; size *= step, n++) {
		struct class *class = &site->classes[n];
		class->size = (uint64_t)ceil(size * unit);
		class->interval = mix->interval_doubles && n % 2 ? 2 * interval : interval;
		double p = estimate_probability(class->size, class->interval);
		weights[n] = mix->flat_in_bytes ? 1 / size : 1;
		if (mix->second_share > 0)
			weights[n] = (n ? mix->second_share : 1) / p;
		total += weights[n] * p;
	}
	for (int i = 0; i < n; i++)
		site->classes[i].count = poisson(random, weights[i] * expected / total);
	site->class_count = n;
}

/* Which of a class's blocks are kept: the runs of missed ones between are geometric. */
static void sample_site(const struct site *site, struct estimate_sum *sum, struct random *random)
{
	*sum = (struct estimate_sum){0};
	for (int i = 0; i < site->class_count; i++) {
		const struct class *class = &site->classes[i];
		double x = (double)class->size / (double)class->interval;
		for (double at = floor(random_exponential(random) / x); at < class->count;
			at += 1 + floor(random_exponential(random) / x))
			estimate_add(sum, class->size, class->interval);
	}
}

static void tally_site(struct tally *tally, const struct site *site, int runs, uint64_t interval,
	enum quantity quantity, struct random *random)
{
	double truth = 0, variance = 0;
	for (int i = 0; i < site->class_count; i++) {
		const struct class *class = &site->classes[i];
		double unit = quantity == BYTES ? (double)class->size : 1;
		double p = estimate_probability(class->size, class->interval);
		truth += class->count * unit;
		variance += class->count * unit * unit * (1 - p) / p;
	}
	if (truth == 0)
		return;
	for (int run = 0; run < runs; run++) {
		struct estimate_sum sum;
		sample_site(site, &sum, random);
		double unseen = estimate_unseen_bytes((double)interval);
		struct estimate_interval result = interval_of(&sum, quantity, unseen);
		tally_add(tally, &result, truth, 1);
	}
	tally->normal_width += runs * 2 * NORMAL_975 * sqrt(variance) / truth;
}

static void tally_mix(struct tally *tally, const struct mix *mix, double expected,
	enum quantity quantity, struct random *random)
{
	static const uint64_t intervals[] = {16 << 10, 128 << 10, 1 << 20};
	for (int t = 0; t < 3; t++) {
		for (int i = 0; i < (expected >= 300 ? 20 : 60); i++) {
			struct site site;
			make_site(&site, mix, intervals[t], expected, random);
			tally_site(tally, &site, 10, intervals[t], quantity, random);
		}
	}
}

START_TEST(bytes_of_sites_of_mixed_sizes_are_covered)
{
	struct random random = {20240607};
	for (int e = 0; e < EXPECTED_COUNTS; e++) {
		struct tally pool = {0}, worst = {.cases = 1, .covered = 1};
		const char *worst_name = NULL;
		for (size_t i = 0; i < MIXES; i++) {
			struct tally cell = {0};
			tally_mix(&cell, &mixes[i], expected_counts[e], BYTES, &random);
			tally_merge(&pool, &cell);
			if (coverage(&cell) < coverage(&worst)) {
				worst = cell;
				worst_name = mixes[i].name;
			}
		}
		print(worst_name, expected_counts[e], &worst);
		print("all mixes, bytes", expected_counts[e], &pool);
		assert_covers(expected_counts[e], &pool);
	}
}
END_TEST

/* A site whose samples are all of blocks that cannot be missed is reported as exact. Small blocks
 * that hide there unsampled are not in the interval, but they stay below the unseen bound. */
START_TEST(small_blocks_hidden_beside_certain_ones_stay_below_the_unseen_bound)
{
	const struct mix mix = {.from = 1e-3, .to = 12, .second_share = 4, .in_intervals = true};
	struct random random = {99};
	int hidden = 0, beyond = 0, covered = 0, runs = 0;
	for (int i = 0; i < 4000; i++) {
		struct site site;
		struct estimate_sum sum;
		make_site(&site, &mix, 65536, 5, &random);
		sample_site(&site, &sum, &random);
		double truth = 0;
		for (int k = 0; k < site.class_count; k++)
			truth += site.classes[k].count * (double)site.classes[k].size;
		struct estimate_interval bytes = estimate_bytes(&sum);
		hidden += bytes.high < truth;
		beyond += bytes.high + estimate_unseen_bytes(65536) < truth;
		covered += bytes.low <= truth * (1 + 1e-12) && truth <= bytes.high;
		runs++;
	}
	printf("# four blocks of 12T and T in small ones: covered %.1f %%, beyond the bound %.1f "
	       "%%\n",
		100.0 * covered / runs, 100.0 * beyond / runs);
	ck_assert_int_gt(hidden, runs / 10); /* else this tests nothing */
	ck_assert_int_le(beyond, runs * 3 / 100);
}
END_TEST

/* Objects of very different sizes cannot be covered: a million bytes of one-byte blocks may hide
 * between two samples. Within a factor of eight they can. */
START_TEST(objects_of_sizes_within_a_factor_of_eight_are_covered)
{
	struct random random = {4242};
	for (int e = 0; e < EXPECTED_COUNTS; e++) {
		struct tally tally = {0};
		tally_mix(&tally, &mixes[4], expected_counts[e], OBJECTS, &random);
		print("32 B to 256 B, objects", expected_counts[e], &tally);
		if (expected_counts[e] >= 30)
			ck_assert_double_ge(coverage(&tally), 0.93);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("estimate_coverage");
	TCase *t = tcase_create("estimate_coverage");
	tcase_set_timeout(t, 300);
	tcase_add_test(t, bytes_of_sites_of_one_size_are_covered);
	tcase_add_test(t, objects_of_sites_of_one_size_are_covered);
	tcase_add_test(t, no_number_of_large_blocks_is_covered_badly);
	tcase_add_test(t, bytes_of_sites_of_mixed_sizes_are_covered);
	tcase_add_test(t, small_blocks_hidden_beside_certain_ones_stay_below_the_unseen_bound);
	tcase_add_test(t, objects_of_sizes_within_a_factor_of_eight_are_covered);
	suite_add_tcase(s, t);
	return s;
}

TAP_MAIN(suite)
