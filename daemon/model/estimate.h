/*
 * From samples to numbers with error bars. Each sampled allocation of size s under interval T was kept
 * with p = 1 - exp(-s/T); it stands for s/p bytes and 1/p allocations (docs/sampling.md has the proof,
 * the variance and the sources of the intervals). Pure functions; any thread.
 */
#pragma once
#include <stdint.h>

struct estimate_sum {
	uint64_t samples;
	double bytes;           /* sum of s/p */
	double bytes_variance;  /* sum of s^2 (1-p)/p^2 */
	double bytes_max;       /* largest s/p * (1-p) seen, for the small-count upper limit */
	double objects;         /* sum of 1/p */
	double objects_variance;
	double objects_max;
	double interval_max;    /* largest T among the samples */
};

struct estimate_interval {
	double low, value, high; /* 95 %; never below 0 */
};

double estimate_probability(uint64_t size_bytes, uint64_t interval_bytes);
void estimate_add(struct estimate_sum *sum, uint64_t size_bytes, uint64_t interval_bytes);
void estimate_merge(struct estimate_sum *into, const struct estimate_sum *from);
struct estimate_interval estimate_bytes(const struct estimate_sum *sum);
struct estimate_interval estimate_objects(const struct estimate_sum *sum);
/* What a site that was never sampled may hold at most, at the interval's confidence: P(unseen) = exp(-bytes/T). */
double estimate_unseen_bytes(double interval_bytes);
